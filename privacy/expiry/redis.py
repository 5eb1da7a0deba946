"""Redis: keys carry an expiry no longer than their contract, stream entries go by their id, online features by their time.

A key without an expiry has no age that could be told. It gets the contract's from now on, so that it goes in time at last.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from feast.infra.key_encoding_utils import deserialize_entity_key
from google.protobuf.timestamp_pb2 import Timestamp

from privacy.contracts import AssetContract, FeastOnlineStore, RedisStore, RedisStream
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.stores import handler_for
from privacy.stores.base import StoreError
from privacy.stores.feast_online import ALL_VIEWS
from privacy.stores.redis import redis_client

__all__ = ["FeastOnlineExpiry", "RedisKeysExpiry", "RedisStreamExpiry", "key_pattern"]

_SCAN = 5_000
_NO_EXPIRY = -1
_TIMES = b"_ts:"
_ENTITY_KEY_VERSION = 3
_BOUNDED = "keys without an expiry, or with a longer one, get the contract's"


def key_pattern(contract: AssetContract) -> re.Pattern[bytes]:
    """Names of the keys that the contract tells of."""
    if not isinstance(contract.store, RedisStore):
        raise StoreError(f"Asset {contract.key} has no Redis keys ({contract.store.kind}).")
    literal = re.escape(contract.store.pattern)
    named = literal.replace(re.escape("{pseudonym}"), "[0-9a-f]{32}").replace(r"\*", ".*")
    return re.compile(f"^{named}$".encode(), re.DOTALL)


class RedisKeysExpiry(Expiry):
    """Keys of the contract's pattern that would outlive its retention."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Keys without an expiry, or with one beyond the retention."""
        pattern = key_pattern(contract)
        with redis_client() as client:
            wrong = sum(len(keys) for keys in _unbounded(client, pattern, _lifetime(contract)))
        return Overdue(wrong, why=_BOUNDED if wrong else "")

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Give each of these keys the contract's expiry."""
        with redis_client() as client:
            return _bound(client, key_pattern(contract), _lifetime(contract))


class RedisStreamExpiry(Expiry):
    """Entries of a stream, whose ids are the milliseconds of their arrival."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Entries that arrived before the retention began."""
        with redis_client() as client:
            old, held = _entries(client, contract, due)
        return Overdue(len(old), held)

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Trim the stream; where an entry of a held subject is among the old ones, delete the others one by one.

        The stream is rebuilt afterwards, because Redis only marks deleted entries of a node that lives on.
        """
        key = _stream(contract)
        with redis_client() as client:
            old, held = _entries(client, contract, due)
            if old and held:
                client.xdel(key, *old)
            elif old:
                client.xtrim(key, minid=_milliseconds(due.before), approximate=False)
        if old:
            handler_for(contract).erase(contract, [])
        return len(old)


class FeastOnlineExpiry(Expiry):
    """Values of a view (``*``: of every view of the entity) by their event time, and the expiry of their keys."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Subjects with values past the retention, and keys that would outlive it."""
        store, lifetime = _feast(contract), _lifetime(contract)
        with redis_client() as client:
            wrong = sum(len(keys) for keys in _unbounded(client, _entity_pattern(store), lifetime))
            if not contract.subject:
                return Overdue(wrong, why=_BOUNDED if wrong else "")
            old = _old_subjects(client, contract, due)
        held = len(old & due.held)
        return Overdue(len(old) - held + wrong, held, why=_BOUNDED if wrong else "")

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Remove the view's values of these subjects, and bound the keys."""
        store, lifetime = _feast(contract), _lifetime(contract)
        with redis_client() as client:
            bounded = _bound(client, _entity_pattern(store), lifetime)
            old = _old_subjects(client, contract, due) - due.held if contract.subject else set()
        return bounded + (handler_for(contract).erase(contract, sorted(old)) if old else 0)


def _lifetime(contract: AssetContract) -> timedelta:
    if contract.retention is None:
        raise StoreError(f"Asset {contract.key} has no retention.")
    return timedelta(days=contract.retention.days)


def _unbounded(
    client: Any, pattern: re.Pattern[bytes], lifetime: timedelta
) -> Iterator[list[bytes]]:
    """Batches of the keys that match and have no expiry, or one beyond `lifetime`."""
    batch: list[bytes] = []
    for key in client.scan_iter(count=_SCAN):
        if pattern.search(key):
            batch.append(key)
        if len(batch) == _SCAN:
            yield _without_end(client, batch, lifetime)
            batch = []
    yield _without_end(client, batch, lifetime)


def _without_end(client: Any, keys: Sequence[bytes], lifetime: timedelta) -> list[bytes]:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.ttl(key)
        left: list[int] = pipeline.execute()
    limit = lifetime.total_seconds()
    return [
        key
        for key, seconds in zip(keys, left, strict=True)
        if seconds == _NO_EXPIRY or seconds > limit
    ]


def _bound(client: Any, pattern: re.Pattern[bytes], lifetime: timedelta) -> int:
    count = 0
    for keys in list(_unbounded(client, pattern, lifetime)):
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.expire(key, lifetime)
            pipeline.execute()
        count += len(keys)
    return count


def _stream(contract: AssetContract) -> str:
    if not isinstance(contract.store, RedisStream):
        raise StoreError(f"Asset {contract.key} is no stream ({contract.store.kind}).")
    return contract.store.key


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def _entries(client: Any, contract: AssetContract, due: Due) -> tuple[list[bytes], int]:
    """Ids of the old entries of subjects who are not held, and how many the held ones have."""
    end = f"({_milliseconds(due.before)}-0"
    entries: list[tuple[bytes, dict[bytes, bytes]]] = client.xrange(_stream(contract), max=end)
    held = {pseudonym.encode() for pseudonym in due.held}
    kept = [bool(held & set(fields.values())) for _, fields in entries]
    old = [entry for (entry, _), stays in zip(entries, kept, strict=True) if not stays]
    return old, sum(kept)


def _feast(contract: AssetContract) -> FeastOnlineStore:
    if not isinstance(contract.store, FeastOnlineStore):
        raise StoreError(f"Asset {contract.key} is no Feast view ({contract.store.kind}).")
    return contract.store


def _entity_pattern(store: FeastOnlineStore) -> re.Pattern[bytes]:
    """Keys of the project's entities: a serialised entity key, which begins with binary lengths, and the project."""
    return re.compile(rb"^[^a-zA-Z].*" + re.escape(store.project.encode()) + rb"$", re.DOTALL)


def _old_subjects(client: Any, contract: AssetContract, due: Due) -> set[str]:
    """Subjects whose values of the contract's view are older than due."""
    store, old = _feast(contract), set()
    for key in client.scan_iter(count=_SCAN):
        subject = _subject_of(key, contract)
        if subject is None:
            continue
        held: dict[bytes, bytes] = client.hgetall(key)
        times = [value for field, value in held.items() if _is_time(field, store)]
        if times and max(map(_time, times)) < due.before:
            old.add(subject)
    return old


def _is_time(field: bytes, store: FeastOnlineStore) -> bool:
    if store.feature_view == ALL_VIEWS:
        return field.startswith(_TIMES)
    return field == _TIMES + store.feature_view.encode()


def _time(serialised: bytes) -> datetime:
    return Timestamp.FromString(serialised).ToDatetime(tzinfo=UTC)


def _subject_of(key: bytes, contract: AssetContract) -> str | None:
    """The subject whose entity `key` is; None for any other key."""
    store = _feast(contract)
    if not _entity_pattern(store).search(key):
        return None
    serialised = key.removesuffix(store.project.encode())
    entity = deserialize_entity_key(
        serialised, entity_key_serialization_version=_ENTITY_KEY_VERSION
    )
    if list(entity.join_keys) != [contract.subject]:
        return None
    return str(entity.entity_values[0].string_val)
