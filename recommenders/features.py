"""The feature store: how to open it, how to apply its definitions, and its newest offline values.

Item features are read in bulk and kept in process (`product_features`); `recommenders.online_profile` reads one subject.
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from string import Template
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from feast import FeatureStore, FeatureView, RepoConfig
from feast.diff.property_diff import TransitionType
from feast.diff.registry_diff import FeastObjectDiff, diff_between
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.protos.feast.core.DataSource_pb2 import DataSource
from feast.repo_contents import RepoContents

from feature_repo import definitions, views
from privacy import lake
from privacy.database import Role, redis_url, role_url
from privacy.settings import PROJECT_ROOT
from recommenders.consented_online_store import contract_of
from recommenders.lake_offline_store import LakeOfflineStore
from recommenders.online_profile import (
    PROFILE_FIELDS,
    OnlineProfile,
    decode_profile,
    delete_online,
    online_keys,
    queue_profile,
)

__all__ = [
    "COUNTS",
    "PROFILE_FIELDS",
    "Declared",
    "OnlineProfile",
    "apply_definitions",
    "declared",
    "decode_profile",
    "delete_online",
    "feast_environment",
    "feature_store",
    "latest",
    "online_keys",
    "product_features",
    "queue_profile",
]


class Declared(NamedTuple):
    """One definition of the feature store."""

    kind: str
    name: str
    description: str


FEATURE_REPO = PROJECT_ROOT / "feature_repo"
COUNTS = ("product_views_7d", "carts_7d", "purchases_7d", "purchases_30d")


def feast_environment() -> dict[str, str]:
    """Variables that `feature_repo/feature_store.yaml` needs: the registry's and the online store's URL, with passwords."""
    return {
        "SELVEDGE_FEAST_REGISTRY_URL": role_url(Role.FEAST).render_as_string(hide_password=False),
        "SELVEDGE_FEAST_REDIS_URL": redis_url(),
    }


def _repo_config() -> RepoConfig:
    path = FEATURE_REPO / "feature_store.yaml"
    settings = yaml.safe_load(Template(path.read_text()).substitute(feast_environment()))
    return RepoConfig(**settings, repo_path=FEATURE_REPO)


@cache
def feature_store() -> FeatureStore:
    """The feature store of this process; its registry lies in Postgres, its online store in Redis.

    Raises DatabaseUnavailableError where no server runs.
    """
    return FeatureStore(config=_repo_config())


def _repository() -> RepoContents:
    return RepoContents(
        projects=[definitions.selvedge],
        data_sources=[
            definitions.subject_profile_push,
            definitions.subject_profile_snapshots,
            definitions.product_popularity_snapshots,
            definitions.products,
        ],
        entities=[definitions.subject, definitions.product],
        feature_views=[
            definitions.subject_profile,
            definitions.product_popularity,
            definitions.product_attributes,
        ],
        on_demand_feature_views=[definitions.affinity],
        feature_services=[definitions.ranker_v1, definitions.training_v1],
        stream_feature_views=[],
        label_views=[],
        permissions=[],
    )


def apply_definitions() -> dict[str, list[str]]:
    """Bring the registry to the definitions of `feature_repo`; writes nothing where they agree already.

    Returns the names of what was created, updated and deleted, under these three keys.
    """
    store = feature_store()
    store.registry.refresh(views.PROJECT)
    diff = diff_between(store.registry, views.PROJECT, _repository())
    changed = [
        change
        for change in diff.feast_object_diffs
        if change.name != DUMMY_ENTITY_NAME and _is_change(change)
    ]
    if changed:
        _apply(store, changed)
    return {
        f"{kind.name.lower()}d": sorted(c.name for c in changed if c.transition_type is kind)
        for kind in (TransitionType.CREATE, TransitionType.UPDATE, TransitionType.DELETE)
    }


def declared() -> list[Declared]:
    """What `feature_repo` declares, without its sources, ordered by kind and name."""
    repository = _repository()
    groups = {
        "entity": repository.entities,
        "feature view": repository.feature_views,
        "on-demand view": repository.on_demand_feature_views,
        "feature service": repository.feature_services,
    }
    found = [
        Declared(kind, each.name, each.description)
        for kind, group in groups.items()
        for each in group
    ]
    return sorted(found)


def _is_change(change: FeastObjectDiff) -> bool:
    """Whether more differs than the times at which a source inside a view was registered."""
    if change.transition_type is not TransitionType.UPDATE:
        return change.transition_type is not TransitionType.UNCHANGED
    return any(
        _timeless(difference.val_existing) != _timeless(difference.val_declared)
        for difference in change.feast_object_property_diffs
    )


def _timeless(value: object) -> object:
    if not isinstance(value, DataSource):
        return value
    source = DataSource.FromString(value.SerializeToString())
    source.ClearField("meta")
    source.batch_source.ClearField("meta")
    return source


def _apply(store: FeatureStore, changes: Sequence[FeastObjectDiff]) -> None:
    deleted = [c for c in changes if c.transition_type is TransitionType.DELETE]
    with warnings.catch_warnings():
        # Feast calls on-demand views experimental each time one is applied.
        warnings.filterwarnings("ignore", "On demand feature view", RuntimeWarning)
        store.apply(
            [change.new_feast_object for change in changes if change.new_feast_object],
            objects_to_delete=[change.current_feast_object for change in deleted],
            partial=False,
        )


def latest(view: FeatureView) -> pa.Table:
    """The newest row of each entity of `view` from the offline store, within the retention of the view's contract.

    Age is counted from the newest row of the view, not from today: a source may end years ago. Columns: the join
    keys, the features, `event_timestamp` and `created`. Raises LakeError where the Delta table does not exist.
    """
    retention = contract_of(view).retention
    source = view.batch_source
    lake.open_table(source.path)
    original = {feature: column for column, feature in source.field_mapping.items()}
    names = [feature.name for feature in view.features]
    rows: pa.Table = LakeOfflineStore.pull_latest_from_table_or_query(
        config=feature_store().config,
        data_source=source,
        join_key_columns=view.join_keys,
        feature_name_columns=[original.get(name, name) for name in names],
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        start_date=datetime(1970, 1, 1, tzinfo=UTC),
        end_date=datetime(9999, 1, 1, tzinfo=UTC),
    ).to_arrow()
    rows = rows.rename_columns([source.field_mapping.get(n, n) for n in rows.column_names])
    if retention is None or not rows.num_rows:
        return rows
    times = rows[source.timestamp_field]
    oldest = pc.max(times).as_py() - timedelta(days=retention.days)
    return rows.filter(pc.greater_equal(times, pa.scalar(oldest, times.type)))


def product_features() -> pd.DataFrame:
    """Attributes and popularity of every product, one row each, for use in process.

    Columns: those of the views `product_attributes` and `product_popularity`, without their timestamps. What is unknown is
    null: prices, ratings and stocks, and whatever fewer than ten people stand behind.
    """
    stamps = ["event_timestamp", "created"]
    attributes = latest(definitions.product_attributes).drop_columns(stamps).to_pandas()
    popularity = latest(definitions.product_popularity).drop_columns(stamps).to_pandas()
    products: pd.DataFrame = attributes.merge(popularity, on="product_id", how="left")
    return products.astype(dict.fromkeys(COUNTS, "Int64"))
