"""Scores that are kept up to date are those of the whole history, in whatever order and batches it came."""

from datetime import timedelta
from functools import reduce

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.decayed import DecayedError, empty_state, fold, merged, scores, state_of
from recommenders.signals import signals
from tests.unit.recommenders.histories import END, START, assert_equal, batches, full, numbered

ANNA = "a" * 32


@given(batches(), st.timedeltas(timedelta(0), timedelta(days=1_000)))
def test_folding_batches_in_any_order_equals_the_whole_history(
    parts: list[pl.DataFrame], later: timedelta
) -> None:
    state = reduce(lambda known, part: fold(known, part, signals()), parts, empty_state())
    assert_equal(scores(state, END + later), full(pl.concat(parts), END + later))


@given(batches())
def test_merging_is_commutative_and_associative(parts: list[pl.DataFrame]) -> None:
    a, b, c = (state_of(part, signals()) for part in parts[:3])
    expected = full(pl.concat(parts[:3]), END)
    for state in (
        merged(merged(a, b), c),
        merged(a, merged(b, c)),
        merged(c, b, a),
        merged(merged(c, a), b),
    ):
        assert_equal(scores(state, END), expected)


@given(batches())
def test_a_state_has_one_row_per_key_and_the_time_of_its_newest_event(
    parts: list[pl.DataFrame],
) -> None:
    state = reduce(lambda known, part: fold(known, part, signals()), parts, empty_state())
    assert state.select("pseudonym", "attribute", "value", "half_life_days").is_unique().all()
    told = [weight != 0 for weight in signals().weights.values()]
    weighty = [name for name, say in zip(signals().weights, told, strict=True) if say]
    events = pl.concat(parts).filter(pl.col("signal").is_in(weighty)).drop_nulls("value")
    assert state["as_of"].max() == events["event_timestamp"].max()


def test_a_late_event_adds_what_is_left_of_its_weight() -> None:
    at = START + timedelta(days=60)
    newest = numbered([(ANNA, "category", "dress", "page_view", at)])
    late = numbered([(ANNA, "category", "dress", "purchase", at - timedelta(days=60))])
    state = fold(state_of(newest, signals()), late, signals())
    assert state["as_of"].to_list() == [at]
    assert state["score"].to_list() == [pytest.approx(1.0 + 8.0 / 4)]
    assert scores(state, at + timedelta(days=30))["score"].to_list() == [pytest.approx(1.5)]


def test_what_is_said_outright_does_not_fade_beside_what_does() -> None:
    events = numbered(
        [
            (ANNA, "size", "M", "style_quiz", START),
            (ANNA, "size", "M", "purchase", START),
        ]
    )
    state = state_of(events, signals())
    assert state.height == 2
    told = scores(state, START + timedelta(days=30))
    assert told["score"].to_list() == [pytest.approx(5.0 + 4.0)]


def test_the_past_is_not_made_up() -> None:
    state = state_of(numbered([(ANNA, "size", "M", "purchase", END)]), signals())
    with pytest.raises(DecayedError, match="ask for that time or a later one"):
        scores(state, START)
