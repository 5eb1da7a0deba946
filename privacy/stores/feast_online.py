"""Feature views in Feast's online store (Redis): one hash per entity, the fields of all its views side by side.

Feast itself can only wipe a whole entity type. Here one subject's key is built as Feast builds it, and one view's fields are
removed from it, or the whole key. Field names are hashes, so the view's features are read from Feast's registry. Beside them the
platform keeps until when a view's values may be used (`good_until_field`): whoever removes the values removes that too.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pyarrow as pa
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from google.protobuf.timestamp_pb2 import Timestamp

from privacy.contracts import AssetContract, FeastOnlineStore
from privacy.database import Role, connect
from privacy.stores.base import StoreError, StoreHandler, plain, subject_column
from privacy.stores.redis import redis_client, scanned

__all__ = ["ALL_VIEWS", "GOOD_UNTIL", "FeastOnlineHandler", "good_until_field"]

ALL_VIEWS = "*"
_TIMES = b"_ts:"
_SERIALISATION = 3
GOOD_UNTIL = "_good_until"
"""Written as if it were a feature of the view; a `Value` with a Unix time in seconds."""


def _store(contract: AssetContract) -> FeastOnlineStore:
    if not isinstance(contract.store, FeastOnlineStore):
        raise StoreError(f"Asset {contract.key} is no Feast view ({contract.store.kind}).")
    return contract.store


def _key(contract: AssetContract, pseudonym: str) -> bytes:
    """The Redis key of the subject's entity, as `RedisOnlineStore._generate_redis_keys_for_entities` builds it."""
    entity = EntityKey(
        join_keys=[subject_column(contract)], entity_values=[Value(string_val=pseudonym)]
    )
    serialised: bytes = serialize_entity_key(
        entity, entity_key_serialization_version=_SERIALISATION
    )
    return serialised + _store(contract).project.encode()


def _features(store: FeastOnlineStore) -> dict[str, list[str]]:
    """Feature names of each view of the store's project that the registry knows; empty before the first apply."""
    try:
        with connect(Role.FEAST) as connection:
            rows = connection.execute(
                "select feature_view_proto from feature_views where project_id = %s",
                [store.project],
            ).fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    views = [FeatureViewProto.FromString(bytes(row[0])) for row in rows]
    return {
        view.spec.name: [feature.name for feature in view.spec.features]
        for view in views
        if store.feature_view in (ALL_VIEWS, view.spec.name)
    }


class FeastOnlineHandler(StoreHandler):
    """One view of the online store, or (view ``*``) every view of a subject."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """1 for each subject with values of the view."""
        view = _store(contract).feature_view
        with redis_client() as client, client.pipeline(transaction=False) as pipeline:
            for pseudonym in pseudonyms:
                key = _key(contract, pseudonym)
                if view == ALL_VIEWS:
                    pipeline.exists(key)
                else:
                    pipeline.hexists(key, _TIMES + view.encode())
            answers = pipeline.execute()
        return {name: 1 for name, held in zip(pseudonyms, answers, strict=True) if held}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The subject's feature values, one row for each view."""
        with redis_client() as client:
            held: dict[bytes, bytes] = client.hgetall(_key(contract, pseudonym))
        return [
            {
                "feature_view": view,
                "event_timestamp": _time(held[_TIMES + view.encode()]),
                "values": {
                    name: _value(held[field])
                    for name in names
                    if (field := _mmh3(f"{view}:{name}")) in held
                },
            }
            for view, names in _features(_store(contract)).items()
            if _TIMES + view.encode() in held
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Remove the view's fields; of a view that the registry does not know, the whole entity."""
        store, held = _store(contract), self.find(contract, pseudonyms)
        known = {} if store.feature_view == ALL_VIEWS else _features(store)
        with redis_client() as client, client.pipeline(transaction=True) as pipeline:
            for pseudonym in held:
                key = _key(contract, pseudonym)
                if store.feature_view in known:
                    pipeline.hdel(key, *_fields(store.feature_view, known[store.feature_view]))
                else:
                    pipeline.delete(key)
            pipeline.execute()
        return len(held)

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The pseudonym of every entity of the subject's kind with values of the view."""
        prefix = serialize_entity_key_prefix([subject_column(contract)], _SERIALISATION)
        project, view = _store(contract).project.encode(), _store(contract).feature_view
        with redis_client() as client:
            for keys in scanned(client, prefix + b"*" + project):
                whose = {
                    key: name
                    for key in keys
                    if (name := _subject(key, prefix, project)) is not None
                }
                with client.pipeline(transaction=False) as pipeline:
                    for key in whose:
                        pipeline.hexists(key, _TIMES + view.encode())
                    present = pipeline.execute() if view != ALL_VIEWS else [True] * len(whose)
                names = [name for name, kept in zip(whose.values(), present, strict=True) if kept]
                yield pa.array(names, pa.string())


def _subject(key: bytes, prefix: bytes, project: bytes) -> str | None:
    """The entity's value in `key`; None where the key is of another project, whose name may end alike."""
    start = len(prefix) + 8
    if len(key) < start:
        return None
    (length,) = struct.unpack("<I", key[start - 4 : start])
    value, rest = key[start : start + length], key[start + length :]
    return value.decode(errors="replace") if rest == project else None


def _fields(view: str, names: Sequence[str]) -> list[bytes]:
    stamps = (_TIMES + view.encode(), good_until_field(view))
    return [*stamps, *(_mmh3(f"{view}:{name}") for name in names)]


def good_until_field(view: str) -> bytes:
    """The field of an entity's hash that says until when its values of `view` may be used."""
    field: bytes = _mmh3(f"{view}:{GOOD_UNTIL}")
    return field


def _value(serialised: bytes) -> Any:
    return plain(feast_value_type_to_python_type(Value.FromString(serialised)))


def _time(serialised: bytes) -> str:
    return f"{Timestamp.FromString(serialised).ToDatetime().isoformat()}Z"
