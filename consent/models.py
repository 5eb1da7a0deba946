"""Trained models and the ledger: how far each had read it, and who has left the ones that used them.

A refusal or an objection, whichever way it comes in, marks the models that used its subject (a trigger on the ledger does so);
the next training, which reads the ledger anew, takes the marks away.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from privacy.contracts import Purpose
from privacy.database import Role, connect

__all__ = ["ConsentSnapshot", "Due", "due", "left_since", "snapshot", "trained"]


@dataclass(frozen=True, slots=True)
class ConsentSnapshot:
    """How far the ledger reached when a training began to read: its newest record and objection (0: none), and the time."""

    records: int
    objections: int
    at: datetime

    def as_json(self) -> dict[str, int | str]:
        """For a model's manifest."""
        return {"records": self.records, "objections": self.objections, "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Due:
    """How many subjects a model is to forget at its next training, and since when the first of them waits."""

    subjects: int
    since: datetime


def snapshot() -> ConsentSnapshot:
    """How far the ledger reaches now."""
    with connect(Role.CONSENT) as connection:
        row = connection.execute(
            "select (select coalesce(max(record_id), 0) from consent.records), "
            "(select coalesce(max(objection_id), 0) from consent.objections), clock_timestamp()"
        ).fetchone()
    assert row is not None
    return ConsentSnapshot(*row)


def left_since(
    before: ConsentSnapshot,
    subjects: Collection[str],
    purpose: Purpose,
    asset_keys: Sequence[str],
) -> set[str]:
    """Those of `subjects` whose data was read at `before` for `purpose` and the assets, and should not have been.

    Whoever refused the purpose or objected to one of the assets since, or was found to be a minor, or is erased; a refusal of
    an earlier day that arrived only now counts too, and one that was taken back again.
    """
    asked: Mapping[str, Any] = {
        "subjects": list(subjects),
        "purpose": purpose.value,
        "assets": [*asset_keys, "*"],
        "records": before.records,
        "objections": before.objections,
        "at": before.at,
    }
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "with used as (select unnest(%(subjects)s::text[]) as pseudonym) "
            "select pseudonym from used join consent.records using (pseudonym) "
            "where record_id > %(records)s and purpose = %(purpose)s and decision <> 'opt_in' "
            "union select pseudonym from used join consent.objections using (pseudonym) "
            "where objection_id > %(objections)s and asset_key = any(%(assets)s) and decision = 'object' "
            "union select pseudonym from used join consent.minors using (pseudonym) where recorded_at >= %(at)s "
            "union (select pseudonym from used except "
            "select pseudonym from consent.current where purpose = %(purpose)s)",
            asked,
        ).fetchall()
    return {row[0] for row in rows}


def trained(
    asset_key: str, version: str, purposes: Sequence[Purpose], before: ConsentSnapshot
) -> None:
    """Note that a version was trained on what the ledger said at `before`, and take away the marks it has followed.

    `purposes` begins with the one that the subjects' data was read for.
    """
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.trained_models (asset_key, version, purposes, trained_at) values (%s, %s, %s, %s) "
            "on conflict (asset_key) do update set "
            "version = excluded.version, purposes = excluded.purposes, trained_at = excluded.trained_at",
            [asset_key, version, [purpose.value for purpose in purposes], before.at],
        )
        connection.execute(
            "delete from consent.models_due where asset_key = %s and since <= %s",
            [asset_key, before.at],
        )


def due() -> dict[str, Due]:
    """The models that have subjects to forget, by their asset's key."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select asset_key, count(*), min(since) from consent.models_due group by asset_key"
        ).fetchall()
    return {key: Due(count, since) for key, count, since in rows}
