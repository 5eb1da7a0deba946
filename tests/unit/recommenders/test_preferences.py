"""A statement wins over what is older than it, whatever order they arrive in, and over nothing that is newer."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.preferences import PreferenceState, SignalEvent, preference_of
from recommenders.signals import Explicit, SignalName, signals
from tests.unit.recommenders.histories import END, START, moments

_events = st.lists(
    st.tuples(st.sampled_from(get_args(SignalName)), moments, st.sampled_from([1.0, -1.0, 0.5])),
    max_size=25,
).map(
    lambda rows: [
        SignalEvent(str(number), *row) for number, row in zip(count(), rows, strict=False)
    ]
)


def _full(events: list[SignalEvent], at: datetime) -> float:
    """The rule said once more, over the whole history."""
    kinds = signals().signals
    said = [event for event in events if isinstance(kinds[event.name], Explicit)]
    latest = max((event.at for event in said), default=None)
    weights = [kinds[event.name].weight * event.strength for event in said if event.at == latest]
    score = min(weights, default=0.0)
    for event in events:
        half_life = kinds[event.name].half_life
        if half_life is not None and (latest is None or event.at > latest):
            left = 2.0 ** (-((at - event.at) / half_life))
            score += kinds[event.name].weight * event.strength * left
    return score


@given(_events, st.data())
def test_any_order_and_any_repetition_equals_the_whole_history(
    events: list[SignalEvent], data: Any
) -> None:
    arrived = data.draw(st.permutations(events + events[:3]))
    state = preference_of(arrived, signals())
    assert state.score(END) == pytest.approx(_full(events, END), rel=1e-9, abs=1e-9)


@given(st.tuples(_events, _events, _events))
def test_merging_is_commutative_associative_and_idempotent(
    parts: tuple[list[SignalEvent], ...],
) -> None:
    a, b, c = (
        preference_of([replace(one, event_id=f"{batch}-{one.event_id}") for one in part], signals())
        for batch, part in enumerate(parts)
    )
    assert a.merged(b) == b.merged(a)
    assert a.merged(b).merged(c) == a.merged(b.merged(c))
    assert a.merged(b).merged(a) == a.merged(b)


def _at(days: float) -> datetime:
    return START + timedelta(days=days)


def test_a_statement_overrides_what_is_older_and_not_what_is_newer() -> None:
    older = SignalEvent("1", "purchase", _at(0))
    said = SignalEvent("2", "style_quiz", _at(10), strength=-1.0)
    newer = SignalEvent("3", "page_view", _at(10 + 30))
    assert preference_of([older, said], signals()).score(_at(10)) == -5.0
    assert preference_of([newer, said, older], signals()).score(_at(70)) == -5.0 + 0.5


def test_a_later_statement_overrides_an_earlier_one_and_what_lies_between() -> None:
    first = SignalEvent("1", "style_quiz", _at(0))
    between = SignalEvent("2", "purchase", _at(1))
    last = SignalEvent("3", "feedback", _at(2))
    for arrived in ([first, between, last], [last, between, first]):
        assert preference_of(arrived, signals()).score(_at(400)) == 4.0


def test_a_statement_that_comes_late_keeps_what_was_newer_than_it() -> None:
    known = preference_of(
        [SignalEvent("1", "purchase", _at(0)), SignalEvent("2", "purchase", _at(20))], signals()
    )
    late = preference_of([SignalEvent("3", "style_quiz", _at(10))], signals())
    assert known.merged(late).score(_at(20)) == 5.0 + 8.0


def test_the_past_is_not_made_up() -> None:
    state = preference_of([SignalEvent("1", "purchase", _at(5))], signals())
    with pytest.raises(ValueError, match="ask for that time or a later one"):
        state.score(_at(4))
    assert PreferenceState().score(_at(0)) == 0.0
