"""Rows of a source that are older than their asset's contract allows: refused before they are looked at.

What retention deleted, a source may repeat every night. The moment is the one that retention itself counts with
(`privacy.retention.refused_before`), so that no row is written which the next run would delete.
"""

from datetime import datetime
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.retention_clock import data_as_of
from privacy.retention import refused_before

__all__ = ["Limit", "limit_of", "parted"]

_Rows = TypeVar("_Rows", pa.RecordBatch, pa.Table)


class Limit(NamedTuple):
    """Rows whose `column` is before `before` (UTC) are overdue."""

    column: str
    before: datetime


def limit_of(table_name: str) -> Limit | None:
    """From when on rows of a canonical table are taken in now; None where they do not age."""
    contract = CONTRACTS[table_name]
    before = refused_before(contract, data_as_of())
    if before is None or contract.retention is None or contract.retention.column is None:
        return None
    return Limit(contract.retention.column, before)


def parted(rows: _Rows, limit: Limit | None) -> tuple[_Rows, _Rows]:
    """The rows that may be written, and those that are overdue; a row without a time is not."""
    if limit is None:
        return rows, rows.slice(0, 0)
    before = pa.scalar(limit.before, rows.schema.field(limit.column).type)
    old = pc.fill_null(pc.less(rows[limit.column], before), fill_value=False)
    return rows.filter(pc.invert(old)), rows.filter(old)
