"""Agreements that run out: a purpose's `valid_for_days` after it was agreed to, it is refused until the person agrees again.

An expiry is a statement like any other, dated when the agreement ran out, not when this was noticed. It names the agreement that
ran out, so that a renewal which was made in time but arrives late makes it void (see the view ``consent.intervals``): whatever the
order in which statements arrive, and however often this ran in between, the ledger says the same in the end.
"""

from datetime import UTC, datetime
from typing import Any

from consent import withdrawal
from consent.ledger import ConsentRecord, Decision, append
from consent.purposes import purpose_definitions
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.pseudonymise import row_keys

__all__ = ["MECHANISM", "expire"]

MECHANISM = "expiry"
_SOURCE = "platform"
_NOT_SHOWN = "none"
_BATCH = 10_000

# Agreements after which nothing was stated before they ran out, and which no expiry names yet.
_RUN_OUT = """
with statements as (
  select pseudonym, purpose, stated_at, bool_and(decision = 'opt_in') as agreed
  from consent.records where purpose = %(purpose)s and decision <> 'expired'
  group by pseudonym, purpose, stated_at
), followed as (
  select *, lead(stated_at) over (partition by pseudonym order by stated_at) as next_at from statements
)
select pseudonym, stated_at, stated_at + %(valid_for)s from followed as f
where agreed and stated_at + %(valid_for)s <= %(now)s
  and (next_at is null or next_at > stated_at + %(valid_for)s)
  and not exists (
    select from consent.records as e
    where e.pseudonym = f.pseudonym and e.purpose = f.purpose and e.decision = 'expired' and e.agreed_at = f.stated_at
  )
"""


def expire(now: datetime | None = None) -> int:
    """Append an expiry for every agreement that has run out by `now`; returns how many there were. Repeating it adds none.

    What serving holds of those whose agreement ran out is dropped at once.
    """
    at, appended = now or datetime.now(UTC), 0
    for purpose, definition in purpose_definitions().items():
        if definition.valid_for is None:
            continue
        asked = {"purpose": purpose.value, "valid_for": definition.valid_for, "now": at}
        with connect(Role.CONSENT) as connection, connection.cursor("run_out") as cursor:
            cursor.execute(_RUN_OUT, asked)
            while rows := cursor.fetchmany(_BATCH):
                appended += _take_in(purpose, rows)
    return appended


def _take_in(purpose: Purpose, rows: list[tuple[Any, ...]]) -> int:
    """Append the expiries of these agreements, but of those whose erasure was begun since they were read; returns how many."""
    with tombstones.writing():
        gone = tombstones.is_erased([row[0] for row in rows])
        alive = [row for row, erased in zip(rows, gone, strict=True) if not erased]
        appended = append(_expiries(purpose, alive))
        withdrawal.catch_up([row[0] for row in alive])
    return appended


def _expiries(purpose: Purpose, rows: list[tuple[Any, ...]]) -> list[ConsentRecord]:
    keys = row_keys(
        _SOURCE, MECHANISM, [(row[0], purpose.value, row[1].isoformat()) for row in rows]
    )
    return [
        ConsentRecord(
            pseudonym,
            purpose,
            Decision.EXPIRED,
            ends_at,
            MECHANISM,
            _NOT_SHOWN,
            _SOURCE,
            key,
            agreed_at=agreed_at,
        )
        for (pseudonym, agreed_at, ends_at), key in zip(rows, keys, strict=True)
    ]
