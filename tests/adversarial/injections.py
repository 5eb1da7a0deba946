"""Ways to injure a platform for the length of a block: rows, keys, files, certificates, logs; each is undone at its end."""

import base64
import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from deltalake import write_deltalake
from psycopg import sql

from privacy import audit, certificates, lake, registry, signing, tombstone_journal
from privacy.database import admin_url
from privacy.epochs import REDIS_KEY
from privacy.settings import platform_settings
from privacy.stores import handler_for
from privacy.stores.redis import redis_client
from privacy.stores.scrub import scrub_redis, trim_write_ahead_log

__all__ = [
    "Injection",
    "Scene",
    "broken_link",
    "by_statements",
    "counted",
    "forged",
    "gzipped",
    "holding",
    "in_the_audit_log",
    "in_the_journal",
    "late_row_in_the_lake",
    "linked_file",
    "model_row",
    "older_folder",
    "older_redis",
    "orphan_parquet",
    "redis_key",
    "redis_set",
    "removed_tombstone",
    "row_of",
    "signed",
    "stray_file",
    "stream_entry",
    "unknown_delta_table",
    "unsearched",
    "unverified",
    "vector",
]


@dataclass(frozen=True)
class Scene:
    """Somebody who was erased with a certificate, and somebody who stays, whose rows serve as patterns."""

    erased: str
    stayer: str
    certificate: bytes


Injection = Callable[[Scene], AbstractContextManager[bytes]]
"""Injects the fault; gives the certificate that an auditor is shown."""


def _administrator() -> "psycopg.Connection":
    """A superuser's connection past every trigger."""
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(url)
    connection.execute("set session_replication_role = replica")
    return connection


def _sweep(schema: str, table: str) -> None:
    """Leave no dead row of a fault behind: it would be found in place of the next one."""
    with _administrator() as connection:
        connection.commit()
        connection.autocommit = True
        connection.execute(
            sql.SQL("vacuum (full, analyze) {}").format(sql.Identifier(schema, table))
        )
    trim_write_ahead_log()


@contextmanager
def row_of(scene: Scene, schema: str, table: str, column: str) -> Iterator[bytes]:
    """A row of the stayer becomes the erased one's: a late row, or one that the erasure forgot."""
    one = sql.SQL(
        "update {t} set {c} = %s where ctid = (select ctid from {t} where {c} = %s limit 1)"
    ).format(t=sql.Identifier(schema, table), c=sql.Identifier(column))
    with _administrator() as connection:
        assert connection.execute(one, [scene.erased, scene.stayer]).rowcount == 1, table
    try:
        yield scene.certificate
    finally:
        with _administrator() as connection:
            connection.execute(one, [scene.stayer, scene.erased])
        _sweep(schema, table)


@contextmanager
def _statements(scene: Scene, do: str, undo: str, table: tuple[str, str] | None) -> Iterator[bytes]:
    values = {"erased": scene.erased, "raw": bytes.fromhex(scene.erased)}
    with _administrator() as connection:
        assert connection.execute(do, values if "%(" in do else None).rowcount, do
    try:
        yield scene.certificate
    finally:
        with _administrator() as connection:
            connection.execute(undo, values if "%(" in undo else None)
        if table:
            _sweep(*table)


def by_statements(do: str, undo: str, table: tuple[str, str] | None = None) -> Injection:
    """Statements as the administrator; `table` is where they leave dead rows, which would be found instead of the next fault."""
    return lambda scene: _statements(scene, do, undo, table)


@contextmanager
def _audit(scene: Scene, change: str) -> Iterator[bytes]:
    """Change the audit log as its administrator can; it is put back as it was."""
    with _administrator() as connection:
        connection.execute("create temporary table kept as select * from audit.log")
        kept = connection.execute("select * from kept").fetchall()
        connection.execute(change)
    try:
        yield scene.certificate
    finally:
        with _administrator() as connection:
            connection.execute("delete from audit.log")
            with connection.cursor() as cursor, cursor.copy("copy audit.log from stdin") as copy:
                for row in kept:
                    copy.write_row(
                        [json.dumps(value) if isinstance(value, dict) else value for value in row]
                    )


def in_the_audit_log(change: str) -> Injection:
    return lambda scene: _audit(scene, change)


@contextmanager
def late_row_in_the_lake(scene: Scene, path: str, column: str) -> Iterator[bytes]:
    table = lake.open_table(path).to_pyarrow_table()
    mine = table.filter(pa.compute.equal(table[column], scene.stayer)).slice(0, 1)
    names = pa.array([scene.erased], pa.string())
    row = mine.set_column(mine.column_names.index(column), column, names)
    write_deltalake(str(lake.table_path(path)), row, mode="append")
    try:
        yield scene.certificate
    finally:
        lake.erase(path, column, [scene.erased])


@contextmanager
def model_row(scene: Scene, path: str, column: str) -> Iterator[bytes]:
    root = platform_settings().models_dir / path
    file = next(
        path
        for path in sorted(root.rglob("*.parquet"), reverse=True)
        if column in pl.read_parquet_schema(path)
    )
    kept = file.read_bytes()
    rows = pl.read_parquet(file)
    late = rows.head(1).with_columns(pl.lit(scene.erased).alias(column))
    pl.concat([rows, late]).write_parquet(file)
    try:
        yield scene.certificate
    finally:
        file.write_bytes(kept)


@contextmanager
def redis_key(scene: Scene, kind: bytes) -> Iterator[bytes]:
    """A key of the stayer exists for the erased one as well."""
    with redis_client() as client:
        mine, gone = scene.stayer.encode(), scene.erased.encode()
        key = next(key for key in client.scan_iter() if mine in key and key.startswith(kind))
        client.restore(key.replace(mine, gone), 0, client.dump(key))
        try:
            yield scene.certificate
        finally:
            client.delete(key.replace(mine, gone))
            scrub_redis()


@contextmanager
def redis_set(scene: Scene, command: str, *arguments: Any) -> Iterator[bytes]:
    with redis_client() as client:
        client.execute_command(command, *arguments)
        try:
            yield scene.certificate
        finally:
            client.delete(arguments[0])


@contextmanager
def stream_entry(scene: Scene, **fields: str) -> Iterator[bytes]:
    with redis_client() as client:
        entry = client.xadd("sv:events", fields)
        try:
            yield scene.certificate
        finally:
            client.xdel("sv:events", entry)
            stream = registry.load().get("platform/event_stream")
            handler_for(stream).erase(stream, [scene.erased])
            scrub_redis()


@contextmanager
def stray_file(scene: Scene, name: str, data: bytes) -> Iterator[bytes]:
    path = platform_settings().home / name
    first_new = next(p for p in (*reversed(path.parents), path) if not p.exists())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        yield scene.certificate
    finally:
        shutil.rmtree(first_new) if first_new.is_dir() else first_new.unlink()


@contextmanager
def linked_file(scene: Scene) -> Iterator[bytes]:
    """State that was moved to another disk, and linked back."""
    with tempfile.TemporaryDirectory(prefix="selvedge-disk-") as disk:
        (Path(disk) / "part.csv").write_text(scene.erased)
        link = platform_settings().logs_dir / "moved"
        link.symlink_to(disk)
        try:
            yield scene.certificate
        finally:
            link.unlink()


@contextmanager
def broken_link(scene: Scene) -> Iterator[bytes]:
    """A disk that is not mounted."""
    link = platform_settings().logs_dir / "moved"
    link.symlink_to("/nowhere/at/all")
    try:
        yield scene.certificate
    finally:
        link.unlink()


def holding(name: str, write: Callable[[str], bytes] = str.encode) -> Injection:
    return lambda scene: stray_file(scene, name, write(scene.erased))


@contextmanager
def unknown_delta_table(scene: Scene) -> Iterator[bytes]:
    path = platform_settings().lake_dir / "forgotten"
    write_deltalake(str(path), pa.table({"product_id": ["SEL-00001"]}))
    try:
        yield scene.certificate
    finally:
        shutil.rmtree(path)


@contextmanager
def orphan_parquet(scene: Scene) -> Iterator[bytes]:
    """A file that a crashed write left in a known table's folder, and that no version of it names."""
    path = platform_settings().lake_dir / "interactions" / "part-orphan.zstd.parquet"
    pl.DataFrame({"pseudonym": [scene.erased] * 50}).write_parquet(path, compression="zstd")
    try:
        yield scene.certificate
    finally:
        path.unlink()


@contextmanager
def _changed_file(scene: Scene, path: Path, change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    kept = path.read_bytes()
    changed = change(kept)
    assert changed != kept
    path.write_bytes(changed)
    try:
        yield scene.certificate
    finally:
        path.write_bytes(kept)


def in_the_journal(change: Callable[[list[bytes]], list[bytes]]) -> Injection:
    def changed(data: bytes) -> bytes:
        return b"".join(line + b"\n" for line in change(data.split(b"\n")[:-1]))

    return lambda scene: _changed_file(scene, tombstone_journal.journal_path(), changed)


def older_folder(name: str) -> Injection:
    return lambda scene: _changed_file(
        scene, platform_settings().home / name / ".epoch", lambda data: b"%d" % (int(data) - 1)
    )


@contextmanager
def older_redis(scene: Scene) -> Iterator[bytes]:
    with redis_client() as client:
        number = int(client.get(REDIS_KEY))
        client.set(REDIS_KEY, number - 1)
        try:
            yield scene.certificate
        finally:
            client.set(REDIS_KEY, number)


@contextmanager
def removed_tombstone(scene: Scene) -> Iterator[bytes]:
    """The database forgets that somebody was erased; the journal does not."""
    with _administrator() as connection:
        row = connection.execute(
            "delete from requests.tombstones where ctid = (select ctid from requests.tombstones limit 1) returning *"
        ).fetchone()
    assert row is not None
    try:
        yield scene.certificate
    finally:
        with _administrator() as connection:
            connection.execute("insert into requests.tombstones values (%s, %s, %s)", row)


Document = dict[str, Any]


def forged(change: Callable[[Document], Any]) -> Injection:
    """A certificate that somebody changed who has no key."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[bytes]:
        document = json.loads(scene.certificate)
        change(document)
        yield json.dumps(document).encode()

    return inject


def signed(change: Callable[[Document], Any], key: Ed25519PrivateKey | None = None) -> Injection:
    """A certificate that was made wrong and signed all the same, its entry of the audit log fitting; by another key if given."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[bytes]:
        document = json.loads(scene.certificate)
        del document["signature"]
        change(document)
        _relink(document)
        message = certificates._message(document)
        signature = key.sign(message) if key else signing.sign(message)
        signed = {**document, "signature": base64.b64encode(signature).decode()}
        yield json.dumps(signed).encode()

    return inject


def _relink(document: Document) -> None:
    from datetime import datetime

    link = document["audit"]
    content = {name: each for name, each in document.items() if name not in ("audit", "key_id")}
    digest = hashlib.sha256(certificates._canonical(content)).hexdigest()
    detail = f'{{"request_id": "{document["request_id"]}", "certificate": "{digest}"}}'
    link["hash"] = audit.entry_hash(
        bytes.fromhex(link["prev_hash"]),
        link["entry"],
        datetime.fromisoformat(link["at"]),
        certificates._ACTOR,
        certificates._ACTION,
        detail,
    ).hex()


def unsearched(place: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["searched"][place]["searched"] -= 1

    return change


def unverified(document: Document) -> None:
    document["assets"][0]["verified"] = None


def counted(document: Document) -> None:
    document["assets"][0]["removed"] += 1


def gzipped(name: str) -> bytes:
    return gzip.compress(b"GET / " + name.encode())


def vector(name: str) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(bytes.fromhex(name), np.uint8))
    return buffer.getvalue()
