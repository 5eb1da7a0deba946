"""What the ledger says of every subject, read into memory as Arrow for set-based work; never written to disk."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from consent.objections import withheld
from consent.purposes import needs_consent
from privacy.contracts import Purpose
from privacy.database import Role, connect

__all__ = ["agreements", "is_permitted", "objectors", "served"]

_TIME = pa.timestamp("us", tz="UTC")
AGREEMENTS_SCHEMA = pa.schema(
    [("pseudonym", pa.string()), ("valid_from", _TIME), ("valid_to", _TIME)]
)


def agreements(purpose: Purpose) -> pa.Table:
    """When those who still agree to `purpose` agreed to it.

    Returns one row per interval: pseudonym, valid_from (included), valid_to (excluded; null: until now), UTC.
    """
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select pseudonym, valid_from, valid_to from consent.intervals where purpose = %s and agreed_now",
            [purpose.value],
        ).fetchall()
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.Table.from_arrays(
        [
            pa.array(values, field.type)
            for values, field in zip(columns, AGREEMENTS_SCHEMA, strict=True)
        ],
        schema=AGREEMENTS_SCHEMA,
    )


def objectors(asset_key: str) -> pa.Table:
    """The subjects who are left out of `asset_key`: one column, pseudonym."""
    return pa.table({"pseudonym": pa.array(sorted(withheld(asset_key)), pa.string())})


def is_permitted(subjects: pa.ChunkedArray, purpose: Purpose, asset_key: str) -> pa.ChunkedArray:
    """For each pseudonym in `subjects`, whether `asset_key` may hold it for `purpose` now (false for null)."""
    allowed = pc.is_valid(subjects)
    if needs_consent(purpose):
        agreed = agreements(purpose)["pseudonym"].combine_chunks()
        allowed = pc.and_(allowed, pc.is_in(subjects, value_set=agreed))
    objected = objectors(asset_key)["pseudonym"].combine_chunks()
    return pc.and_not(allowed, pc.is_in(subjects, value_set=objected))


def served(
    subjects: pa.ChunkedArray, times: pa.ChunkedArray, purposes: Collection[Purpose]
) -> pa.Array:
    """For each row, whether it serves one of `purposes`: agreed to when it happened, and now (false for null).

    The rule of `consent.spark.consented` for rows in memory, decided by the same view; objections are not asked about.
    """
    with connect(Role.CONSENT) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table asked (row int, pseudonym text, at timestamptz) on commit drop"
        )
        with cursor.copy("copy asked (row, pseudonym, at) from stdin") as copy:
            for row in enumerate(zip(subjects.to_pylist(), times.to_pylist(), strict=True)):
                copy.write_row((row[0], *row[1]))
        rows = cursor.execute(
            "select distinct row from asked as a join consent.intervals as agreement on agreement.pseudonym = a.pseudonym "
            "and agreement.purpose = any(%s) and agreement.agreed_now and agreement.valid_from <= a.at "
            "and (agreement.valid_to is null or a.at < agreement.valid_to)",
            [[purpose.value for purpose in purposes]],
        ).fetchall()
    kept = {row[0] for row in rows}
    return pa.array([row in kept for row in range(len(subjects))], pa.bool_())
