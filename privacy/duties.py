"""Records that a law keeps after their subject is erased: stripped, without a pseudonym, and gone when the duty ends.

A contract's `Duty` names the law, the fields and the period. At an erasure the subject's rows are moved, in one statement, into
``requests.retained_records``, which the privacy role alone reads: nothing there leads to a subject, no mart and no feature reads
it, and the tombstones keep the sources' copy of the row out.
"""

from collections.abc import Sequence

from psycopg import sql

from privacy.contracts import AssetContract, Duty
from privacy.database import Role, connect
from privacy.stores.base import StoreError, subject_column
from privacy.stores.postgres import postgres_store, relation_exists

__all__ = ["describe", "release", "retain", "under_duty"]

# The last day of the calendar year in which the record arose, and the duty's years.
_KEEP_UNTIL = sql.SQL(
    "make_date(extract(year from {column} at time zone {zone})::int + {years}, 12, 31)"
)


def describe(duty: Duty) -> dict[str, object]:
    """A duty as an export and a certificate tell it."""
    return {
        "reference": duty.reference,
        "fields": list(duty.fields),
        "kept_for": f"{duty.years} calendar years after the year of {duty.column}",
    }


def under_duty(contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
    """How many of each subject's rows the contract's duty keeps."""
    store = postgres_store(contract)
    with connect(Role.PRIVACY) as connection:
        if not relation_exists(connection, store):
            return {}
        query = _statement(
            "select {subject}, count(*) from {table} where {subject} = any(%s) and {until} >= current_date group by 1",
            contract,
        )
        return dict(connection.execute(query, [list(pseudonyms)]).fetchall())


def retain(contract: AssetContract, pseudonyms: Sequence[str]) -> int:
    """Move what the duty keeps of the subjects' rows, and delete the rows; returns how many were kept.

    Rows whose duty has ended are left for the erasure. One statement: a crash leaves a row where it was or where it belongs.
    """
    store, duty = postgres_store(contract), _duty(contract)
    with connect(Role.PRIVACY) as connection:
        if not relation_exists(connection, store):
            return 0
        query = _statement(
            "with gone as (delete from {table} where {subject} = any(%s) and {until} >= current_date returning *) "
            "insert into requests.retained_records (asset_key, reference, record, keep_until) "
            "select %s, %s, jsonb_build_object({fields}), {until} from gone order by gen_random_uuid()",
            contract,
        )
        return connection.execute(query, [list(pseudonyms), contract.key, duty.reference]).rowcount


def ended() -> int:
    """How many records are kept though their duty has ended."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select count(*) from requests.retained_records where keep_until < current_date"
        ).fetchone()
    return int(row[0]) if row else 0


def release() -> int:
    """Delete the records whose duty has ended; returns how many."""
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            "delete from requests.retained_records where keep_until < current_date"
        ).rowcount


def _duty(contract: AssetContract) -> Duty:
    if contract.duty is None:
        raise StoreError(f"Asset {contract.key} is under no duty: nothing of it may be retained.")
    return contract.duty


def _statement(template: str, contract: AssetContract) -> sql.Composed:
    store, duty = postgres_store(contract), _duty(contract)
    until = _KEEP_UNTIL.format(
        column=sql.Identifier(duty.column),
        zone=sql.Literal(duty.time_zone),
        years=sql.Literal(duty.years),
    )
    fields = [part for name in duty.fields for part in (sql.Literal(name), sql.Identifier(name))]
    return sql.SQL(template).format(
        table=sql.Identifier(store.schema_name, store.table),
        subject=sql.Identifier(subject_column(contract)),
        until=until,
        fields=sql.SQL(", ").join(fields),
    )
