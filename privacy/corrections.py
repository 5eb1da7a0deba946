"""Corrections that subjects asked for, kept beside the data: a source's older rows do not bring a wrong value back.

Each corrected value is kept under its subject's data key with the time of the correction. `overlaid` puts it into rows of a
source that are not newer than it; a row that the shop changed later is taken as it is. The vault itself keeps the newest of its values;
theirs are kept here for what is made of them at an ingest: the identifiers that lead to a subject, and who is a minor.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from privacy.database import Role, connect
from privacy.vault import Vault

__all__ = [
    "CUSTOMERS",
    "FEEDBACK",
    "INTERACTIONS",
    "VAULT",
    "Correction",
    "corrected_at",
    "corrections_of",
    "keep",
    "overlaid",
]

CUSTOMERS, FEEDBACK, INTERACTIONS = "shop/customers", "shop/feedback", "lake/interactions"
VAULT = "platform/vault"


@dataclass(frozen=True, slots=True)
class Correction:
    """One corrected value.

    Attributes
    ----------
    asset_key, row_key: the row; a customer's own has the row key ``""``, feedback its number, an event its source key.
    column, value: the stored column and what it holds from now on, as JSON knows it.
    """

    asset_key: str
    row_key: str
    column: str
    value: Any = field(repr=False)

    @property
    def bound_to(self) -> str:
        """What its ciphertext is bound to beside the subject."""
        return f"rectification|{self.asset_key}|{self.row_key}|{self.column}"


def keep(pseudonym: str, corrections: Sequence[Correction], at: datetime) -> int:
    """Keep corrections made at `at`, encrypted; a later one of the same value stands. Returns how many were kept."""
    vault = Vault()
    rows = [
        (
            pseudonym,
            correction.asset_key,
            correction.row_key,
            correction.column,
            vault.encrypt_for(pseudonym, correction.bound_to, json.dumps(correction.value)),
            at,
        )
        for correction in corrections
    ]
    with connect(Role.PRIVACY) as connection:
        connection.cursor().executemany(
            "insert into requests.rectifications as held (pseudonym, asset_key, row_key, field, ciphertext, rectified_at) "
            "values (%s, %s, %s, %s, %s, %s) on conflict (pseudonym, asset_key, row_key, field) do update set "
            "ciphertext = excluded.ciphertext, rectified_at = excluded.rectified_at "
            "where excluded.rectified_at >= held.rectified_at",
            rows,
        )
    return len(rows)


def corrections_of(
    pseudonyms: Sequence[str], asset_key: str | None = None
) -> dict[str, list[tuple[Correction, datetime]]]:
    """The corrections of each subject, in one asset or in all, with the time of each."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select pseudonym, asset_key, row_key, field, ciphertext, rectified_at from requests.rectifications "
            "where pseudonym = any(%s) and asset_key = coalesce(%s, asset_key) order by rectified_at, asset_key, row_key, field",
            [list(pseudonyms), asset_key],
        ).fetchall()
    vault = Vault()
    found: dict[str, list[tuple[Correction, datetime]]] = {}
    for pseudonym, asset, row_key, column, ciphertext, at in rows:
        unread = Correction(asset, row_key, column, None)
        value = json.loads(vault.decrypt_for(pseudonym, unread.bound_to, bytes(ciphertext)))
        entry = Correction(asset, row_key, column, value)
        found.setdefault(pseudonym, []).append((entry, at))
    return found


def corrected_at(asset_key: str, column: str) -> dict[str, datetime]:
    """When each subject that corrected their own value of a column did so."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select pseudonym, rectified_at from requests.rectifications "
            "where asset_key = %s and row_key = '' and field = %s",
            [asset_key, column],
        ).fetchall()
    return dict(rows)


def overlaid(rows: pa.Table, asset_key: str, time: str, row_key: str | None = None) -> pa.Table:
    """`rows` of an asset with the values that their subjects corrected since.

    Parameters
    ----------
    rows: with the columns ``pseudonym``, `time` (when a row was last changed in its source) and `row_key` (None where a
        subject has one row). A row changed after a correction is left as it is.
    """
    corrected = _corrected_subjects(asset_key) & set(rows["pseudonym"].unique().to_pylist())
    if not corrected:
        return rows
    entries = corrections_of(sorted(corrected), asset_key)
    changes = _changes(rows, entries, time, row_key)
    for column in {name for _, name in changes}:
        values = rows[column].to_pylist()
        for (position, name), value in changes.items():
            if name == column:
                values[position] = value
        kind = rows.schema.field(column).type
        rows = rows.set_column(rows.column_names.index(column), column, pa.array(values, kind))
    return rows


def _corrected_subjects(asset_key: str) -> set[str]:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select distinct pseudonym from requests.rectifications where asset_key = %s",
            [asset_key],
        ).fetchall()
    return {row[0] for row in rows}


def _changes(
    rows: pa.Table,
    entries: Mapping[str, Sequence[tuple[Correction, datetime]]],
    time: str,
    row_key: str | None,
) -> dict[tuple[int, str], Any]:
    """(row, column) to the corrected value."""
    keys = rows[row_key].to_pylist() if row_key else [""] * rows.num_rows
    times = rows[time].to_pylist()
    changes: dict[tuple[int, str], Any] = {}
    for position, pseudonym in enumerate(rows["pseudonym"].to_pylist()):
        for correction, at in entries.get(pseudonym, ()):
            older = times[position] is None or times[position] <= at
            if (
                older
                and correction.row_key == keys[position]
                and correction.column in rows.column_names
            ):
                changes[position, correction.column] = correction.value
    return changes
