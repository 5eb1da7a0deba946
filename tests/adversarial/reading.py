"""Reads everything that is stored, by other means than the platform's own search: whole files, rows as the administrator, DUMPs.

What compression hides is opened here with the libraries of its formats. A place that has nothing to read fails.
"""

import gzip
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from privacy.database import admin_url
from privacy.file_search import counter
from privacy.stores.redis import redis_client
from serving.auth import Scope
from tests.adversarial.whole_platform import Platform

__all__ = ["PLACES", "Place", "as_administrator", "everything", "found_in"]

_KEYS_OF_THE_PLATFORM = "secrets"


@dataclass(frozen=True)
class Place:
    """Somewhere bytes lie.

    Attributes
    ----------
    read: its bytes, in pieces none of which cuts a value.
    landmark: what must be found there, so that a search which reads nothing fails.
    """

    read: Callable[[Platform], Iterator[bytes]]
    landmark: bytes


def found_in(pieces: Iterable[bytes], needles: Sequence[bytes]) -> int:
    """How often any of `needles` occurs."""
    count = counter(list(needles))
    return sum(count(piece) for piece in pieces)


def as_administrator() -> "psycopg.Connection":
    """A connection that no permission holds back."""
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url)


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what is compressed in them."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        yield from _parquet(path)
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            yield from map(archive.read, archive.namelist())


def _parquet(path: Path) -> Iterator[bytes]:
    for column in pq.read_table(path).columns:
        kind = column.type
        if pa.types.is_list(kind):
            column, kind = pa.chunked_array([pa.chunked_array(column.chunks).combine_chunks().flatten()]), kind.value_type  # fmt: skip
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
            values = column.drop_null().to_pylist()
            yield b"\n".join(v if isinstance(v, bytes) else v.encode() for v in values)


def all_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Every file below `home` by its name there, wherever links lead; fails where a folder cannot be listed or a link is broken."""

    def refuse(error: OSError) -> None:
        raise error

    been: set[str] = set()
    for root, folders, names in os.walk(home, onerror=refuse, followlinks=True):
        if os.path.realpath(root) in been:
            folders.clear()
            continue
        been.add(os.path.realpath(root))
        for name in sorted(names):
            path = Path(root, name)
            assert path.exists() or not path.is_symlink(), f"{path} leads nowhere"
            if path.is_file():
                yield path.relative_to(home).as_posix(), path


def _files(*patterns: str) -> Callable[[Platform], Iterator[bytes]]:
    """Files of the state whose names there fit a pattern; ``**/`` is any number of folders."""
    fitting = [pattern.replace("**/", "*") for pattern in patterns]

    def read(platform: Platform) -> Iterator[bytes]:
        for name, path in all_files(platform.settings.home):
            if any(fnmatch(name, pattern) for pattern in fitting):
                yield from contents(path)

    return read


def _postgres_files(platform: Platform) -> Iterator[bytes]:
    for name, path in all_files(platform.settings.home / "postgres"):
        if "pg_wal" not in name.split("/"):
            yield path.read_bytes()


def _rows(*schemas: str) -> Callable[[Platform], Iterator[bytes]]:
    """Every row of every table of the schemas (all, where none is named) as text; a bytea shows as its digits."""

    def read(_: Platform) -> Iterator[bytes]:
        with as_administrator() as connection:
            tables = connection.execute(
                "select schemaname, tablename from pg_tables where schemaname !~ '^(pg_|information_schema)' "
                "and (schemaname = any(%s) or %s) order by 1, 2",
                [list(schemas), not schemas],
            ).fetchall()
            for schema, table in tables:
                query = sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
                yield f"{schema}.{table}\n".encode()
                yield "\n".join(row[0] for row in connection.execute(query)).encode()

    return read


def _redis_keys(_: Platform) -> Iterator[bytes]:
    with redis_client() as client:
        for key in client.scan_iter():
            yield key
            yield client.dump(key) or b""


def _redis_files(platform: Platform) -> Iterator[bytes]:
    """The append-only file and a dump made now."""
    with redis_client() as client:
        client.save()
    yield from _files("redis/**/*")(platform)


def _metrics(platform: Platform) -> Iterator[bytes]:
    with platform.api(Scope.PRIVACY) as client:
        yield client.get("/metrics").content


def _quality(_: Platform) -> Iterator[bytes]:
    """What Great Expectations says of everything that is stored."""
    from orchestration.quality.run import run_suites

    yield repr(run_suites()).encode()


PLACES: dict[str, Place] = {
    "Postgres's files": Place(_postgres_files, b"selvedge_privacy"),
    # How a page of Postgres 18's log begins; after an erasure there is nothing else yet.
    "Postgres's write-ahead log": Place(_files("postgres/pg_wal/*"), b"\x18\xd1"),
    "Postgres's rows": Place(_rows(), b"shop.customers"),
    "Parquet, old and new": Place(_files("lake/**/*.parquet"), b"SEL-00001"),
    "Delta logs": Place(_files("lake/**/_delta_log/**/*"), b"commitInfo"),
    "Redis": Place(_redis_keys, b"sv:consent:"),
    "Redis's dump and append-only file": Place(_redis_files, b"sv:consent:"),
    "vector files": Place(_files("models/**/*.npy", "models/**/*.faiss"), b"NUMPY"),
    "models": Place(_files("models/**/*"), b"subject_arrays"),
    "Dagster's storage": Place(_rows("dagster"), b"lake/interactions"),
    "Dagster's files and logs": Place(_files("dagster/**/*"), b"run_monitoring"),
    "Feast's registry": Place(_rows("feast"), b"subject_profile"),
    "dbt's artefacts": Place(_files("dbt/**/*"), b"int_orders__consented"),
    "Great Expectations' results": Place(_quality, b"interactions"),
    "logs of the servers": Place(_files("logs/**/*"), b"ready to accept connections"),
    "metrics": Place(_metrics, b"selvedge_http_requests_total"),
    "the privacy ledger": Place(_rows("requests", "audit", "consent", "vault"), b"audit.log"),
    "the journal of tombstones": Place(_files("tombstones/*"), b"epoch"),
}


def everything(platform: Platform) -> Iterator[tuple[str, bytes]]:
    """Every byte there is, with where it lies: all files but the keys, rows, Redis, and the metrics where the API runs."""
    for named, path in all_files(platform.settings.home):
        if named.split("/")[0] != _KEYS_OF_THE_PLATFORM:
            for piece in contents(path):
                yield named, piece
    for name in ("Postgres's rows", "Redis", *(["metrics"] if platform.serves else [])):
        for piece in PLACES[name].read(platform):
            yield name, piece
