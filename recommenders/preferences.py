"""What a person said of a value (a category, a brand, a size) and what they did since: the statement wins over all that is older.

A preference at time t is the weight of the latest explicit signal, which does not fade, plus what is left of the implicit signals that
are newer than it; without a statement, it is what is left of all of them. A statement at the same moment as a signal wins.

A statement may come late, between signals that are known already, so the state keeps the signals since the last statement one by
one, each under its event's id. Merging two states is a union, a maximum and a cut: commutative, associative and idempotent, so batches
may come in any order and any number of times (a join-semilattice; Shapiro et al., "Conflict-free replicated data types", 2011).
`recommenders.decayed` is what to use where nobody states anything: it keeps one number for all events.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from recommenders.signals import Explicit, SignalName, Signals

__all__ = ["PreferenceState", "SignalEvent", "Statement", "preference_of"]


@dataclass(frozen=True, slots=True)
class SignalEvent:
    """One signal about one value of one subject's attribute; `event_id` names it, `at` is UTC."""

    event_id: str
    name: SignalName
    at: datetime
    strength: float = 1.0
    """Times the signal's weight: -1 for a rating that speaks against."""


@dataclass(frozen=True, slots=True, order=True)
class Statement:
    """An explicit signal; of two at one moment the one that says less counts."""

    at: datetime
    _less: float

    @classmethod
    def of(cls, at: datetime, weight: float) -> "Statement":
        """A statement of `weight`, made at `at`."""
        return cls(at, -weight)

    @property
    def weight(self) -> float:
        """What it adds to the preference."""
        return -self._less


@dataclass(frozen=True, slots=True)
class _Contribution:
    at: datetime
    weight: float
    half_life: timedelta

    def left(self, at: datetime) -> float:
        return float(self.weight * 2.0 ** (-((at - self.at) / self.half_life)))


@dataclass(frozen=True, slots=True)
class PreferenceState:
    """What is known of one subject's preference for one value.

    Attributes
    ----------
    statement: the latest explicit signal, if there was one.
    since: implicit signals newer than it, by event id.
    """

    statement: Statement | None = None
    since: Mapping[str, _Contribution] = field(default_factory=lambda: MappingProxyType({}))

    def merged(self, other: "PreferenceState") -> "PreferenceState":
        """The state of the events of both; an event may be in both."""
        statements = [state.statement for state in (self, other) if state.statement is not None]
        latest = max(statements, default=None)
        known = {**self.since, **other.since}
        return PreferenceState(
            latest,
            MappingProxyType(
                {name: one for name, one in known.items() if latest is None or one.at > latest.at}
            ),
        )

    def score(self, at: datetime) -> float:
        """The preference at time `at` (UTC); raises ValueError where the state knows what happened after it."""
        newest = max(
            [one.at for one in self.since.values()]
            + ([self.statement.at] if self.statement else []),
            default=at,
        )
        if newest > at:
            raise ValueError(
                f"The state knows what happened until {newest.isoformat()}: ask for that time or a later one."
            )
        # In one order, so that states that were merged in different orders give the very same number.
        left = sum(one.left(at) for _, one in sorted(self.since.items()))
        return (self.statement.weight if self.statement else 0.0) + left


def preference_of(events: Iterable[SignalEvent], signals: Signals) -> PreferenceState:
    """The state of `events`, in whatever order they come; those of one value of one subject's attribute."""
    state = PreferenceState()
    for event in events:
        state = state.merged(_of_one(event, signals))
    return state


def _of_one(event: SignalEvent, signals: Signals) -> PreferenceState:
    signal = signals.signals[event.name]
    weight = signal.weight * event.strength
    if isinstance(signal, Explicit):
        return PreferenceState(Statement.of(event.at, weight))
    one = _Contribution(event.at, weight, timedelta(days=signal.half_life_days))
    return PreferenceState(None, MappingProxyType({event.event_id: one}))
