from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from orchestration.defs.features import online, registry
from orchestration.defs.features.training_set import training_set
from privacy import lake
from recommenders.features import apply_definitions
from recommenders.training_set import COLUMN_TYPES, retrieve_training_set

Record = Callable[..., None]
TIME = pa.timestamp("us", tz="UTC")
NEWEST = datetime.fromisoformat("2024-06-30T12:00:00+00:00")
WEEK = timedelta(days=7)


def _interactions(times: list[tuple[str, str, datetime]]) -> None:
    rows = [
        {
            "pseudonym": pseudonym,
            "product_id": product,
            "weight": 1.0,
            "interactions": 1,
            "first_event": at,
            "last_event": at,
            "event_timestamp": at,
        }
        for pseudonym, product, at in times
    ]
    lake.replace("interaction_matrix", pa.Table.from_pylist(rows, _schema()))


def _schema() -> pa.Schema:
    times = [(name, TIME) for name in ("first_event", "last_event", "event_timestamp")]
    return pa.schema(
        [
            ("pseudonym", pa.string()),
            ("product_id", pa.string()),
            ("weight", pa.float64()),
            ("interactions", pa.int64()),
            *times,
        ]
    )


@pytest.fixture(autouse=True)
def _agreeing(small_lake: None, consent: Record) -> None:
    apply_definitions()
    for name in "ab":
        consent(f"subject-{name}", "model_training")


def test_no_feature_is_later_than_its_event() -> None:
    offsets = [timedelta(days=days, hours=days) for days in range(36)]
    _interactions([("subject-a", "p1", NEWEST - offset) for offset in offsets])
    rows = retrieve_training_set().to_pandas()
    # `interactions_30d` of the test's snapshots is their age in weeks, `product_views_7d` ten times that.
    for feature, per_week in (("interactions_30d", 1), ("product_views_7d", 10)):
        known = rows[rows[feature].notna()]
        taken = NEWEST - pd.to_timedelta(known[feature] / per_week * 7, unit="D")
        assert (taken < known["event_timestamp"]).all()
        in_reach = known["event_timestamp"] <= NEWEST
        assert ((known["event_timestamp"] - taken)[in_reach] <= WEEK).all()
        assert len(known) >= 30


def test_a_snapshot_of_the_events_own_instant_is_not_used() -> None:
    _interactions([("subject-a", "p1", NEWEST)])
    row = retrieve_training_set().to_pylist()[0]
    assert row["interactions_30d"] == 1
    assert row["event_timestamp"] == NEWEST


def test_every_interaction_is_returned_with_or_without_features() -> None:
    times = [NEWEST - timedelta(hours=hours) for hours in range(40)]
    times += [NEWEST - 80 * WEEK, NEWEST + WEEK]
    asked = [(f"subject-{n}", p, at) for n in "ab" for p in ("p1", "p3", "p9") for at in times]
    _interactions([*asked, asked[0]])
    rows = retrieve_training_set().to_pandas()
    columns = ["pseudonym", "product_id", "event_timestamp"]
    found = rows[columns].sort_values(columns).reset_index(drop=True)
    wanted = pd.DataFrame([*asked, asked[0]], columns=columns).sort_values(columns)
    wanted["event_timestamp"] = wanted["event_timestamp"].astype(found["event_timestamp"].dtype)
    pd.testing.assert_frame_equal(found, wanted.reset_index(drop=True))
    assert rows[rows["event_timestamp"] < NEWEST - 70 * WEEK]["interactions_30d"].isna().all()


def test_subjects_who_do_not_agree_or_object_are_left_out(objection: Record) -> None:
    objection("subject-b", "features/training_set")
    _interactions([(f"subject-{name}", "p1", NEWEST) for name in "abc"])
    assert retrieve_training_set()["pseudonym"].to_pylist() == ["subject-a"]


def test_without_interactions_the_set_is_empty_but_has_its_columns() -> None:
    _interactions([])
    empty = retrieve_training_set()
    assert dict(zip(empty.schema.names, empty.schema.types, strict=True)) == COLUMN_TYPES
    _interactions([("subject-a", "p1", NEWEST)])
    assert empty.num_rows == 0
    assert empty.schema == retrieve_training_set().schema


def test_the_assets_fill_both_stores(consent: Record) -> None:
    consent("subject-a", "personalisation")
    _interactions([("subject-a", "p1", NEWEST)])
    assets = [
        registry.registry,
        online.subject_profile_online,
        online.product_popularity_online,
        online.product_attributes_online,
        online.no_count_of_few_people,
        training_set,
    ]
    result = dg.materialize(assets, instance=dg.DagsterInstance.ephemeral())
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    written = lake.open_table("training_set").to_pandas()
    assert list(written["category_affinity"]) == [0.75]
    assert written["carts_7d"].isna().all()
    statistics = lake.open_table("training_set").metadata().configuration
    assert "pseudonym" not in statistics["delta.dataSkippingStatsColumns"].split(",")
