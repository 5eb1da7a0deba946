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

__all__ = ["check_source_table", "check_stored_table", "run_suites"]


def run_suites(source: str | None = None, path: Path | None = None) -> QualityReport:
    """Check every table of `source` in the folder `path`, or, without a source, everything that is stored.

    Raises SourceError where the source cannot be read, DatabaseUnavailableError where no Postgres is running, ValueError
    for a path without a source.
    """
    if source is not None:
        opened = open_source(source, path)
        tables = [check_source_table(opened, name) for name in opened.tables()]
        return QualityReport(f"the source {opened.name}", tables)
    if path is not None:
        raise ValueError("A path needs a source: say which with --source.")
    return QualityReport("what is stored", [check_stored_table(name) for name in TABLES])


def check_source_table(source: Source, table_name: str) -> TableReport:
    """Check one canonical table of a raw source: the rows that the connector accepts, and how many it refuses."""
    rules, key = rules_of(table_name, Stage.RAW), key_columns(TABLES[table_name], Stage.RAW)
    columns = _wanted(TABLES[table_name].columns, (*(rule.column for rule in rules), *key))
    inquiry, report = Inquiry(rules, key), TableReport(table_name)
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
