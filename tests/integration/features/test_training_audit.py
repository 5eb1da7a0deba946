"""The training set is held against a second computation, which notices a look ahead, a lost row and a changed value."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from orchestration.defs.features.training_set import no_feature_from_the_future
from privacy import lake
from privacy.settings import PlatformSettings
from recommenders import training_set
from recommenders.features import apply_definitions
from recommenders.training_audit import TrainingAudit, audit
from recommenders.training_set import TRAINING_SET, retrieve_training_set
from tests.integration.features.conftest import (
    MATRIX_SCHEMA,
    NEWEST,
    POPULARITY_SCHEMA,
    PROFILE_SCHEMA,
    WEEK,
    profile,
    write,
)

Record = Callable[..., None]


def _interaction(pseudonym: str, product: str, at: datetime) -> dict[str, object]:
    times = dict.fromkeys(("first_event", "last_event", "event_timestamp"), at)
    return {
        "pseudonym": pseudonym,
        "product_id": product,
        "weight": 0.1,
        "interactions": 1,
        **times,
    }


@pytest.fixture(autouse=True)
def _made(small_lake: None, consent: Record) -> None:
    """Interactions before, at and between the snapshots, of which no two have the same features."""
    apply_definitions()
    snapshots = [
        profile(f"subject-{name}", weeks, mean_price=10.0 + weeks / 3, top_brands=[f"b{weeks}"])
        for name in "abc"
        for weeks in range(6)
    ]
    write("subject_profile", PROFILE_SCHEMA, snapshots)
    for name in "ab":
        consent(f"subject-{name}", "model_training")
    rows = [
        _interaction(f"subject-{name}", product, NEWEST - weeks * WEEK + offset)
        for name in "abc"
        for product in ("p1", "p2", "p3", "p9")
        for weeks in range(8)
        for offset in (timedelta(0), timedelta(microseconds=1), timedelta(days=2))
    ]
    write("interaction_matrix", MATRIX_SCHEMA, rows)
    _store(retrieve_training_set())


def _store(rows: pa.Table | pl.DataFrame) -> None:
    written = lake.open_table(TRAINING_SET).schema() if lake.exists(TRAINING_SET) else None
    table = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
    lake.replace(TRAINING_SET, table.cast(pa.schema(written)) if written else table)


def _stored() -> pl.DataFrame:
    return pl.DataFrame(lake.open_table(TRAINING_SET).to_pyarrow_table())


def _wrong(found: TrainingAudit) -> dict[str, int]:
    names = ("dropped", "added", "newer")
    return {name: count for name in names if (count := getattr(found, name))}


def test_every_row_is_recomputed_to_the_last_bit() -> None:
    found = audit(most=None)
    assert found == TrainingAudit(
        rows=192, dropped=0, added=0, sampled=192, equal=192, newer=0, differing={}
    )
    assert found.holds


def test_a_sample_is_the_same_each_time() -> None:
    _store(_stored().with_columns(mean_price=pl.col("mean_price").shuffle(seed=1)))
    first, again, other = audit(most=20), audit(most=20), audit(most=20, seed=1)
    assert first.sampled == 20
    assert first == again != other


def test_a_join_that_looks_one_snapshot_ahead_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(training_set, "BEFORE", -WEEK)
        _store(retrieve_training_set())
    found = audit(most=None)
    assert not found.holds
    assert found.newer > 100
    assert "interactions_30d" in found.differing
    assert (found.dropped, found.added) == (0, 0)


def test_a_snapshot_of_the_interactions_own_instant_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as at_once:
        at_once.setattr(training_set, "BEFORE", timedelta(0))
        _store(retrieve_training_set())
    found = audit(most=None)
    # Two subjects and four products at six snapshots' own instants.
    assert found.newer == 2 * 4 * 6
    assert found.equal == found.sampled - found.newer


def test_shuffled_times_are_noticed() -> None:
    _store(_stored().with_columns(event_timestamp=pl.col("event_timestamp").shuffle(seed=3)))
    found = audit(most=None)
    assert not found.holds
    assert found.equal < found.sampled
    assert found.newer
    assert found.dropped == found.added > 0


def test_a_dropped_row_and_an_invented_one_are_noticed() -> None:
    rows = _stored()
    _store(pl.concat([rows[1:], rows[-1:]]))
    assert _wrong(audit(most=None)) == {"dropped": 1, "added": 1}


def test_rows_that_may_no_longer_be_kept_are_not_missed() -> None:
    since = NEWEST - WEEK
    _store(_stored().filter(pl.col("event_timestamp") >= since))
    assert audit(since, most=None).holds
    assert audit(most=None).dropped == 144


@pytest.mark.parametrize(
    "change",
    [
        pl.col("mean_price") + 2e-15,
        pl.col("price_affinity").fill_null(0.0),
        pl.col("top_categories").list.reverse(),
        pl.col("carts_7d").fill_null(0),
    ],
    ids=["last bit", "null", "order", "count"],
)
def test_a_changed_value_is_noticed(change: pl.Expr) -> None:
    _store(_stored().with_columns(change))
    found = audit(most=None)
    assert not found.holds
    assert list(found.differing) == [change.meta.output_name()]


def test_a_change_that_a_later_snapshot_does_not_explain_is_no_look_ahead() -> None:
    _store(_stored().with_columns(mean_price=pl.lit(1.0)))
    assert audit(most=None).newer == 0


def test_of_two_rows_of_one_instant_the_later_computed_counts() -> None:
    snapshots = [
        {
            "product_id": "p1",
            "event_timestamp": NEWEST - WEEK,
            "created": NEWEST + timedelta(minutes=minutes),
            "subjects": 40,
            "purchases_30d": 20 + minutes,
        }
        for minutes in (2, 3, 1)
    ]
    write("product_popularity", POPULARITY_SCHEMA, snapshots)
    _store(retrieve_training_set())
    found = audit(most=None)
    assert found.holds
    bought = _stored().filter(pl.col("product_id") == "p1")["purchases_30d"].drop_nulls()
    assert set(bought) == {23}


def test_the_check_of_the_asset_tells_counts_alone(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "retention_as_of", NEWEST.date())
    result: Any = no_feature_from_the_future()
    assert result.passed
    _store(_stored()[1:].with_columns(views_7d=pl.col("views_7d") + 1))
    result = no_feature_from_the_future()
    assert not result.passed
    told = {name: entry.value for name, entry in result.metadata.items()}
    assert told.pop("differing") == {"views_7d": told["sampled"] - told["equal"]}
    assert all(isinstance(count, int) for count in told.values())
    assert told["dropped"] == 1
