"""What an ingest did, in counts, and its entry in the list of runs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from privacy.database import Role, connect

__all__ = ["IngestError", "IngestSummary", "log_run"]


class IngestError(RuntimeError):
    """A table cannot be ingested as asked; says which and what to do."""


@dataclass(slots=True)
class IngestSummary:
    """Counts of one table's ingest.

    Attributes
    ----------
    read: rows of the source looked at, events of the stream included.
    written: rows added or changed.
    unchanged: rows that were there already, repeated, or older than what is there.
    quarantined: rows refused by the checks, listed in ``shop.quarantine``.
    tombstoned: rows dropped because their subject is erased.
    withheld: rows left out because their subject objected to the asset, or, of the event stream, agrees to nothing that they
        would serve.
    overdue: rows refused because they are older than the asset's contract allows, by the day that retention counts from.
    contested: e-mail addresses and phone numbers that lead to nobody from now on, because two subjects have them.
    streamed: rows written that came through the event stream.
    total: rows in the table afterwards.
    """

    table: str
    source: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    quarantined: int = 0
    tombstoned: int = 0
    withheld: int = 0
    overdue: int = 0
    contested: int = 0
    streamed: int = 0
    total: int = 0
    run_id: UUID = field(default_factory=uuid4)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def log_run(summary: IngestSummary) -> None:
    """Add `summary` to ``shop.ingest_runs``, finished now."""
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.ingest_runs (run_id, source, table_name, read_rows, written_rows, unchanged_rows, "
            "quarantined_rows, tombstoned_rows, started, finished) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                summary.run_id,
                summary.source,
                summary.table,
                summary.read,
                summary.written,
                summary.unchanged,
                summary.quarantined,
                summary.tombstoned,
                summary.started,
                datetime.now(UTC),
            ],
        )
