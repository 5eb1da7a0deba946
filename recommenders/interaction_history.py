"""What one subject did in the shop, out of `lake/interactions`, as far as they agreed to personalisation when it happened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from privacy import lake
from privacy.duckdb_memory import duckdb_cursor

__all__ = ["LATEST", "Agreements", "Done", "HistoryUnreadableError", "interaction_history"]

LATEST = 20
"""How many products of each kind are told, newest first."""
Agreements = Sequence[tuple[datetime, datetime | None]]
"""When a subject who still agrees agreed: from (included), to (excluded; None: until now)."""

_TABLE = "interactions"
_TIME = pa.timestamp("us", tz="UTC")
_QUERY = """
select event_type, product_id, count(*), max(event_timestamp) as newest
from read_parquet(?) as events
where pseudonym = ? and product_id is not null and event_type <> 'impression'
  and exists (
    select 1 from agreed
    where valid_from <= event_timestamp and (valid_to is null or event_timestamp < valid_to)
  )
group by event_type, product_id
order by newest desc, product_id
"""


class HistoryUnreadableError(RuntimeError):
    """The files of the lake cannot be read; says what to do."""


@dataclass(frozen=True, slots=True)
class Done:
    """One type of event of one subject: how often, when last (UTC), and up to `LATEST` different products, newest first."""

    count: int = 0
    as_of: datetime | None = None
    products: tuple[str, ...] = ()


def interaction_history(pseudonym: str, agreed: Agreements) -> Mapping[str, Done]:
    """Type of event to what was done, of events about a product within `agreed`; impressions are nothing that was done.

    Reads three columns of the whole table, for no index leads to a person in it. Raises HistoryUnreadableError.
    """
    if not agreed or not lake.exists(_TABLE):
        return {}
    rows = _rows(pseudonym, agreed)
    counts: dict[str, int] = defaultdict(int)
    newest: dict[str, datetime] = {}
    products: dict[str, list[str]] = defaultdict(list)
    for kind, product_id, count, at in rows:
        counts[kind] += count
        newest.setdefault(kind, at)
        products[kind].append(product_id)
    return {
        kind: Done(count, newest[kind], tuple(products[kind][:LATEST]))
        for kind, count in counts.items()
    }


def _rows(pseudonym: str, agreed: Agreements) -> list[tuple[str, str, int, datetime]]:
    starts, ends = zip(*agreed, strict=True)
    periods = pa.table({"valid_from": pa.array(starts, _TIME), "valid_to": pa.array(ends, _TIME)})
    # A vacuum may delete files between their listing and their reading: the next listing is without them.
    for last in (False, True):
        files = list(lake.open_table(_TABLE).file_uris())
        if not files:
            return []
        try:
            with duckdb_cursor() as database:
                database.execute("set timezone = 'UTC'")
                database.register("agreed", periods)
                rows: list[tuple[str, str, int, datetime]] = database.execute(
                    _QUERY, [files, pseudonym]
                ).fetchall()
                return rows
        except duckdb.IOException:
            if last:
                raise HistoryUnreadableError(
                    "The files of lake/interactions cannot be read: see whether the lake's folder is mounted, then ask again."
                ) from None
    raise AssertionError("unreachable")
