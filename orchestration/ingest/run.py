"""The ingest of one canonical table: read, pseudonymise, leave out, write, count."""

import json
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from consent import ledger, minors, objections, withdrawal
from consent.agreements import served
from orchestration.ingest import event_stream, relational
from orchestration.ingest.consents import consent_batches
from orchestration.ingest.interactions import PATH, SCHEMA, append_interactions
from orchestration.ingest.overdue import limit_of, parted
from orchestration.ingest.summary import IngestError, IngestSummary, log_run
from orchestration.sources.batch import Batch
from orchestration.sources.connector import Source
from orchestration.sources.model import TABLES, Table
from privacy import lake, tombstones
from privacy.contracts import Purpose
from privacy.corrections import VAULT, overlaid
from privacy.database import Role, connect
from privacy.erasure import erase_from
from privacy.pseudonymise import PseudonymisedBatch, Pseudonymiser
from privacy.registry import load
from privacy.restore import refuse_restored
from privacy.stores.scrub import scrub_redis

__all__ = ["asset_key", "ingest"]

_BATCH_ROWS = {"interactions": 100_000, "feedback": 20_000, "quiz_answers": 20_000}
_DEFAULT_BATCH_ROWS = 50_000
_CONSENT_COLUMNS = (
    "pseudonym",
    "purpose",
    "decision",
    "stated_at",
    "mechanism",
    "policy_version",
    "source",
    "source_key",
    "policy_sha256",
    "language",
)
# What the API takes events in for; see `serving.intake`.
_EVENTS_SERVE = (Purpose.PERSONALISATION, Purpose.ANALYTICS)
# Tables whose rows subjects may correct, and the column that names a row; a customer has one row.
_CORRECTED = {"customers": None, "feedback": "feedback_id", "interactions": "source_key"}
_STREAM = "platform/event_stream"
_Write = Callable[[pa.Table], int]


def asset_key(table_name: str) -> str:
    """Key of the asset that a canonical table is ingested into."""
    special = {"interactions": "lake/interactions", "consents": ledger.ASSET_KEY}
    return special.get(table_name, f"shop/{table_name}")


def ingest(table_name: str, source: Source, *, assume_consent: bool = False) -> IngestSummary:
    """Bring one canonical table of `source` into the platform; repeating it changes nothing.

    Rows of erased subjects, of those who objected to the asset, and rows that are overdue already are left out, and what the
    asset still held of who objected is removed; the ledger, the proof of consent, keeps all that was stated until an erasure. Raises SourceError, IngestError, RestoredError, or what the stores raise.
    """
    if table_name not in TABLES:
        raise IngestError(f"No table '{table_name}': use one of {', '.join(TABLES)}.")
    refuse_restored()
    table, summary = TABLES[table_name], IngestSummary(table_name, source.name)
    write, limit = _writer(table), limit_of(table_name)
    pseudonymiser = Pseudonymiser()
    for batch in _batches(table, source, assume_consent=assume_consent):
        relational.quarantine(source.name, batch.quarantined)
        summary.read += batch.read_rows
        summary.quarantined += len(batch.quarantined)
        rows, overdue = parted(batch.rows, limit)
        summary.overdue += overdue.num_rows
        with tombstones.writing():
            _meet_again(overdue, table, source, pseudonymiser)
            done = pseudonymiser.apply(rows, table, source.name)
            summary.tombstoned += done.tombstoned
            summary.contested += done.contested
            _record_minors(done)
            stored = _corrected(done.rows, table)
            summary.written += _write_allowed(stored, summary, write)
    if table_name == "consents":
        _meet_customers_again(source, pseudonymiser)
    if table_name == "interactions":
        _drain_stream(summary)
    _remove_withheld(table)
    summary.unchanged = summary.read - (
        summary.written
        + summary.quarantined
        + summary.tombstoned
        + summary.withheld
        + summary.overdue
    )
    summary.total = _total(table)
    log_run(summary)
    return summary


def _batches(table: Table, source: Source, *, assume_consent: bool) -> Iterator[Batch]:
    if table.name == "consents":
        yield from consent_batches(source, assume_consent=assume_consent)
    elif table.name in source.tables():
        size = _BATCH_ROWS.get(table.name, _DEFAULT_BATCH_ROWS)
        yield from source.read(table.name, batch_rows=size)


def _writer(table: Table) -> _Write:
    if table.name == "interactions":
        lake.create_or_open(PATH, SCHEMA)
        return append_interactions
    if table.name == "consents":
        return _append_statements
    return lambda rows: relational.upsert(table, rows)


def _append_statements(rows: pa.Table) -> int:
    """Add statements to the ledger; what serving holds of those who refused is dropped at once."""
    added = ledger.append(rows.select(_CONSENT_COLUMNS).append_column("proof", _proofs(rows)))
    refused = rows.filter(pc.not_equal(rows["decision"], ledger.Decision.OPT_IN.value))
    withdrawal.catch_up(pc.unique(refused["pseudonym"]).to_pylist())
    return added


def _record_minors(done: PseudonymisedBatch) -> None:
    """Note which customers are below the age of digital consent, before any statement of theirs is looked at.

    By what they corrected since, where that is newer than the row.
    """
    if done.born is None:
        return
    told = done.rows.append_column("birth_date", done.born.cast(pa.string()))
    told = told.filter(pc.is_valid(told["pseudonym"])).sort_by("updated_at")
    told = overlaid(_corrected(told, TABLES["customers"]), VAULT, "updated_at")
    born = told["birth_date"].cast(pa.date32())
    columns = (told["pseudonym"], born, told["country"], told["signed_up_at"])
    minors.record(*(column.to_pylist() for column in columns))


def _meet_again(
    overdue: pa.RecordBatch, table: Table, source: Source, pseudonymiser: Pseudonymiser
) -> None:
    """Of a customer whose row is overdue nothing is stored; of one who is known otherwise, vault and ages stay up to date."""
    if table.name == "customers" and overdue.num_rows:
        _record_minors(pseudonymiser.apply(overdue, table, source.name, known_only=True))


def _meet_customers_again(source: Source, pseudonymiser: Pseudonymiser) -> None:
    """Look again at customers whose rows are overdue: a statement may have made some known since, and whether it counts
    depends on their age."""
    customers, limit = TABLES["customers"], limit_of("customers")
    for batch in _batches(customers, source, assume_consent=False):
        with tombstones.writing():
            _meet_again(parted(batch.rows, limit)[1], customers, source, pseudonymiser)


def _corrected(rows: pa.Table, table: Table) -> pa.Table:
    """The rows with what their subjects corrected since they were last changed in the source."""
    if table.name not in _CORRECTED:
        return rows
    return overlaid(rows, asset_key(table.name), table.time, _CORRECTED[table.name])


def _proofs(rows: pa.Table) -> pa.Array:
    """As JSON, the entry of the shop's consent manager that a statement came from; null where the source names none."""
    return pa.array(
        [
            json.dumps({"kind": "export", "reference": reference}) if reference else None
            for reference in rows["proof_reference"].to_pylist()
        ],
        pa.string(),
    )


def _write_allowed(rows: pa.Table, summary: IngestSummary, write: _Write) -> int:
    """Write the rows but those of subjects who objected to the asset; returns how many were added or changed."""
    if "pseudonym" in rows.column_names:
        named = rows.filter(pc.is_valid(rows["pseudonym"]))
        summary.quarantined += (
            rows.num_rows - named.num_rows
        )  # a blank customer number names nobody
        rows = named
        withheld = pa.array(_left_out(summary.table), pa.string())
        allowed = rows.filter(pc.invert(pc.is_in(rows["pseudonym"], value_set=withheld)))
        summary.withheld += rows.num_rows - allowed.num_rows
        rows = allowed
    return write(rows) if rows.num_rows else 0


def _drain_stream(summary: IngestSummary) -> None:
    late: set[str] = set()
    limit = limit_of(summary.table)

    def store(page: event_stream.EventPage) -> None:
        relational.quarantine(event_stream.SOURCE, page.refused)
        summary.read += page.read
        summary.quarantined += len(page.refused)
        rows, overdue = parted(page.rows, limit)
        summary.overdue += overdue.num_rows
        with tombstones.writing():
            pseudonyms = rows["pseudonym"].to_pylist()
            gone = tombstones.is_erased(pseudonyms)
            late.update(name for name, erased in zip(pseudonyms, gone, strict=True) if erased)
            alive = rows.filter(pa.array([not erased for erased in gone], pa.bool_()))
            summary.tombstoned += rows.num_rows - alive.num_rows
            agreed = alive.filter(
                served(alive["pseudonym"], alive["event_timestamp"], _EVENTS_SERVE)
            )
            summary.withheld += alive.num_rows - agreed.num_rows
            written = _write_allowed(agreed, summary, append_interactions)
        summary.streamed += written
        summary.written += written

    event_stream.drain(store)
    if late:
        # An erased subject's late events are dropped, and their bytes leave Redis's files as well.
        erase_from(load().get(_STREAM), sorted(late))
        scrub_redis()


def _left_out(table_name: str) -> list[str]:
    """Pseudonyms of those who objected to the asset; of none for the ledger, where a withdrawal must always arrive."""
    return [] if table_name == "consents" else sorted(objections.objecting(asset_key(table_name)))


def _remove_withheld(table: Table) -> None:
    """Remove what the asset holds of subjects who objected to it since it was written."""
    if "subject_id" not in table.columns:
        return
    withheld = _left_out(table.name)
    if not withheld:
        return
    if table.name == "interactions":
        if lake.holds(PATH, "pseudonym", withheld):
            lake.erase(PATH, "pseudonym", withheld)
    else:
        relational.delete_subjects(table, withheld)


def _total(table: Table) -> int:
    if table.name == "interactions":
        return lake.count(PATH)
    if table.name == "consents":
        with connect(Role.CONSENT) as connection:
            row = connection.execute("select count(*) from consent.records").fetchone()
        assert row is not None
        return int(row[0])
    return relational.count_rows(table)
