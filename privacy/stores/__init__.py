"""Handlers that find, export, erase and verify a subject, one for each kind of store."""

from privacy.contracts import AssetContract
from privacy.stores.artifacts import ArtifactsHandler
from privacy.stores.base import StoreError, StoreHandler
from privacy.stores.consent_ledger import ConsentLedgerHandler
from privacy.stores.delta import DeltaHandler
from privacy.stores.feast_online import FeastOnlineHandler
from privacy.stores.own import (
    ExportsHandler,
    RectificationsHandler,
    RequestsHandler,
    RetainedRecordsHandler,
    TemporaryFilesHandler,
    VaultHandler,
)
from privacy.stores.postgres import PostgresHandler
from privacy.stores.redis import RedisKeysHandler, RedisStreamHandler

__all__ = ["handler_for"]

_BY_KIND: dict[str, StoreHandler] = {
    "postgres": PostgresHandler(),
    "delta": DeltaHandler(),
    "redis": RedisKeysHandler(),
    "redis_stream": RedisStreamHandler(),
    "feast_online": FeastOnlineHandler(),
    "artifacts": ArtifactsHandler(),
}
_BY_NAME: dict[str, StoreHandler] = {
    "consent_ledger": ConsentLedgerHandler(),
    "vault": VaultHandler(),
    "exports": ExportsHandler(),
    "models_due": PostgresHandler(),
    "rectifications": RectificationsHandler(),
    "requests": RequestsHandler(),
    "retained": RetainedRecordsHandler(),
    "temporary_files": TemporaryFilesHandler(),
}


def handler_for(contract: AssetContract) -> StoreHandler:
    """The handler that the contract names, else its store kind's; raises StoreError where there is none."""
    handlers, name = (
        (_BY_NAME, contract.handler) if contract.handler else (_BY_KIND, contract.store.kind)
    )
    try:
        return handlers[name]
    except KeyError as error:
        raise StoreError(
            f"Asset {contract.key} has no handler '{name}': nobody could be found in it. Choose another store or "
            "write a handler in privacy/stores."
        ) from error
