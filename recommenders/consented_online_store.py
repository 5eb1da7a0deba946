"""Feast's Redis online store behind a gate: no row of a subject is written without consent.

Every way into the store ends in `online_write_batch`: a materialisation by the platform or from Feast's command line, a
push, a direct write. The consent of the batch's subjects is joined there, so that no way around it exists. Every way out reads
through `_get_features_for_entity`, where values that nobody refreshed in time are left out (`recommenders.online_ttl`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import redis
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from privacy.contracts import AssetContract
from privacy.stores.feast_online import GOOD_UNTIL, good_until_field
from recommenders.online_ttl import expired, good_until
from recommenders.permission import corrected, permitted

__all__ = ["ConsentedRedisOnlineStore", "ConsentedRedisOnlineStoreConfig", "MissingContractError"]

CONTRACT_TAG = "contract"
Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


class MissingContractError(ValueError):
    """A feature view without a privacy contract was about to be written."""


class ConsentedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """Configuration of `ConsentedRedisOnlineStore`; `connection_string` is a Redis URL."""

    type: str = "recommenders.consented_online_store.ConsentedRedisOnlineStore"


def contract_of(view: FeatureView) -> AssetContract:
    """The privacy contract in the tag of `view`; raises MissingContractError where there is none."""
    try:
        return AssetContract.model_validate_json(view.tags[CONTRACT_TAG])
    except KeyError as error:
        raise MissingContractError(
            f"Feature view {view.name} has no privacy contract: add one to its tag '{CONTRACT_TAG}' in feature_repo/."
        ) from error


class ConsentedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Redis, with the contract of each view enforced at every write and its time to live at every read."""

    _client: "redis.Redis | None" = None
    _client_async: "redis.asyncio.Redis | None" = None

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> "redis.Redis":
        if self._client is None:
            self._client = redis.Redis.from_url(online_store_config.connection_string)
        return self._client

    async def _get_client_async(
        self, online_store_config: RedisOnlineStoreConfig
    ) -> "redis.asyncio.Redis":
        if self._client_async is None:
            self._client_async = redis.asyncio.Redis.from_url(online_store_config.connection_string)
        return self._client_async

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write the rows whose subjects permit it, then take back those of subjects who changed their mind meanwhile.

        Rows made before their subject's last correction are left out: the next ones are made of what is right.
        """
        contract = contract_of(table)
        if not contract.holds_subjects:
            super().online_write_batch(config, table, _dated(data, contract), progress)
            return
        allowed = permitted(_pseudonyms(data, contract), contract)
        since = corrected(allowed)
        rows = [
            row
            for row in data
            if (name := _pseudonym(row, contract)) in allowed
            and not (name in since and _older(row, since[name]))
        ]
        super().online_write_batch(config, table, _dated(rows, contract), progress)
        gone = allowed - permitted(allowed, contract)
        self.delete_rows(config, [row[0] for row in rows if _pseudonym(row, contract) in gone])

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """The same through the same gate; the calls to Postgres and Redis block."""
        self.online_write_batch(config, table, data, progress)

    def _generate_hset_keys_for_features(
        self,
        feature_view: FeatureView,
        requested_features: list[str] | None = None,
        fv_name_override: str | None = None,
    ) -> tuple[list[str], list[str | bytes]]:
        names, fields = super()._generate_hset_keys_for_features(
            feature_view, requested_features, fv_name_override
        )
        return names, [*fields, good_until_field(fv_name_override or feature_view.name)]

    def _get_features_for_entity(
        self, values: Sequence[bytes | None], feature_view: str, requested_features: list[str]
    ) -> tuple[datetime | None, dict[str, Value] | None]:
        *held, limit = values
        if expired(limit):
            return None, None
        found: tuple[datetime | None, dict[str, Value] | None] = super()._get_features_for_entity(
            held, feature_view, requested_features
        )
        return found

    def delete_rows(self, config: RepoConfig, entity_keys: Sequence[EntityKey]) -> int:
        """Delete all values of these entities, in every view; returns how many entities had any."""
        if not entity_keys:
            return 0
        keys = self._generate_redis_keys_for_entities(config, list(entity_keys))
        deleted: Any = self._get_client(config.online_store).delete(*keys)
        return int(deleted)


def _dated(rows: Sequence[Row], contract: AssetContract) -> list[Row]:
    """`rows` with the time until which they may be used, which Feast writes in the same command as their values."""
    limit = {GOOD_UNTIL: good_until(contract)}
    return [(key, {**values, **limit}, time, created) for key, values, time, created in rows]


def _older(row: Row, moment: datetime) -> bool:
    """Whether the row was made before `moment`; one that does not say when counts as older."""
    created = row[3]
    if created is None:
        return True
    return (created if created.tzinfo else created.replace(tzinfo=UTC)) < moment


def _pseudonym(row: Row, contract: AssetContract) -> str:
    keys = row[0]
    position = list(keys.join_keys).index(str(contract.subject))
    return str(keys.entity_values[position].string_val)


def _pseudonyms(rows: Sequence[Row], contract: AssetContract) -> set[str]:
    return {_pseudonym(row, contract) for row in rows}
