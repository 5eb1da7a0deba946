"""What a source yields, and what can be wrong with it.

SourceError
├── MappingError      the mapping itself: names its file, line and path
└── SimulationError   the simulated shop: what was asked for cannot be made or found

No message and no quarantined row holds the content of a row: a shop's raw data has personal data in every column.
"""

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from orchestration.sources.model import Table

__all__ = ["Batch", "MappingError", "QuarantinedRow", "SimulationError", "SourceError"]


class SourceError(ValueError):
    """A source cannot be read; the message names file, row and column, and what to do."""


class MappingError(SourceError):
    """A mapping is wrong; the message names its file, line and path inside it."""


class SimulationError(SourceError):
    """A simulated shop cannot be made or found as asked."""


class QuarantinedRow(NamedTuple):
    """Where a refused row lies and why it was refused, without its content.

    Attributes
    ----------
    table: canonical table that it was read for.
    file_name: name of the source's file, relative to the source's folder.
    row_number: 1 for the first row of data (a header is not counted).
    reason: one of the words of `orchestration.sources.checks`, such as ``impossible_age``.
    """

    table: str
    file_name: str
    row_number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one canonical table, raw identifiers included.

    Attributes
    ----------
    table: the canonical table.
    rows: accepted rows in `table.schema`.
    quarantined: refused rows among those read for this batch.
    read_rows: rows of the source's files looked at for this batch. Where a mapping folds the rows of one key into
        one, it exceeds accepted plus quarantined rows.
    """

    table: Table
    rows: pa.RecordBatch
    quarantined: list[QuarantinedRow]
    read_rows: int
