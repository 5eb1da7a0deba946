"""The raw files of the simulated shop: written row group by row group, and swapped in when complete."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from orchestration.sources.batch import SimulationError

__all__ = ["MANIFEST", "RawFiles", "fresh_folder", "read_manifest"]

MANIFEST = "simulation.json"
"""Written last: its presence says that the folder is complete, and that the simulator may replace it."""


class RawFiles:
    """Open files of one folder; the format follows a file's suffix, a name ending in `/` holds one file a chunk."""

    def __init__(self, folder: Path) -> None:
        """Write below `folder`, which exists."""
        self._folder = folder
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}
        self.rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def append(self, name: str, rows: pa.Table) -> None:
        """Add `rows` to the file `name` (.csv or .parquet); its folder is made where it is missing."""
        if name not in self._writers:
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            opened = (
                csv.CSVWriter(str(path), rows.schema)
                if path.suffix == ".csv"
                else pq.ParquetWriter(str(path), rows.schema, compression="zstd")
            )
            self._writers[name] = self._stack.enter_context(opened)
        self._writers[name].write_table(rows)
        self.rows[name] = self.rows.get(name, 0) + rows.num_rows

    def put(self, name: str, rows: pa.Table) -> None:
        """Write a whole Parquet file that gets no more rows."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path, compression="zstd")
        self.rows[name] = rows.num_rows


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a complete simulation in `folder` says about itself; None where there is none."""
    file = folder / MANIFEST
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `out` when the block ends well.

    Raises `SimulationError` where `out` holds something that is no simulation: a shop's own data is not replaced.
    """
    if out.exists() and any(out.iterdir()) and read_manifest(out) is None:
        raise SimulationError(
            f"{out} holds files that no simulation made: name an empty folder, or remove them yourself"
        )
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        yield partial
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
