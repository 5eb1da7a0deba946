"""A little dirt in the simulated shop's tables, counted, so that the quarantine has something true to show."""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.sources.simulator.people import opaque_ids
from orchestration.sources.simulator.taste import Ints

__all__ = ["Dirt", "soil"]

Dirt = Counter[tuple[str, str]]
"""(canonical table, reason of the quarantine) to planted rows."""

_KEYS = {"order_lines": "line_no", "feedback": "feedback_no", "interactions": "event"}
_PLANTED: dict[str, tuple[tuple[str, float, str, object], ...]] = {
    "order_lines": (
        ("missing_customer", 0.002, "customer_no", None),
        ("quantity_not_positive", 0.002, "quantity", -1),
    ),
    "feedback": (("missing_customer", 0.002, "customer_no", None),),
    "interactions": (
        ("missing_customer", 0.0005, "customer_no", None),
        ("unknown_event_type", 0.0002, "action", "pageveiw"),
    ),
}
"""Per table: the reason, the share of rows, and the column with its wrong value."""
_REPEATED = ("orders", "order_lines", "interactions")
_WRONG_BIRTH_DATES = ("1884-01-01", "1900-01-01", "00.00.0000")


def soil(rng: np.random.Generator, table: str, rows: pa.Table, dirt: Dirt) -> pa.Table:
    """`rows` of a raw table with dirt; what was planted is added to `dirt`.

    Dirty rows come below the clean ones, except that some customers' dates of birth are replaced.
    """
    if not rows.num_rows:
        return rows
    if table == "customers":
        return _wrong_birth_dates(rng, rows, dirt)
    parts = [rows]
    for reason, share, column, value in _PLANTED.get(table, ()):
        parts.append(_copies(rng, rows, share, {column: value}, _KEYS[table]))
        dirt[table, reason] += parts[-1].num_rows
    if table in _REPEATED:
        parts.append(rows.take(_chosen(rng, rows.num_rows, 0.001)))
        dirt[table, "exact_duplicate"] += parts[-1].num_rows
    return pa.concat_tables(parts)


def _chosen(rng: np.random.Generator, count: int, share: float) -> Ints:
    return np.sort(rng.choice(count, max(1, round(count * share)), replace=False))


def _copies(
    rng: np.random.Generator, rows: pa.Table, share: float, changes: dict[str, object], key: str
) -> pa.Table:
    """Copies of some rows with the `changes` and keys of their own."""
    copies = rows.take(_chosen(rng, rows.num_rows, share))
    columns = {key: opaque_ids(rng, copies.num_rows)}
    for name, value in changes.items():
        columns[name] = pa.array([value] * copies.num_rows, rows.schema.field(name).type)
    for name, column in columns.items():
        copies = copies.set_column(copies.schema.get_field_index(name), name, column)
    return copies


def _wrong_birth_dates(rng: np.random.Generator, rows: pa.Table, dirt: Dirt) -> pa.Table:
    born = rows["born"].to_pylist()
    chosen = rng.permutation(len(born))[: max(3, round(len(born) * 0.003))]
    for index, row in enumerate(chosen):
        born[row] = _WRONG_BIRTH_DATES[index % 3]
        reason = "unparsable:birth_date" if index % 3 == 2 else "impossible_age"
        dirt["customers", reason] += 1
    return rows.set_column(rows.schema.get_field_index("born"), "born", pa.array(born, pa.string()))
