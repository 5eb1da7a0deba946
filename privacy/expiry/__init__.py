"""What is older than its contract allows: counted and deleted, one `Expiry` for each kind of store."""

from privacy.contracts import AssetContract, PostgresStore
from privacy.expiry.artifacts import ArtifactsExpiry
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.expiry.delta import DeltaExpiry
from privacy.expiry.own import (
    ExportsExpiry,
    ModelsDueExpiry,
    RetainedRecordsExpiry,
    TemporaryFilesExpiry,
)
from privacy.expiry.postgres import PostgresExpiry
from privacy.expiry.redis import FeastOnlineExpiry, RedisKeysExpiry, RedisStreamExpiry
from privacy.registry import PLATFORM_PREFIX
from privacy.stores.base import StoreError

__all__ = ["Due", "Expiry", "Overdue", "expiry_for", "has_age"]

_BY_KIND: dict[str, Expiry] = {
    "postgres": PostgresExpiry(),
    "delta": DeltaExpiry(),
    "redis": RedisKeysExpiry(),
    "redis_stream": RedisStreamExpiry(),
    "feast_online": FeastOnlineExpiry(),
    "artifacts": ArtifactsExpiry(),
}
_BY_HANDLER: dict[str, Expiry] = {
    "exports": ExportsExpiry(),
    "models_due": ModelsDueExpiry(),
    "retained": RetainedRecordsExpiry(),
    "temporary_files": TemporaryFilesExpiry(),
}


def expiry_for(contract: AssetContract) -> Expiry:
    """How the contract's store ages; raises StoreError where nothing is known about it."""
    own = _BY_HANDLER.get(contract.handler or "")
    expiry = own or _BY_KIND.get(contract.store.kind)
    if expiry is None:
        raise StoreError(
            f"Asset {contract.key} has a retention and its store ({contract.store.kind}) no expiry: nothing in it would ever "
            "be deleted. Write one in privacy/expiry, or declare another store."
        )
    return expiry


def has_age(contract: AssetContract) -> bool:
    """Whether it can be told when the contract's retention ends: by a column, by the store, or by when an asset was written.

    A store of the platform's own is never materialised, so a table of it needs a column; a Delta table always does.
    """
    if contract.retention is None or contract.retention.column or contract.handler in _BY_HANDLER:
        return True
    if isinstance(contract.store, PostgresStore):
        return contract.store.is_view or not contract.key.startswith(PLATFORM_PREFIX)
    return contract.store.kind != "delta"
