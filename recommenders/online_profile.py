"""One subject's profile in the online store: its key, a fast read inside another pipeline, its deletion.

The layout is Feast's: one hash per entity, a field per feature (the murmur3 hash of ``view:feature``) with a serialised
`Value`, a field ``_ts:view`` with the time of the snapshot, and one that says until when the values may be used
(`recommenders.online_ttl`). Read with `queue_profile` and `decode_profile`:

>>> pipeline.hgetall(f"sv:consent:{{{pseudonym}}}")         # doctest: +SKIP
>>> queue_profile(pipeline, pseudonym)                      # doctest: +SKIP
>>> consent, raw = pipeline.execute()                       # doctest: +SKIP
>>> profile = decode_profile(raw)                           # doctest: +SKIP
"""

import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
import redis.asyncio
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value, ValueType
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.views import PROJECT, subject_profile
from privacy.database import redis_url
from privacy.stores.feast_online import good_until_field
from recommenders.online_ttl import expired

__all__ = [
    "PROFILE_FIELDS",
    "OnlineProfile",
    "decode_profile",
    "delete_online",
    "keep_online",
    "online_keys",
    "queue_profile",
]

JOIN_KEY = "pseudonym"
SERIALIZATION = 3
BATCH = 1_000
_FEATURES = tuple(feature.name for feature in subject_profile.features)
PROFILE_FIELDS: tuple[bytes, ...] = (
    *(_mmh3(f"{subject_profile.name}:{name}") for name in _FEATURES),
    f"_ts:{subject_profile.name}".encode(),
    good_until_field(subject_profile.name),
)


@dataclass(frozen=True, slots=True)
class OnlineProfile:
    """What a subject lately looked at and bought; the features of the view `subject_profile`.

    Attributes
    ----------
    event_timestamp: as-of time of the snapshot (UTC).
    interactions_30d, purchases_90d, views_7d: counts over the days before it.
    mean_price, mean_sustainability: None where unknown.
    top_*: best first, with a score each in the same order; recent_products: newest first.
    """

    event_timestamp: datetime
    interactions_30d: int = 0
    purchases_90d: int = 0
    views_7d: int = 0
    days_since_last_event: float | None = None
    mean_price: float | None = None
    mean_sustainability: float | None = None
    top_categories: tuple[str, ...] = ()
    top_category_scores: tuple[float, ...] = ()
    top_brands: tuple[str, ...] = ()
    top_brand_scores: tuple[float, ...] = ()
    top_sizes: tuple[str, ...] = ()
    top_size_scores: tuple[float, ...] = ()
    recent_products: tuple[str, ...] = ()


def online_keys(pseudonyms: Iterable[str]) -> list[bytes]:
    """The Redis key of each subject, as Feast's store builds it."""
    return [
        serialize_entity_key(
            EntityKey(join_keys=[JOIN_KEY], entity_values=[Value(string_val=pseudonym)]),
            entity_key_serialization_version=SERIALIZATION,
        )
        + PROJECT.encode()
        for pseudonym in pseudonyms
    ]


def queue_profile(
    pipeline: "redis.client.Pipeline | redis.asyncio.client.Pipeline", pseudonym: str
) -> None:
    """Add the read of one profile to `pipeline`; its answer is for `decode_profile`."""
    pipeline.execute_command("HMGET", online_keys([pseudonym])[0], *PROFILE_FIELDS)


def decode_profile(raw: Sequence[bytes | None]) -> OnlineProfile | None:
    """The profile in an answer to `queue_profile`; None where the store holds none for this subject, or an expired one."""
    *values, stamp, limit = raw
    if not stamp or expired(limit):
        return None
    time = Timestamp.FromString(stamp).ToDatetime(tzinfo=UTC)
    known = {
        name: value
        for name, encoded in zip(_FEATURES, values, strict=True)
        if encoded and (value := _decode(encoded)) is not None
    }
    return OnlineProfile(event_timestamp=time, **known)


def _decode(encoded: bytes) -> Any:
    value = Value.FromString(encoded)
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    content = getattr(value, kind)
    return tuple(content.val) if kind.endswith("_list_val") else content


def delete_online(pseudonyms: Collection[str]) -> int:
    """Delete all online features of these subjects; returns how many of them had any."""
    with redis.Redis.from_url(redis_url()) as client:
        return _delete(client, online_keys(pseudonyms))


def keep_online(pseudonyms: Collection[str]) -> tuple[int, int]:
    """Delete the online features of every subject not among `pseudonyms`; returns (kept, deleted)."""
    kept = deleted = 0
    keep = set(pseudonyms)
    with redis.Redis.from_url(redis_url()) as client:
        doomed = []
        for key, pseudonym in _stored(client):
            if pseudonym in keep:
                kept += 1
            else:
                doomed.append(key)
        deleted = _delete(client, doomed)
    return kept, deleted


def _delete(client: "redis.Redis", keys: Sequence[bytes]) -> int:
    batches = (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))
    counts: list[Any] = [client.delete(*batch) for batch in batches]
    return sum(counts)


def _stored(client: "redis.Redis") -> Iterator[tuple[bytes, str]]:
    """Key and pseudonym of each subject in the store, of this project alone (names may end alike)."""
    prefix, project = serialize_entity_key_prefix([JOIN_KEY], SERIALIZATION), PROJECT.encode()
    header = len(prefix) + 8
    seen: set[bytes] = set()
    for key in client.scan_iter(match=prefix + b"*" + project, count=BATCH):
        kind, length = struct.unpack("<2I", key[len(prefix) : header])
        if kind == ValueType.STRING and key[header + length :] == project and key not in seen:
            seen.add(key)
            yield key, key[header : header + length].decode()
