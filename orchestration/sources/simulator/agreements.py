"""What the simulated customers said about data use: agreed, refused, withdrew, agreed again, or said nothing."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.people import People, Times, opaque_ids
from privacy.contracts import Purpose

__all__ = ["agreed_at_start", "consent_table"]

PURPOSES: dict[Purpose, float] = {
    Purpose.PERSONALISATION: 0.80,
    Purpose.MODEL_TRAINING: 0.70,
    Purpose.ANALYTICS: 0.84,
    Purpose.EXPERIMENTATION: 0.70,
    Purpose.MARKETING_EMAIL: 0.45,
}
"""Purposes that need consent (`service` rests on the contract), with the share that agrees when asked."""
SILENT = 0.06
"""Share of customers that closed the banner: no statement, hence no consent."""
WITHDRAWS, RETURNS, AGREES_LATER = 0.07, 0.3, 0.05
GUARDIANS = 0.5
"""Share of minors for whom a guardian confirmed, within two days, what they had agreed to themselves."""
GUARDIAN_MECHANISM = "guardian_email"
_POLICIES = (("2025-05-25", "3.0"), ("2024-01-01", "2.1"), ("1970-01-01", "2.0"))


class _Statements(NamedTuple):
    who: NDArray[np.int64]
    purpose: NDArray[np.int64]
    agreed: NDArray[np.bool_]
    at: Times
    mechanism: str


def agreed_at_start(
    rng: np.random.Generator, people: People
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who answered the banner, (n,), and what they agreed to, (n, purposes).

    A logit: the open-minded agree to more; its scale keeps the shares of `PURPOSES` roughly as they are.
    """
    answered = rng.random(len(people.subject_ids)) >= SILENT
    shares = np.array(list(PURPOSES.values()))
    logit = np.log(shares / (1 - shares)) * 1.3 + 1.3 * people.openness[:, None]
    agreed = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    return answered, agreed & answered[:, None]


def consent_table(
    rng: np.random.Generator,
    people: People,
    answered: NDArray[np.bool_],
    agreed: NDArray[np.bool_],
    stop: np.datetime64,
) -> pa.Table:
    """The raw table `consents`: one row a statement, in the order of their making for each purpose."""
    who, purpose = np.nonzero(np.broadcast_to(answered[:, None], agreed.shape))
    first = _Statements(who, purpose, agreed[who, purpose], people.signed_up[who], "banner")
    withdrawn = _later(rng, first, first.agreed, WITHDRAWS, stop, "privacy_centre")
    again = _later(rng, withdrawn, ~withdrawn.agreed, RETURNS, stop, "privacy_centre")
    late = _later(rng, first, ~first.agreed, AGREES_LATER, stop, "checkout")
    confirmed = _confirmed(rng, people, first, stop)
    return pa.concat_tables(
        [_as_table(rng, people, part) for part in (first, withdrawn, again, late, confirmed)]
    )


def _confirmed(
    rng: np.random.Generator, people: People, first: _Statements, stop: np.datetime64
) -> _Statements:
    """What guardians of minors confirmed by e-mail."""
    (aside,) = rng.spawn(1)
    guarded = people.minor & (aside.random(len(people.minor)) < GUARDIANS)
    chosen = np.flatnonzero(first.agreed & guarded[first.who])
    later = (aside.uniform(0.01, 2, len(chosen)) * 86_400).astype("timedelta64[s]")
    return _Statements(
        first.who[chosen],
        first.purpose[chosen],
        first.agreed[chosen],
        np.minimum(first.at[chosen] + later, stop),
        GUARDIAN_MECHANISM,
    )


def _later(
    rng: np.random.Generator,
    before: _Statements,
    among: NDArray[np.bool_],
    share: float,
    stop: np.datetime64,
    mechanism: str,
) -> _Statements:
    """Statements to the contrary by `share` of those `among`, at any time after the earlier one."""
    chosen = np.flatnonzero(among & (rng.random(len(among)) < share))
    since = before.at[chosen]
    at = since + ((stop - since) * rng.uniform(0.02, 0.98, len(chosen))).astype("timedelta64[us]")
    return _Statements(
        before.who[chosen], before.purpose[chosen], ~before.agreed[chosen], at, mechanism
    )


def _as_table(rng: np.random.Generator, people: People, said: _Statements) -> pa.Table:
    names = np.array([purpose.value for purpose in PURPOSES], dtype=object)
    policy = np.select(
        [said.at >= np.datetime64(start) for start, _ in _POLICIES],
        [version for _, version in _POLICIES],
        default="",
    )
    count = len(said.who)
    languages = np.array([identity.language for identity in people.identities], dtype=object)
    return pa.table(
        {
            "statement": opaque_ids(rng, count),
            "customer_no": pa.array(people.subject_ids[said.who], pa.string()),
            "purpose": pa.array(names[said.purpose], pa.string()),
            "decision": pa.array(np.where(said.agreed, "opt_in", "opt_out"), pa.string()),
            "stated": pa.array(said.at, pa.timestamp("us", tz="UTC")),
            "mechanism": pa.array(np.full(count, said.mechanism, dtype=object), pa.string()),
            "policy": pa.array(policy, pa.string()),
            "shown_in": pa.array(languages[said.who], pa.string()),
        }
    )
