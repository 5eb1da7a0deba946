"""The Delta table of interactions: its schema, and rows of a source or of the event stream in it."""

from datetime import UTC, datetime

import pyarrow as pa

from privacy import lake

__all__ = ["PATH", "SCHEMA", "append_interactions", "interactions"]

PATH = "interactions"
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("session", pa.string()),
        ("event_type", pa.string()),
        ("product_id", pa.string()),
        ("size", pa.string()),
        ("query", pa.string()),
        ("dwell_seconds", pa.float32()),
        ("position", pa.int32()),
        ("touchpoint", pa.string()),
        ("ranking_id", pa.string()),
        ("event_timestamp", _TIME),
        ("source", pa.string()),
        ("source_key", pa.string()),
        ("created", _TIME),
    ]
)


def interactions(rows: pa.Table) -> pa.Table:
    """`rows` in the table's schema, created now; columns that the table has not (``event_id``) are left out."""
    created = pa.array([datetime.now(UTC)] * rows.num_rows, _TIME)
    return rows.append_column("created", created).select(SCHEMA.names).cast(SCHEMA)


def append_interactions(rows: pa.Table) -> int:
    """Append the rows that are not in the lake yet; returns how many."""
    return lake.append_new(PATH, interactions(rows))
