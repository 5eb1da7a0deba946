"""The training set: each interaction with the features as they were just before it."""

from datetime import timedelta

import pandas as pd
import pyarrow as pa
from feast.types import from_feast_to_pyarrow_type

from feature_repo.definitions import training_v1
from privacy import lake
from privacy.contracts import (
    AssetContract,
    Category,
    DeltaStore,
    LegalBasis,
    Purpose,
    Retention,
    Withhold,
)
from recommenders.features import feature_store
from recommenders.permission import permitted

__all__ = [
    "COLUMN_TYPES",
    "SERVICE",
    "TRAINING_SET",
    "retrieve_training_set",
    "training_set_contract",
]

SERVICE: str = training_v1.name
TRAINING_SET = "training_set"
_ENTITY_COLUMNS = ("pseudonym", "product_id", "weight", "interactions", "event_timestamp")
COLUMN_TYPES: dict[str, pa.DataType] = {
    "pseudonym": pa.string(),
    "product_id": pa.string(),
    "weight": pa.float64(),
    "interactions": pa.int64(),
    "event_timestamp": pa.timestamp("us", tz="UTC"),
    **{
        feature.name: from_feast_to_pyarrow_type(feature.dtype)
        for view in training_v1.feature_view_projections
        for feature in view.features
    },
}
"""Column to type, Feast's features included."""
# A snapshot of the interaction's own instant may count the interaction itself.
BEFORE = timedelta(microseconds=1)

training_set_contract = AssetContract(
    key="features/training_set",
    owner="team:recommendations",
    description="Interactions of subjects who agree to model training, with the features of subject and product "
    "just before each; models are fitted on it.",
    category=Category.PSEUDONYMOUS,
    purposes=(Purpose.MODEL_TRAINING,),
    legal_basis=LegalBasis.CONSENT,
    retention=Retention(days=365, column="event_timestamp"),
    store=DeltaStore(path=TRAINING_SET),
    subject="pseudonym",
    withhold=Withhold(at="materialisation", within=timedelta(hours=24)),
)


def retrieve_training_set() -> pa.Table:
    """Point-in-time join of `lake/interaction_matrix` with the feature service `training_v1`.

    Returns one row per interaction row of a subject who agrees to model training now and does not object: `pseudonym`,
    `product_id`, `weight`, `interactions`, `event_timestamp` (the last interaction) and the features, each from the
    newest snapshot before that instant; null where there is none. Raises LakeError where an input does not exist.
    """
    entities = _entities()
    if entities.empty:
        return _with_features(_placeholder()).slice(0, 0)
    return _with_features(entities)


def _entities() -> pd.DataFrame:
    matrix: pd.DataFrame = lake.open_table("interaction_matrix").to_pandas(
        columns=list(_ENTITY_COLUMNS)
    )
    allowed = permitted(set(matrix["pseudonym"]), training_set_contract)
    return matrix[matrix["pseudonym"].isin(allowed)].reset_index(drop=True)


def _placeholder() -> pd.DataFrame:
    """One row about nobody: Feast needs one to answer with the columns of an empty training set."""
    row = {"pseudonym": "", "product_id": "", "weight": 0.0, "interactions": 0}
    return pd.DataFrame([{**row, "event_timestamp": pd.Timestamp(0, tz="UTC")}])


def _with_features(entities: pd.DataFrame) -> pa.Table:
    asked = entities.assign(event_timestamp=entities["event_timestamp"] - BEFORE)
    store = feature_store()
    service = store.get_feature_service(SERVICE)
    rows = store.get_historical_features(entity_df=asked, features=service).to_arrow()
    instants = rows["event_timestamp"].to_pandas() + BEFORE
    restored = pa.array(instants, pa.timestamp("us", tz="UTC"))
    return rows.set_column(rows.column_names.index("event_timestamp"), "event_timestamp", restored)
