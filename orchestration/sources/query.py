"""The SQL of a mapping: one DuckDB query per file that parses, checks and numbers its rows.

Every value of a mapping is a bound parameter and every name is quoted; only the platform's own words are SQL text.
Times leave the query as UTC without a zone.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from orchestration.sources.checks import missing_reason, rules_of
from orchestration.sources.mapping import ROW, ColumnMapping, Condition, TableMapping
from orchestration.sources.model import Table
from privacy.clocks import AHEAD

__all__ = ["Parameters", "checked_rows", "duplicate_keys", "folded", "quoted"]

FILE_BITS = 40
"""A row's position over all files is file index << 40 | row number: 10^12 rows a file."""
COMMONEST = 3


_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NUMERIC = (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT")
_TEMPORAL = ("DATE", "TIMESTAMP")
"""DuckDB types that are cast as they are; others (texts, enumerations, booleans, lists) are read as text first."""


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Parameters:
    """Named parameters of one query."""

    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        """The placeholder of `value`."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def _known(column: str, kind: str) -> str:
    """A source column with blanks and NaN as null."""
    name = quoted(column)
    if kind in ("DOUBLE", "FLOAT"):
        return f"case when not isnan({name}) then {name} end"
    if kind.startswith(_NUMERIC + _TEMPORAL):
        return name
    return f"nullif(trim({name}::varchar), '')"


def _as_integer_text(source: str) -> str:
    return f"try_cast(try_cast(({source})::varchar as double) as bigint)::varchar"


def _source_value(mapping: ColumnMapping, kinds: dict[str, str], bound: Parameters) -> str:
    """SQL of the value before it is parsed."""
    if mapping.constant is not None:
        return bound.bind(mapping.constant)
    if mapping.template is not None:
        parts = [
            ("_row::varchar" if text == ROW else f"{_known(text, kinds[text])}::varchar")
            if is_column
            else bound.bind(text)
            for is_column, text in mapping.pieces
        ]
        return "(" + " || ".join(parts) + ")"
    assert mapping.from_ is not None  # the mapping's validator
    source = _known(mapping.from_, kinds[mapping.from_])
    for unknown in mapping.null_if:
        source = f"case when ({source})::varchar is distinct from {bound.bind(unknown)} then {source} end"
    return source


def _as_text_unless(kinds: tuple[str, ...], source: str, origin: str) -> str:
    """`source`, as text where its DuckDB type `origin` cannot be cast (a number to a time, say)."""
    return f"({source})" if origin.startswith(kinds) else f"({source})::varchar"


def _parsed(
    source: str, origin: str, mapping: ColumnMapping, kind: pa.DataType, bound: Parameters
) -> str:
    """SQL of the value, of DuckDB type `origin`, in its canonical type; null where it cannot be parsed."""
    if pa.types.is_timestamp(kind):
        return _time(source, origin, mapping, bound)
    if pa.types.is_date(kind):
        return f"try_cast({_time(source, origin, mapping, bound)} as date)"
    if pa.types.is_list(kind) and mapping.gather == "latest":
        return _list(source, mapping, bound)
    if pa.types.is_floating(kind):
        number = _scaled(source, origin, mapping, bound)
        return f"case when isfinite({number}) then {number} end"
    if pa.types.is_integer(kind):
        number = _scaled(source, origin, mapping, bound)
        return f"case when {number} = floor({number}) then try_cast({number} as integer) end"
    return _text(source, mapping, bound)


def _scaled(source: str, origin: str, mapping: ColumnMapping, bound: Parameters) -> str:
    number = f"try_cast({_as_text_unless(_NUMERIC, source, origin)} as double)"
    return number if mapping.scale is None else f"({number} * {bound.bind(mapping.scale)}::double)"


def _time(source: str, origin: str, mapping: ColumnMapping, bound: Parameters) -> str:
    """UTC timestamp without zone. A text that names an offset keeps it, otherwise the mapping's zone counts."""
    if mapping.format is not None:
        local = f"try_strptime(({source})::varchar, {bound.bind(mapping.format)})"
    else:
        local = f"try_cast({_as_text_unless(_TEMPORAL, source, origin)} as timestamptz)"
    if mapping.timezone == "UTC":
        return f"({local})::timestamp"
    return f"timezone({bound.bind(mapping.timezone)}, ({local})::timestamp)::timestamp"


def _list(source: str, mapping: ColumnMapping, bound: Parameters) -> str:
    separator = bound.bind(mapping.split or "|")
    split = f"string_split(({source})::varchar, {separator})"
    return f"list_filter(list_transform({split}, lambda part: trim(part)), lambda part: part <> '')"


def _text(source: str, mapping: ColumnMapping, bound: Parameters) -> str:
    text = _as_integer_text(source) if mapping.integer else f"({source})::varchar"
    if mapping.case is not None:
        text = f"{mapping.case}({text})"
    if mapping.values:
        known, canonical = (
            bound.bind(list(mapping.values)),
            bound.bind(list(mapping.values.values())),
        )
        return f"list_extract({canonical}, list_position({known}, {text}))"
    return text


def _condition(condition: Condition, kinds: dict[str, str], bound: Parameters) -> str:
    value = f"({_known(condition.column, kinds[condition.column])})"
    if condition.matches is not None:
        return f"regexp_matches({value}::varchar, {bound.bind(condition.matches)})"
    if condition.not_matches is not None:
        return f"not regexp_matches({value}::varchar, {bound.bind(condition.not_matches)})"
    if condition.equals is not None:
        return f"{value}::varchar = {bound.bind(condition.equals)}"
    sign, limit = (">", condition.above) if condition.above is not None else ("<", condition.below)
    return f"try_cast({value}::varchar as double) {sign} {bound.bind(limit)}"


def _reason(table: Table, mapping: TableMapping, bound: Parameters) -> str:
    """SQL of the first reason to refuse a row; null for a clean one."""
    cases = [
        f"when _unparsable_{column} then {bound.bind('unparsable:' + column)}"
        for column in mapping.columns
    ]
    now = bound.bind(datetime.now(UTC).replace(tzinfo=None) + AHEAD)
    cases += [
        f"when {rule.condition.replace('$now', now)} then {bound.bind(rule.reason)}"
        for rule in rules_of(table.name)
        if set(rule.columns) <= set(mapping.columns)
    ]
    cases += [
        f"when {column} is null then {bound.bind(missing_reason(column))}"
        for column, (_, _, required) in table.columns.items()
        if required
    ]
    return "case " + " ".join(cases) + " end"


def checked_rows(
    table: Table,
    mapping: TableMapping,
    reader: str,
    kinds: dict[str, str],
    file_index: int,
    bound: Parameters,
) -> str:
    """SQL of one file's rows: canonical columns, `_row`, `_position`, `_key`, `_content` and `_reason`.

    `reader` is SQL that yields the file's columns and `_row`; `kinds` gives the DuckDB type of each column.
    `_key` and `_content` are 64-bit hashes: among 50 million rows the chance of one wrong match is below 1 in 10,000.
    """
    tests = [_condition(condition, kinds, bound) for condition in mapping.only]
    columns = []
    for name, column in mapping.columns.items():
        source = _source_value(column, kinds, bound)
        origin = kinds[column.from_] if column.from_ is not None else "VARCHAR"
        parsed = _parsed(source, origin, column, table.columns[name][0], bound)
        columns += [
            f"{parsed} as {name}",
            f"(({source}) is not null and {name} is null) as _unparsable_{name}",
        ]
    content = ", ".join(quoted(name) for name in kinds)
    by_content = any(mapping.columns[name].uses_row_number for name in table.key)
    key = "_content" if by_content else f"hash({', '.join(table.key)})"
    return (
        f"select {', '.join(mapping.columns)}, _row, _content, {key} as _key, "  # noqa: S608 - names are quoted, values bound
        f"({file_index}::bigint << {FILE_BITS}) | _row as _position, "
        f"{_reason(table, mapping, bound)} as _reason "
        f"from (select {', '.join(columns)}, _row, hash({content}) as _content from ({reader}) "
        f"where {' and '.join(tests) or 'true'})"
    )


def duplicate_keys(files: list[str]) -> str:
    """SQL of the keys that more than one clean row has: `_key`, `first_position`, `first_content`."""
    rows = " union all ".join(
        f"select _key, _position, _content from ({file}) where _reason is null"  # noqa: S608 - see checked_rows
        for file in files
    )
    return (
        "select _key, min(_position) as first_position, "  # noqa: S608 - see checked_rows
        f"arg_min(_content, _position) as first_content from ({rows}) group by _key having count(*) > 1"
    )


def folded(table: Table, mapping: TableMapping, files: list[str]) -> str:
    """SQL of one row per key: the latest known value of each column, or its commonest values."""
    rows = " union all ".join(f"select * from ({file}) where _reason is null" for file in files)  # noqa: S608 - see checked_rows
    newest = f"(epoch_us({table.time})::hugeint << {FILE_BITS + 14}) + _position"
    columns = [
        name if name in table.key else f"{_gathered(name, column)} as {name}"
        for name, column in mapping.columns.items()
    ]
    return (
        f"select {', '.join(columns)}, null::varchar as _reason, 0 as _row "  # noqa: S608 - see checked_rows
        f"from (select *, {newest} as _newest from ({rows})) "
        f"group by {', '.join(table.key)} order by min(_position)"
    )


def _gathered(name: str, column: ColumnMapping) -> str:
    if column.gather == "latest":
        return f"arg_max({name}, _newest)"
    commonest = (
        f"list_sort(list_transform(map_entries(histogram({name})), "
        "lambda entry: {'rank': -entry.value::bigint, 'name': entry.key}))"
    )
    return f"list_transform({commonest}[:{COMMONEST}], lambda entry: entry.name)"
