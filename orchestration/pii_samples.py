"""Samples of the text in every kind of store, column by column, to be scanned for personal data.

A sample is bounded: rows of a table or of a Delta table's first batches, entries of a stream, keys of Redis, rows and leaves of
the newest artefacts. What is no text (numbers with a fraction, times, truth values, bytes) is left out; whole numbers are read
as text, since a telephone or card number may be stored as one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import regex
from deltalake import DeltaTable
from psycopg import sql

from privacy.contracts import (
    Artifacts,
    AssetContract,
    DeltaStore,
    FeastOnlineStore,
    PostgresStore,
    RedisStore,
    RedisStream,
)
from privacy.database import Role, connect
from privacy.settings import platform_settings
from privacy.stores.redis import redis_client

__all__ = ["sample"]

ROWS = 20_000
"""Rows, entries or keys that are read of one store."""
_KEYS, _FILES = 500, 10
_TEXT_TYPES = ("text", "character varying", "character", "jsonb", "json", "text[]", "bigint", "integer", "inet")  # fmt: skip
_WRITTEN = regex.compile(rb"[\x20-\x7e\xc2-\xf4\x80-\xbf]{5,}")

Sample = dict[str, list[str]]


def sample(contract: AssetContract) -> Sample:
    """Column (or field, or file and column) to values, without those that are not known; empty for a store without text."""
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            return _postgres(schema, table)
        case DeltaStore(path=path):
            return _delta(platform_settings().lake_dir / path)
        case RedisStore(pattern=pattern):
            return _redis(pattern.replace("{{pseudonym}}", "*").replace("{pseudonym}", "*"))
        case FeastOnlineStore(project=project):
            return _redis(f"*{project}")
        case RedisStream(key=key):
            return _stream(key)
        case Artifacts(path=path):
            return _artifacts(platform_settings().models_dir / path)
        case _:
            return {}


def _postgres(schema: str, table: str) -> Sample:
    with connect(Role.PRIVACY) as connection:
        columns = connection.execute(
            "select a.attname, format_type(a.atttypid, null), c.relkind = 'r' and c.reltuples > %s, c.reltuples "
            "from pg_attribute a join pg_class c on c.oid = a.attrelid "
            "where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped",
            [2 * ROWS, f"{schema}.{table}"],
        ).fetchall()
        if not columns:
            raise LookupError(
                f"There is no table {schema}.{table} to scan: materialise its asset first."
            )
        names = [name for name, kind, _, _ in columns if kind in _TEXT_TYPES]
        if not names:
            return {}
        large, rows = columns[0][2:]
        # Blocks from all over a large table; a view or a small one is read from its start.
        part = (
            sql.SQL(" tablesample system ({})").format(sql.Literal(100 * ROWS / rows))
            if large
            else sql.SQL("")
        )
        query = sql.SQL("select {} from {}{} limit {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names),
            sql.Identifier(schema, table),
            part,
            sql.Literal(2 * ROWS),
        )
        read = connection.execute(query).fetchall()
    values = zip(*read, strict=True) if read else ([] for _ in names)
    return {name: _known(column) for name, column in zip(names, values, strict=True)}


def _known(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values if value is not None]


def _delta(path: Path) -> Sample:
    table = DeltaTable(str(path)).to_pyarrow_dataset()
    names = [field.name for field in table.schema if _is_text(field.type)]
    if not names:
        return {}
    return _frame(pl.DataFrame(pl.from_arrow(table.head(ROWS, columns=names))))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_text(kind.value_type)
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_is_text(kind.field(position).type) for position in range(kind.num_fields))
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
    )


def _frame(frame: pl.DataFrame) -> Sample:
    return {column.name: _texts(column) for column in frame.get_columns()}


def _texts(column: pl.Series) -> list[str]:
    """Values of a column as texts; lists by their elements, structures as JSON."""
    while column.dtype == pl.List:
        column = column.explode()
    if isinstance(column.dtype, pl.Struct):
        column = column.struct.json_encode()
    return column.drop_nulls().cast(pl.String).to_list()


def _redis(pattern: str) -> Sample:
    values: Sample = {}
    with redis_client() as client:
        for position, key in enumerate(client.scan_iter(match=pattern, count=1_000)):
            if position >= _KEYS:
                break
            for field, value in _entries(client, key):
                values.setdefault(field, []).extend(_written(value))
    return values


def _entries(client: Any, key: bytes) -> Iterator[tuple[str, bytes]]:
    """What a key holds, by field; the fields of Feast are hashes and count as one."""
    match client.type(key):
        case b"string":
            yield "value", client.get(key)
        case b"hash":
            for field, value in client.hgetall(key).items():
                yield (field.decode() if field.isascii() and field.isalpha() else "value"), value
        case b"list":
            yield from (("value", value) for value in client.lrange(key, 0, 100))
        case b"set":
            yield from (("value", value) for value in client.sscan(key, count=100)[1])
        case b"zset":
            yield from (("value", value) for value in client.zrange(key, 0, 100))


def _stream(key: str) -> Sample:
    values: Sample = {}
    with redis_client() as client:
        for _, fields in client.xrevrange(key, count=ROWS):
            for field, value in fields.items():
                values.setdefault(field.decode(), []).extend(_written(value))
    return values


def _written(value: bytes) -> Iterator[str]:
    """Stretches of text in a value that may be binary."""
    for match in _WRITTEN.finditer(value):
        yield match.group().decode(errors="ignore")


def _artifacts(folder: Path) -> Sample:
    """Columns of Parquet files and leaves of JSON files, of the newest files."""
    files = [path for path in folder.rglob("*") if path.suffix in (".parquet", ".json")]
    values: Sample = {}
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)[:_FILES]:
        columns = _parquet(path) if path.suffix == ".parquet" else _json(path)
        for name, texts in columns.items():
            values.setdefault(name, []).extend(texts)
    return values


def _parquet(path: Path) -> Sample:
    frame = pl.scan_parquet(path)
    names = [
        name
        for name, kind in frame.collect_schema().items()
        if kind.is_integer() or kind.base_type() in (pl.String, pl.Categorical, pl.List, pl.Struct)
    ]
    return _frame(frame.select(names).head(ROWS).collect())


def _json(path: Path) -> Sample:
    values: Sample = {}
    for name, text in _leaves("", json.loads(path.read_text())):
        values.setdefault(name, []).append(text)
    return values


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with the name of the field that holds it."""
    if isinstance(value, Mapping):
        for field, inner in value.items():
            yield from _leaves(str(field), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    elif isinstance(value, str):
        yield name, value
