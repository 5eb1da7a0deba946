"""Feast's DuckDB offline store over the Delta lake, able to read Delta without a network."""

from copy import copy
from functools import cache
from typing import Any

import ibis  # type: ignore[import-untyped]
from duckdb_extensions import import_extension
from feast import FeatureView, FileSource, RepoConfig
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileOptions
from feast.infra.offline_stores.offline_store import RetrievalJob

from privacy import lake
from privacy.duckdb_memory import duckdb_in_memory
from privacy.settings import platform_settings

__all__ = ["LakeOfflineStore", "LakeOfflineStoreConfig"]

MEMORY_LIMIT = "2GB"


@cache
def prepare_engine() -> None:
    """Make an in-memory DuckDB, with the Delta extension from its wheel, the engine of this process.

    Spilled rows are encrypted (`privacy.duckdb_memory`); nothing is downloaded.
    """
    extensions = platform_settings().home / "duckdb-extensions"
    extensions.mkdir(parents=True, exist_ok=True)
    database = duckdb_in_memory(
        extension_directory=str(extensions),
        memory_limit=MEMORY_LIMIT,
        autoload_known_extensions=True,
    )
    import_extension("delta", con=database)
    backend = ibis.duckdb.from_connection(database)
    backend.raw_sql("set timezone = 'UTC'")
    # The bar goes to the standard output, where a command's result belongs.
    backend.raw_sql("set enable_progress_bar = false")
    ibis.set_backend(backend)


def _located(source: FileSource) -> FileSource:
    """`source` at its place in the lake of this process: definitions name tables, not folders of a machine."""
    options = source.file_options
    located = copy(source)
    located.file_options = FileOptions(
        uri=str(lake.table_path(source.path)),
        file_format=options.file_format,
        s3_endpoint_override=options.s3_endpoint_override,
    )
    return located


def _located_view(view: FeatureView) -> FeatureView:
    located = copy(view)
    located.batch_source = _located(view.batch_source)
    return located


class LakeOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]
    """Configuration of `LakeOfflineStore`; the same as DuckDB's."""

    type: str = "recommenders.lake_offline_store.LakeOfflineStore"


class LakeOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """DuckDB's offline store on an engine that `prepare_engine` made; paths of sources are relative to the lake."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig, feature_views: list[FeatureView], *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """Point-in-time join, as `OfflineStore.get_historical_features` describes."""
        prepare_engine()
        views = [_located_view(view) for view in feature_views]
        return DuckDBOfflineStore.get_historical_features(config, views, *args, **kwargs)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig, data_source: FileSource, *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """The newest row of each entity, as `OfflineStore.pull_latest_from_table_or_query` describes."""
        prepare_engine()
        return DuckDBOfflineStore.pull_latest_from_table_or_query(
            config, _located(data_source), *args, **kwargs
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: FileSource, *args: Any, **kwargs: Any
    ) -> RetrievalJob:
        """All rows of a period, as `OfflineStore.pull_all_from_table_or_query` describes."""
        prepare_engine()
        return DuckDBOfflineStore.pull_all_from_table_or_query(
            config, _located(data_source), *args, **kwargs
        )
