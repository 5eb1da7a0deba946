"""The file connector: CSV and Parquet files read through a mapping, in batches and bounded memory.

DuckDB parses and checks while it streams. Only two things span a whole table: hashes of its keys (to find
repeated ones) and, where a mapping folds rows, one row per key. Both spill encrypted (`privacy.duckdb_memory`).
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sources.batch import Batch, QuarantinedRow, SourceError
from orchestration.sources.mapping import CsvFormat, SourceMapping
from orchestration.sources.model import TABLES
from orchestration.sources.query import Parameters, checked_rows, duplicate_keys, folded
from orchestration.sources.repeats import Repeats
from privacy.duckdb_memory import duckdb_in_memory

__all__ = ["FileSource"]

MEMORY_LIMIT = "1GB"
WRONG_MAPPING_SHARE, WRONG_MAPPING_ROWS = 0.5, 3
"""From this share and number of unparsable rows of a file read so far, the mapping is wrong and not the rows."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    kinds: dict[str, str]


@dataclass(slots=True)
class _Tally:
    """Rows of a file read so far, and the first unparsable ones among them."""

    read_rows: int = 0
    unparsable: int = 0
    first: QuarantinedRow | None = None

    def add(self, read_rows: int, quarantined: list[QuarantinedRow]) -> None:
        """Count one batch."""
        found = [row for row in quarantined if row.reason.startswith("unparsable:")]
        self.read_rows += read_rows
        self.unparsable += len(found)
        self.first = self.first or (found[0] if found else None)


class FileSource:
    """A `Source` over the files of one folder; see `orchestration.sources.connector.Source`."""

    def __init__(self, mapping: SourceMapping, path: Path) -> None:
        """Check that each mapped file and column is there; raises `SourceError` where one is not."""
        if not path.exists():
            raise SourceError(f"source {mapping.name}: {path} does not exist; {_advice(mapping)}")
        self.name = mapping.name
        self.declares_consent = "consents" in mapping.tables
        self._mapping = mapping
        self._path = path
        with _connection() as connection:
            self._files = {table: self._found(connection, table) for table in mapping.tables}

    def tables(self) -> tuple[str, ...]:
        """Names of the canonical tables that the mapping provides, in the canonical model's order."""
        return tuple(name for name in TABLES if name in self._mapping.tables)

    def read(self, table: str, *, batch_rows: int = 50_000) -> Iterator[Batch]:
        """Batches of at most `batch_rows` rows read, ordered by file and row (a folded table: by first row).

        Raises `SourceError` for a table that is not mapped, a file that is no valid CSV or Parquet, and a column
        that the mapping cannot parse in most rows.
        """
        if table not in self._mapping.tables:
            raise SourceError(
                f"source {self.name} has no table {table!r}; it has {', '.join(self.tables())}"
            )
        with _connection() as connection:
            read = self._read_folded if self._mapping.tables[table].fold else self._read_rows
            yield from read(connection, table, batch_rows)

    def _read_rows(
        self, connection: duckdb.DuckDBPyConnection, table: str, batch_rows: int
    ) -> Iterator[Batch]:
        bound = Parameters()
        every = [self._query(table, file, bound) for file in self._files[table]]
        found = self._run(connection, duplicate_keys(every), bound)
        repeats = Repeats(found.to_arrow_table())
        for file in self._files[table]:
            bound = Parameters()
            rows = self._query(table, file, bound)
            seen = _Tally()
            for block in self._blocks(connection, rows, bound, batch_rows):
                reasons = repeats.judge(block)
                refused = self._refused(table, file, block, reasons, seen)
                accepted = _canonical(table, block.filter(pc.is_null(reasons)))
                yield Batch(TABLES[table], accepted, refused, block.num_rows)

    def _read_folded(
        self, connection: duckdb.DuckDBPyConnection, table: str, batch_rows: int
    ) -> Iterator[Batch]:
        """First the refused rows, file by file, then one row per key."""
        for file in self._files[table]:
            bound = Parameters()
            rows = self._query(table, file, bound)
            seen = _Tally()
            for block in self._blocks(connection, rows, bound, batch_rows):
                refused = self._refused(table, file, block, block["_reason"], seen)
                yield Batch(TABLES[table], _no_rows(table), refused, block.num_rows)
        bound = Parameters()
        every = [self._query(table, file, bound) for file in self._files[table]]
        query = folded(TABLES[table], self._mapping.tables[table], every)
        for block in self._blocks(connection, query, bound, batch_rows):
            yield Batch(TABLES[table], _canonical(table, block), [], 0)

    def _query(self, table: str, file: _File, bound: Parameters) -> str:
        index = self._files[table].index(file)
        reader = _reader(file, self._mapping.csv, bound)
        mapping = self._mapping.tables[table]
        return checked_rows(TABLES[table], mapping, reader, file.kinds, index, bound)

    def _run(
        self, connection: duckdb.DuckDBPyConnection, query: str, bound: Parameters
    ) -> duckdb.DuckDBPyConnection:
        try:
            return connection.execute(query, bound.values)
        except duckdb.Error as error:
            problem = _unreadable(self.name, error)
        raise problem  # outside the block: DuckDB quotes the row, which must not be this error's context

    def _blocks(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        bound: Parameters,
        batch_rows: int,
    ) -> Iterator[pa.RecordBatch]:
        blocks = self._run(connection, query, bound).to_arrow_reader(batch_rows)
        try:
            yield from blocks
            return
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            problem = _unreadable(self.name, error)
        raise problem

    def _refused(
        self, table: str, file: _File, block: pa.RecordBatch, reasons: pa.Array, seen: _Tally
    ) -> list[QuarantinedRow]:
        """The rows of `block` with a reason; raises `SourceError` where most rows of a file cannot be parsed."""
        refused = pc.is_valid(reasons)
        numbers = block["_row"].filter(refused).to_pylist()
        rows = [
            QuarantinedRow(table, file.name, number, reason)
            for number, reason in zip(numbers, reasons.filter(refused).to_pylist(), strict=True)
        ]
        seen.add(block.num_rows, rows)
        if seen.first and seen.unparsable >= max(
            WRONG_MAPPING_ROWS, WRONG_MAPPING_SHARE * seen.read_rows
        ):
            raise self._wrong_mapping(seen.first, seen)
        return rows

    def _wrong_mapping(self, first: QuarantinedRow, seen: _Tally) -> SourceError:
        column = first.reason.partition(":")[2]
        origin = ", ".join(self._mapping.tables[first.table].columns[column].source_columns)
        return SourceError(
            f"{first.file_name}, row {first.row_number}, column {origin!r}: is no valid {first.table}.{column}, "
            f"like {seen.unparsable} of {seen.read_rows} rows; correct that column in the mapping {self.name}"
        )

    def _found(self, connection: duckdb.DuckDBPyConnection, table: str) -> list[_File]:
        """The table's files with the types of their columns, all mapped columns among them."""
        mapping = self._mapping.tables[table]
        folder, pattern = self._path, mapping.files
        paths = [folder] if folder.is_file() else sorted(folder.glob(pattern))
        if not paths:
            raise SourceError(
                f"source {self.name}: no file {pattern} in {folder} for the table {table}; {_advice(self._mapping)}"
            )
        if len(paths) > 1 and any(
            mapping.columns[key].uses_row_number for key in TABLES[table].key
        ):
            raise SourceError(
                f"source {self.name}: {len(paths)} files match {pattern}, but the ids of {table} are row numbers "
                "of one file; name that file in the mapping"
            )
        return [self._described(connection, table, path) for path in paths]

    def _described(self, connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> _File:
        name = path.name if path == self._path else path.relative_to(self._path).as_posix()
        kinds = _column_kinds(connection, path, name, self._mapping.csv)
        missing = sorted(self._mapping.tables[table].source_columns - kinds.keys())
        if missing:
            raise SourceError(
                f"{name}, row 0 (header): the column {missing[0]!r}, which the mapping {self.name} reads for {table}, "
                f"is not there; the file has {', '.join(kinds)}"
            )
        return _File(path, name, kinds)


def _advice(mapping: SourceMapping) -> str:
    if mapping.name == "simulator":
        return "`./selvedge demo` makes the simulated shop"
    return "give the folder that holds the source's files with --path"


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own: rows of the shop are in clear here, and nowhere on the disk."""
    with duckdb_in_memory(memory_limit=MEMORY_LIMIT, threads=2) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        yield connection


def _reader(file: _File, csv_format: CsvFormat, bound: Parameters) -> str:
    """SQL of a file's columns and `_row`, counted from 1."""
    path = bound.bind(str(file.path))
    if file.path.suffix == ".parquet":
        return (
            "select * exclude (file_row_number), file_row_number + 1 as _row "  # noqa: S608 - the path is bound
            f"from read_parquet({path}, file_row_number = true)"
        )
    options = {
        "columns": dict.fromkeys(file.kinds, "VARCHAR"),
        "delim": csv_format.delimiter,
        "quote": csv_format.quote,
        "escape": csv_format.quote,
        "nullstr": list(csv_format.null),
        "encoding": csv_format.encoding,
    }
    listed = ", ".join(f"{option} = {bound.bind(value)}" for option, value in options.items())
    return (
        f"select *, row_number() over () as _row from read_csv({path}, header = true, "  # noqa: S608 - values are bound
        f"auto_detect = false, {listed})"
    )


def _column_kinds(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, csv_format: CsvFormat
) -> dict[str, str]:
    """DuckDB type of each column of a file; raises `SourceError` for a file without a readable header."""
    try:
        if path.suffix == ".csv":
            with path.open(newline="", encoding=csv_format.encoding) as file:
                rows = csv.reader(file, delimiter=csv_format.delimiter, quotechar=csv_format.quote)
                return dict.fromkeys(next(rows), "VARCHAR")
        found = connection.execute("describe from read_parquet($path)", {"path": str(path)})
        return {row[0]: row[1] for row in found.fetchall()}
    except (OSError, UnicodeDecodeError, StopIteration, csv.Error, duckdb.Error) as error:
        raise SourceError(
            f"{name}: cannot be read as {path.suffix[1:]} ({type(error).__name__}); check the file"
        ) from None


def _unreadable(source: str, error: Exception) -> SourceError:
    """The error without the row that DuckDB quotes in its own."""
    if isinstance(error, duckdb.BinderException | duckdb.ParserException | duckdb.CatalogException):
        raise error  # about the query and not the data: a fault of this connector, which quotes no row
    text = str(error)
    line = re.search(r"on Line: (\d+)", text)
    file = re.search(r"^\s*file = (.+)$", text, re.MULTILINE)
    if line is None:
        return SourceError(f"source {source}: a file cannot be read ({type(error).__name__})")
    name = Path(file.group(1)).name if file else "a file"
    return SourceError(
        f"{name}, line {line.group(1)}: is no valid CSV row (count its columns and quotes); correct the line"
    )


def _no_rows(table: str) -> pa.RecordBatch:
    schema = TABLES[table].schema
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _canonical(table: str, block: pa.RecordBatch) -> pa.RecordBatch:
    """`block` in the table's schema: times without zone are UTC, columns that are not mapped are null."""
    schema = TABLES[table].schema
    present = set(block.schema.names)
    arrays = [
        block[field.name].cast(field.type)
        if field.name in present
        else pa.nulls(block.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
