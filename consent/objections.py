"""Objections to assets: who wants to be left out of which one, whatever they agreed to.

An objection to ``*`` is a restriction (Art. 18): it holds for every asset, but what was ingested is kept meanwhile, so an ingest asks
`objecting`, and everything that uses data asks `withheld`.
"""

from datetime import datetime

from privacy.database import Role, connect
from privacy.withholding import EVERYTHING

__all__ = ["object_to", "objecting", "objections_of", "withdraw", "withheld"]


def object_to(pseudonym: str, asset_key: str, mechanism: str) -> bool:
    """Leave the subject out of `asset_key` from now on; returns False where they were left out already."""
    return _state(pseudonym, asset_key, "object", mechanism)


def withdraw(pseudonym: str, asset_key: str, mechanism: str) -> bool:
    """Take an objection back; returns False where there was none."""
    return _state(pseudonym, asset_key, "withdraw", mechanism)


def withheld(asset_key: str, before: datetime | None = None) -> frozenset[str]:
    """Pseudonyms of the subjects whose data in `asset_key` is not to be used: they object to it, or restricted all use.

    With `before`, only those who did so before that moment, and still do.
    """
    return _objecting([asset_key, EVERYTHING], before)


def objecting(asset_key: str, before: datetime | None = None) -> frozenset[str]:
    """Pseudonyms of the subjects who object to this very asset: it must not hold them."""
    return _objecting([asset_key], before)


def _objecting(asset_keys: list[str], before: datetime | None) -> frozenset[str]:
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select pseudonym from consent.withheld where asset_key = any(%(keys)s) "
            "and (%(before)s::timestamptz is null or withheld_since < %(before)s)",
            {"keys": asset_keys, "before": before},
        )
        return frozenset(row[0] for row in rows)


def objections_of(pseudonym: str) -> frozenset[str]:
    """Keys of the assets that the subject is left out of."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select asset_key from consent.withheld where pseudonym = %s", [pseudonym]
        )
        return frozenset(row[0] for row in rows)


def _state(pseudonym: str, asset_key: str, decision: str, mechanism: str) -> bool:
    """Record `decision` where it changes something; one statement at a time for a subject."""
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('objection|' || %s, 0))", [pseudonym]
        )
        row = connection.execute(
            "select 1 from consent.withheld where pseudonym = %s and asset_key = %s",
            [pseudonym, asset_key],
        ).fetchone()
        if (row is not None) == (decision == "object"):
            return False
        connection.execute(
            "insert into consent.objections (pseudonym, asset_key, decision, mechanism) values (%s, %s, %s, %s)",
            [pseudonym, asset_key, decision, mechanism],
        )
    return True
