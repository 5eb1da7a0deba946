"""Histories for property tests: signals about values in any order, late ones, several at one moment, and the same one again."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import polars as pl
from hypothesis import strategies as st

from recommenders.signals import SignalName, signals

START = datetime(2025, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=900)
END = START + SPAN
SCHEMA = {
    "event_id": pl.String,
    "pseudonym": pl.String,
    "attribute": pl.String,
    "value": pl.String,
    "signal": pl.String,
    "event_timestamp": pl.Datetime("us", "UTC"),
}
# Few moments, so that several events fall on one, and any microsecond.
moments = st.one_of(
    st.sampled_from([START, START + SPAN / 2, END]),
    st.timedeltas(timedelta(0), SPAN).map(lambda after: START + after),
)
_events = st.tuples(
    st.sampled_from(["a" * 32, "b" * 32]),
    st.sampled_from(["category", "brand"]),
    st.sampled_from(["dress", "coat", None]),
    st.sampled_from([*get_args(SignalName), "heard_of_nowhere"]),
    moments,
)


def numbered(rows: list[Any]) -> pl.DataFrame:
    """Events out of tuples, each with an id of its own."""
    return pl.DataFrame(
        [(str(number), *row) for number, row in enumerate(rows)], schema=SCHEMA, orient="row"
    )


@st.composite
def batches(draw: st.DrawFn, most: int = 40) -> list[pl.DataFrame]:
    """One history cut into batches in an order of its own: what comes first may be newer than what comes last."""
    events = numbered(draw(st.lists(_events, max_size=most)))
    cut = draw(st.lists(st.integers(0, 3), min_size=events.height, max_size=events.height))
    order = draw(st.permutations(range(4)))
    parts = [events.filter(pl.Series(cut, dtype=pl.Int64) == number) for number in order]
    # Delivered twice in its batch: it counts once.
    return [pl.concat([part, part.head(draw(st.integers(0, 2)))]) for part in parts]


def full(events: pl.DataFrame, at: datetime) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Each value's score at `at` and the sum of what it is made of, from the whole history, one event after the other."""
    told: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row in events.unique("event_id").iter_rows(named=True):
        weight = signals().weights.get(row["signal"], 0.0)
        if weight == 0 or row["value"] is None:
            continue
        half_life = signals().half_lives[row["signal"]]
        age = at - row["event_timestamp"]
        left = weight * (1.0 if half_life is None else 2.0 ** (-(age / half_life)))
        key = (row["pseudonym"], row["attribute"], row["value"])
        score, size = told.get(key, (0.0, 0.0))
        told[key] = (score + left, size + abs(left))
    return told


def assert_equal(
    found: pl.DataFrame, expected: dict[tuple[str, str, str], tuple[float, float]]
) -> None:
    """The scores are those of the full computation, to 1e-9 of what they are made of."""
    rows = {(row[0], row[1], row[2]): row[3] for row in found.iter_rows()}
    assert rows.keys() == expected.keys()
    for key, (score, size) in expected.items():
        assert abs(rows[key] - score) <= 1e-9 * max(1.0, size)
