"""Decayed affinities that are kept up to date without reading history again.

The score of a value at time t is the sum over its events of

    w * 2 ** (-(t - event time) / half-life)

(exponential decay; Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay", ICDE 2009). All summands of one half-life fade alike,
so one number stands for all of them: the *state*, a score and the time `as_of` that it holds for. Two states of different events are
merged by fading the older one to the newer one's time and adding; a batch of events is a state too. That is commutative and
associative (to rounding), so batches may come in any order: a late event adds what is left of its weight.

A state has one row per subject, attribute, value and half-life (null: it does not fade), for signals that fade differently cannot be
added before they are asked for. It does not know which events are in it: fold each one in once, as `privacy.lake.append_new`
tells what is new. An event that comes several times in one batch counts once.

`recommenders.decayed_spark` says the same for Spark; a property test holds the two to each other and to the sum over all history.
"""

from datetime import datetime

import polars as pl

from recommenders.signals import Signals

__all__ = [
    "KEY",
    "STATE",
    "DecayedError",
    "empty_state",
    "fold",
    "merged",
    "scores",
    "state_of",
]

_TIME = pl.Datetime("us", "UTC")
STATE: dict[str, pl.DataType | type[pl.DataType]] = {
    "pseudonym": pl.String,
    "attribute": pl.String,
    "value": pl.String,
    "half_life_days": pl.Float64,
    "score": pl.Float64,
    "as_of": _TIME,
}
"""Columns of a state; the first four are its key."""
KEY = ("pseudonym", "attribute", "value", "half_life_days")
DAY_US = 86_400_000_000


class DecayedError(ValueError):
    """A score was asked for that the state cannot tell; says why."""


def empty_state() -> pl.DataFrame:
    """The state of no events."""
    return pl.DataFrame(schema=STATE)


def state_of(events: pl.DataFrame, signals: Signals) -> pl.DataFrame:
    """The state of a batch of `events`, in the columns of `STATE`.

    Parameters
    ----------
    events: event_id, pseudonym, attribute (`category`), value (`dress`), signal and event_timestamp (UTC); one row per attribute
        that an event says something about. What says nothing (weight 0, no subject or value) is left out.
    signals: weight and half-life of each signal; one that they do not name says nothing.
    """
    once = events.unique(["event_id", "pseudonym", "attribute", "value"], keep="any")
    told = once.select(
        "pseudonym",
        "attribute",
        "value",
        half_life_days=_looked_up("signal", signals.half_lives_days),
        score=_looked_up("signal", signals.weights).fill_null(0.0),
        as_of=pl.col("event_timestamp").cast(_TIME),
    )
    return merged(told.filter(pl.col("score") != 0).drop_nulls(["pseudonym", "value"]))


def _looked_up(column: str, values: dict[str, float] | dict[str, float | None]) -> pl.Expr:
    return pl.col(column).replace_strict(
        list(values), list(values.values()), default=None, return_dtype=pl.Float64
    )


def merged(*states: pl.DataFrame) -> pl.DataFrame:
    """The one state of all events that `states` are of; an event must be in one of them only."""
    newest = pl.col("as_of").max()
    return (
        pl.concat([state.select(list(STATE)) for state in states])
        .group_by(*KEY)
        .agg(score=(pl.col("score") * _left(newest)).sum(), as_of=newest)
        .select(list(STATE))
    )


def fold(state: pl.DataFrame, events: pl.DataFrame, signals: Signals) -> pl.DataFrame:
    """`state` with a new batch of `events` (see `state_of`), which may be older than what it knows."""
    return merged(state, state_of(events, signals))


def scores(state: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Each value's score at time `at` (UTC): pseudonym, attribute, value, score.

    Raises DecayedError where the state knows events after `at`: what the score was before them is not in it.
    """
    newest = state["as_of"].max()
    if isinstance(newest, datetime) and newest > at:
        raise DecayedError(
            f"The state knows events up to {newest.isoformat()}, so it cannot tell a score at {at.isoformat()}: ask for that time or a later one."
        )
    faded = pl.col("score") * _left(pl.lit(at).cast(_TIME))
    return state.group_by("pseudonym", "attribute", "value").agg(score=faded.sum())


def _left(at: pl.Expr) -> pl.Expr:
    """What is left at time `at` of a score of 1 at `as_of`, by the row's half-life; all of it where there is none."""
    age_days = (at - pl.col("as_of")).dt.total_microseconds() / DAY_US
    return pl.lit(2.0).pow(-age_days / pl.col("half_life_days")).fill_null(1.0)
