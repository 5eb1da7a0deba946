"""The quality of a raw source, or of what is stored, by the same rules."""

from collections.abc import Iterable
from pathlib import Path

from orchestration.defs.ingest.contracts import COLUMNS
from orchestration.quality.expectations import Inquiry, same_columns
from orchestration.quality.report import QualityReport, TableReport
from orchestration.quality.rules import Stage, key_columns, rules_of
from orchestration.quality.stored import stored_batches, stored_columns
from orchestration.sources.connector import Source, open_source
from orchestration.sources.model import TABLES

__all__ = ["MAX_QUARANTINED", "check_source_table", "check_stored_table", "run_suites"]

MAX_QUARANTINED = 0.05
"""Largest share of a raw table's rows that may be refused unless the caller says otherwise; the project's own choice."""


def run_suites(
    source: str | None = None,
    path: Path | None = None,
    *,
    max_quarantined: float = MAX_QUARANTINED,
) -> QualityReport:
    """Check every table of `source` in the folder `path`, or, without a source, everything that is stored.

    A table of a source fails where the connector refuses a larger share of its rows than `max_quarantined` (0 to 1),
    and where no row is accepted. Raises SourceError where the source cannot be read, DatabaseUnavailableError where no
    Postgres is running, ValueError for a path without a source and for a limit that is no share.
    """
    if not 0 <= max_quarantined <= 1:
        raise ValueError(f"max_quarantined is {max_quarantined}; give a share from 0 to 1.")
    if source is not None:
        opened = open_source(source, path)
        tables = [
            check_source_table(opened, name, max_quarantined=max_quarantined)
            for name in opened.tables()
        ]
        return QualityReport(f"the source {opened.name}", tables)
    if path is not None:
        raise ValueError("A path needs a source: say which with --source.")
    return QualityReport("what is stored", [check_stored_table(name) for name in TABLES])


def check_source_table(
    source: Source, table_name: str, *, max_quarantined: float = MAX_QUARANTINED
) -> TableReport:
    """Check one canonical table of a raw source: the rows that the connector accepts, and how many it refuses."""
    rules, key = rules_of(table_name, Stage.RAW), key_columns(TABLES[table_name], Stage.RAW)
    columns = _wanted(TABLES[table_name].columns, (*(rule.column for rule in rules), *key))
    inquiry, report = Inquiry(rules, key), TableReport(table_name, max_quarantined=max_quarantined)
    for batch in source.read(table_name):
        report.read += batch.read_rows
        report.quarantined.update(row.reason for row in batch.quarantined)
        inquiry.ask(batch.rows.select(columns).to_pandas())
    report.rows, report.results = inquiry.rows, inquiry.results()
    return report


def check_stored_table(table_name: str) -> TableReport:
    """Check one canonical table as it is stored; `rows` is None where it is not."""
    found = stored_columns(table_name)
    if found is None:
        return TableReport(table_name, rows=None)
    rules, key = rules_of(table_name, Stage.STORED), key_columns(TABLES[table_name], Stage.STORED)
    inquiry = Inquiry(rules, key)
    columns = _wanted(found, (*(rule.column for rule in rules), *key))
    for frame in stored_batches(table_name, columns):
        inquiry.ask(frame)
    results = [same_columns(found, list(COLUMNS[table_name])), *inquiry.results()]
    return TableReport(table_name, inquiry.rows, results)


def _wanted(found: Iterable[str], asked: Iterable[str]) -> list[str]:
    """The columns that rules ask for and the table has, each once; a rule on a missing one is reported as broken."""
    present = set(found)
    return [name for name in dict.fromkeys(asked) if name in present]
