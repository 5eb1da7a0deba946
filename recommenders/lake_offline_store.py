"""Feast's DuckDB offline store over the Delta lake, able to read Delta without a network."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import ibis  # type: ignore[import-untyped]
from duckdb_extensions import import_extension
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig

from privacy.settings import platform_settings

__all__ = ["LakeOfflineStore", "LakeOfflineStoreConfig"]

MEMORY_LIMIT = "2GB"


@cache
def prepare_engine() -> None:
    """Make an in-memory DuckDB, with the Delta extension from its wheel, the engine of this process.

    Spilled rows go to the platform's folder for temporary files, never to the working directory; nothing is
    downloaded.
    """
    settings = platform_settings()
    spill, extensions = settings.tmp_dir / "duckdb", settings.home / "duckdb-extensions"
    for folder in (spill, extensions):
        folder.mkdir(parents=True, exist_ok=True)
    backend = ibis.duckdb.connect(
        extension_directory=str(extensions),
        temp_directory=str(spill),
        memory_limit=MEMORY_LIMIT,
        autoinstall_known_extensions=False,
    )
    backend.raw_sql("set timezone = 'UTC'")
    import_extension("delta", con=backend.con)
    ibis.set_backend(backend)


def _prepared(read: Callable[..., Any]) -> "staticmethod[..., Any]":
    @wraps(read)
    def prepared(*args: Any, **kwargs: Any) -> Any:
        prepare_engine()
        return read(*args, **kwargs)

    return staticmethod(prepared)


class LakeOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]
    """Configuration of `LakeOfflineStore`; the same as DuckDB's."""

    type: str = "recommenders.lake_offline_store.LakeOfflineStore"


class LakeOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """DuckDB's offline store on an engine that `prepare_engine` made."""

    get_historical_features = _prepared(DuckDBOfflineStore.get_historical_features)
    pull_latest_from_table_or_query = _prepared(DuckDBOfflineStore.pull_latest_from_table_or_query)
    pull_all_from_table_or_query = _prepared(DuckDBOfflineStore.pull_all_from_table_or_query)
