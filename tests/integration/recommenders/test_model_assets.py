"""The model assets over a real lake, ledger and Spark session: from events to a ranker that serves."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from consent.ledger import ConsentRecord, Decision, append
from consent.objections import object_to, withdraw
from orchestration.contract_checks import examine
from orchestration.contracted import CONTRACT_METADATA_KEY
from orchestration.defs.models import baselines, evaluation, lightfm, ranker
from orchestration.defs.models.contracts import (
    EVALUATION,
    ITEM_INDEX,
    LIGHTFM,
    POPULARITY,
    TRENDING,
)
from orchestration.defs.models.inputs import training_events
from privacy import lake
from privacy.contracts import SMALLEST_GROUP, Purpose
from privacy.settings import PlatformSettings
from recommenders.artifacts import latest_version, load_manifest, version_folder
from recommenders.model_files import load_factor_model
from recommenders.ranking import Ranker, RankingRequest, Touchpoint

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS, SUBJECTS, CLUSTERS = 60, 90, 5
TIME = pa.timestamp("us", "UTC")
TRAINING, PERSONALISATION = Purpose.MODEL_TRAINING, Purpose.PERSONALISATION
REFUSES, WITHDREW, TRAINS_ONLY, OBJECTS = range(4)
ASSETS = [
    baselines.popularity,
    baselines.trending,
    evaluation.evaluation,
    lightfm.lightfm,
    lightfm.item_index,
    ranker.ranker,
]


def pseudonym(subject: int) -> str:
    return f"{subject:032x}"


def _products() -> pa.Table:
    rows = np.arange(ITEMS)
    return pa.table(
        {
            "product_id": [f"P{row:03d}" for row in rows],
            "brand": [f"brand-{row % 7}" for row in rows],
            "category": [f"category-{row % CLUSTERS}" for row in rows],
            "sustainability_rating": (rows % 5).astype(float),
            "price": 20.0 + rows,
            "in_stock_sizes": pa.array(
                [None if row % 3 else ["M"] for row in rows], pa.list_(pa.string())
            ),
            "season_tags": pa.array([["summer"]] * ITEMS, pa.list_(pa.string())),
            "released_at": pa.array([None] * ITEMS, TIME),
            "event_timestamp": pa.array([UNTIL] * ITEMS, TIME),
        }
    )


def _events() -> pa.Table:
    random = np.random.default_rng(2)
    columns: dict[str, list[object]] = {
        name: [] for name in ("pseudonym", "product_id", "event_type", "size", "event_timestamp")
    }
    for subject in range(SUBJECTS):
        liked = np.where(np.arange(ITEMS) % CLUSTERS == subject % CLUSTERS, 12.0, 1.0)
        for item in random.choice(ITEMS, 25, p=liked / liked.sum()):
            columns["pseudonym"].append(pseudonym(subject))
            columns["product_id"].append(f"P{item:03d}")
            columns["event_type"].append(
                str(random.choice(["page_view", "add_to_cart", "purchase"]))
            )
            columns["size"].append("M")
            columns["event_timestamp"].append(UNTIL - timedelta(days=float(random.uniform(0, 40))))
    return pa.table({**columns, "event_timestamp": pa.array(columns["event_timestamp"], TIME)})


def _of_many(counts: NDArray[np.int64]) -> pa.Array:
    """`counts` as the lake keeps them: unknown from 1 to 9."""
    return pa.array(counts, mask=(counts > 0) & (counts < SMALLEST_GROUP))


def _popularity() -> pa.Table:
    rows = np.arange(ITEMS)
    return pa.table(
        {
            "product_id": [f"P{row:03d}" for row in rows],
            "event_timestamp": pa.array([UNTIL] * ITEMS, TIME),
            "subjects": 10 + rows,
            "views_7d": _of_many(rows),
            "carts_7d": _of_many(rows // 4),
            "purchases_7d": _of_many(rows // 8),
            "popularity": rows.astype(float),
            "trend": np.where(rows % 10, 1.0, 3.0),
        }
    )


def _statement(subject: int, purpose: Purpose, decision: Decision, days: int) -> ConsentRecord:
    return ConsentRecord(
        pseudonym(subject),
        purpose,
        decision,
        UNTIL - timedelta(days=days),
        "banner",
        "1",
        "test",
        f"models-{subject}-{purpose}-{days}",
    )


def _consents() -> list[ConsentRecord]:
    agreed = [
        _statement(subject, purpose, Decision.OPT_IN, 100)
        for subject in range(SUBJECTS)
        for purpose in (TRAINING, PERSONALISATION)
        if subject != REFUSES and not (subject == TRAINS_ONLY and purpose is PERSONALISATION)
    ]
    return [*agreed, _statement(WITHDREW, TRAINING, Decision.OPT_OUT, 5)]


@pytest.fixture(scope="module")
def shop(servers: PlatformSettings, spark: "SparkSession") -> None:
    lake.replace("products", _products())
    lake.replace("interactions", _events())
    lake.replace("product_popularity", _popularity())
    append(_consents())
    object_to(pseudonym(OBJECTS), "models/lightfm", "privacy_centre")


@pytest.fixture(scope="module")
def materialised(shop: None) -> dg.ExecuteInProcessResult:
    return dg.materialize(ASSETS)


def _metadata(result: dg.ExecuteInProcessResult, key: str) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node(key.replace("/", "__"))
    return {name: value.value for name, value in event.metadata.items()}


def test_only_consented_events_may_train(shop: None) -> None:
    subjects = set(training_events("models/lightfm")["pseudonym"])
    left_out = {pseudonym(subject) for subject in (REFUSES, WITHDREW, OBJECTS)}
    assert subjects == {pseudonym(subject) for subject in range(SUBJECTS)} - left_out


def test_every_asset_says_who_owns_it_and_what_it_holds() -> None:
    specs = {spec.key.to_user_string(): spec for asset in ASSETS for spec in asset.specs}
    assert set(specs) == {
        "models/popularity",
        "models/trending",
        "models/evaluation",
        "models/lightfm",
        "models/item_index",
        "serving/ranker",
    }
    for key, spec in specs.items():
        assert spec.owners == ["team:recommendations"]
        assert spec.group_name == key.split("/")[0]
        assert CONTRACT_METADATA_KEY in spec.metadata


def test_the_evaluation_shows_its_figures_and_a_plot(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    metadata = _metadata(materialised, "models/evaluation")
    assert str(metadata["plot"]).startswith("![")
    assert "data:image/png;base64," in str(metadata["plot"])
    assert "| lightfm |" in str(metadata["all_subjects"])
    (check,) = [
        check
        for check in materialised.get_asset_check_evaluations()
        if check.check_name == "lightfm_beats_popularity"
    ]
    assert check.passed


def test_vectors_are_kept_only_of_those_who_agree_to_training_and_personalisation(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    model = load_factor_model(latest_version("lightfm"))
    left_out = {pseudonym(subject) for subject in (REFUSES, WITHDREW, OBJECTS, TRAINS_ONLY)}
    assert set(model.subject_rows) == {pseudonym(s) for s in range(SUBJECTS)} - left_out
    assert model.subject_vectors.shape[0] == len(model.subject_rows)
    metadata = _metadata(materialised, "models/lightfm")
    assert metadata["training_subjects"] == SUBJECTS - 3
    assert metadata["kept_subjects"] == SUBJECTS - 4


def test_the_manifest_says_what_the_model_was_made_from(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    manifest = load_manifest(version_folder("lightfm", latest_version("lightfm")))
    assert set(manifest.data_versions) == {"interactions", "products"}
    assert manifest.consent_snapshot["records"] > 0
    assert manifest.parameters["epochs"] > 0
    assert {"popularity", "trending", "lightfm"} <= set(manifest.metrics)
    assert manifest.subject_arrays == {"subjects.parquet": ["subject_vectors.npy"]}
    assert manifest.contract.key == "models/lightfm"


def test_every_asset_says_how_many_rows_it_holds(materialised: dg.ExecuteInProcessResult) -> None:
    rows = {
        asset.key.to_user_string(): _metadata(materialised, asset.key.to_user_string())[
            "dagster/row_count"
        ]
        for asset in ASSETS
    }
    assert rows == {
        "models/popularity": ITEMS,
        "models/trending": ITEMS,
        "models/evaluation": 5,
        "models/lightfm": SUBJECTS - 4,
        "models/item_index": ITEMS,
        "serving/ranker": 4,
    }


def test_every_model_holds_to_its_contract(materialised: dg.ExecuteInProcessResult) -> None:
    for contract in (POPULARITY, TRENDING, EVALUATION, LIGHTFM, ITEM_INDEX):
        findings = examine(contract)
        assert findings.clean, (contract.key, findings)
    assert examine(LIGHTFM)["rows"] == SUBJECTS - 4
    for name, fewest in (("popularity", 10), ("trending", 10)):
        manifest = load_manifest(version_folder(name, latest_version(name)))
        assert manifest.smallest_group == fewest


def test_scores_of_a_snapshot_of_few_people_break_the_contract(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    few = _popularity().set_column(2, "subjects", pa.array([9] * ITEMS))
    lake.replace("product_popularity", few)
    try:
        dg.materialize([baselines.popularity])
        assert examine(POPULARITY)["groups_of_too_few_people"] == 1
    finally:
        lake.replace("product_popularity", _popularity())
        dg.materialize([baselines.popularity])


def test_who_leaves_the_model_is_out_of_the_version_that_still_serves(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    serving = latest_version("lightfm")
    leaver = pseudonym(20)
    assert leaver in load_factor_model(serving).subject_rows
    object_to(leaver, LIGHTFM.key, "privacy_centre")
    try:
        assert dg.materialize([lightfm.lightfm]).success
        assert latest_version("lightfm") != serving
        assert leaver not in load_factor_model(serving).subject_rows
        assert examine(LIGHTFM).clean
    finally:
        withdraw(leaver, LIGHTFM.key, "privacy_centre")
        dg.materialize([lightfm.lightfm, lightfm.item_index, ranker.ranker])


def test_no_pseudonym_is_in_metadata(materialised: dg.ExecuteInProcessResult) -> None:
    for event in materialised.all_events:
        text = str(event)
        assert not any(pseudonym(subject) in text for subject in range(SUBJECTS))


def test_the_published_ranker_serves_each_touchpoint(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    served = Ranker.load()
    for touchpoint in Touchpoint:
        known = served.recommend(RankingRequest(touchpoint, pseudonym(10), context_item="P010"))
        anonymous = served.recommend(RankingRequest(touchpoint))
        assert known.personalised
        assert not anonymous.personalised
        assert len(known.items) == len(anonymous.items) == 20
    assert not served.recommend(
        RankingRequest(Touchpoint.HOMEPAGE, pseudonym(TRAINS_ONLY))
    ).personalised


def test_without_any_agreement_everybody_gets_what_is_popular(shop: None) -> None:
    strangers = _events().to_pylist()
    for row in strangers:
        row["pseudonym"] = "f" * 24 + row["pseudonym"][-8:]
    lake.replace("interactions", pa.Table.from_pylist(strangers, _events().schema))
    try:
        result = dg.materialize(ASSETS)
        assert result.success
        assert "not_measured" in _metadata(result, "models/evaluation")
        ranking = Ranker.load().recommend(RankingRequest(Touchpoint.HOMEPAGE, pseudonym(10)))
        assert not ranking.personalised
        assert ranking.items[0].reason in {"popular now", "trending this week"}
    finally:
        lake.replace("interactions", _events())


def test_trending_is_what_stands_out_not_what_is_big(
    materialised: dg.ExecuteInProcessResult,
) -> None:
    items = baselines.catalogue()
    scores = baselines.trending_scores(items, baselines.popularity_snapshot())
    best = pl.Series(items.product_ids).gather(np.argsort(-scores)[:3]).to_list()
    assert all(int(name[1:]) % 10 == 0 for name in best)
