"""Fifty faults of different kinds, injected one at a time into a platform that somebody was erased from, and what finds them.

A fault is undone when its block ends. Whoever looks for it knows neither its kind nor its place: `found` asks every verifier that
the platform has, the cheap ones first, and says which found something.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import audit, certificates, registry, signing
from privacy.certificates import CertificateError
from privacy.contracts import Artifacts, DeltaStore, PostgresStore
from privacy.file_search import needles_of
from privacy.restore import RestoredError, refuse_restored
from privacy.stores import handler_for
from privacy.tombstone_journal import JournalError
from privacy.verification import search_postgres, search_redis, search_state, unregistered
from tests.adversarial.injections import (
    Injection,
    Scene,
    broken_link,
    by_statements,
    counted,
    forged,
    gzipped,
    holding,
    in_the_audit_log,
    in_the_journal,
    late_row_in_the_lake,
    linked_file,
    model_row,
    older_folder,
    older_redis,
    orphan_parquet,
    redis_key,
    redis_set,
    removed_tombstone,
    row_of,
    signed,
    stray_file,
    stream_entry,
    unknown_delta_table,
    unsearched,
    unverified,
    vector,
)

__all__ = ["FAULTS", "faults_of", "found"]


def found(scene: Scene, certificate: bytes) -> str | None:
    """The first verifier that finds something wrong; None where all is well."""
    for name, verify in _VERIFIERS.items():
        if verify(scene, certificate):
            return name
    return None


def _certificate_is_refused(_: Scene, certificate: bytes) -> bool:
    try:
        certificates.check(certificate, signing.public_key_pem())
    except CertificateError:
        return True
    return False


def _restore_is_refused(_: Scene, __: bytes) -> bool:
    try:
        refuse_restored()
    except (RestoredError, JournalError):
        return True
    return False


def _handler_finds(scene: Scene, _: bytes) -> bool:
    return any(
        handler_for(contract).verify(contract, [scene.erased])
        for contract in registry.load().holding_subjects
    )


def _search_finds(search: Callable[[list[bytes]], Any]) -> Callable[[Scene, bytes], bool]:
    return lambda scene, _: bool(search(needles_of([scene.erased])).findings)


_VERIFIERS: Mapping[str, Callable[[Scene, bytes], bool]] = {
    "certificate": _certificate_is_refused,
    "audit log": lambda _, __: bool(audit.check().faults),
    "journal and stamps": _restore_is_refused,
    "coverage": lambda _, __: bool(unregistered(registry.load()).findings),
    "handlers": _handler_finds,
    "search of Redis": _search_finds(search_redis),
    "search of Postgres": _search_finds(search_postgres),
    "search of files": _search_finds(search_state),
}


_DAMAGED = b"\x1f\x8b\x08\0\0\0\0\0" + b"\xff" * 40

FAULTS: Mapping[str, Injection] = {
    # A table, key or folder that nobody told of.
    "an unknown table": by_statements("create table marts.forgotten as select 1 as n", "drop table marts.forgotten"),
    "an unknown materialised view": by_statements(
        "create materialized view marts.forgotten as select 1 as n", "drop materialized view marts.forgotten"
    ),
    "an unknown schema": by_statements(
        "create schema forgotten create table t (n int)", "drop schema forgotten cascade"
    ),
    "an unknown key": lambda scene: redis_set(scene, "SET", "sv:forgotten", "1"),
    "an unknown stream": lambda scene: redis_set(scene, "XADD", "forgotten", "*", "n", "1"),
    "an unknown folder": lambda scene: stray_file(scene, "forgotten/notes.txt", b"nothing"),
    "an unknown file": lambda scene: stray_file(scene, "forgotten.csv", b"nothing"),
    "an unknown Delta table": unknown_delta_table,
    "an unknown model": lambda scene: stray_file(scene, "models/forgotten/1/manifest.json", b"{}"),
    "an unknown folder in the lake": lambda scene: stray_file(scene, "lake/forgotten/x.txt", b"nothing"),
    # The bytes of a subject where no row of theirs is.
    "an orphaned Parquet file": orphan_parquet,
    "a line in a log": holding("logs/old.log"),
    "a line in a rotated log": holding("logs/old.log.1.gz", gzipped),
    "raw bytes in a log": holding("logs/old.bin", bytes.fromhex),
    "a damaged archive": lambda scene: stray_file(scene, "logs/older.log.gz", _DAMAGED),
    "a vector of a subject": holding("models/lightfm/forgotten.npy", vector),
    "a line of dbt": holding("dbt/target/run/forgotten.sql"),
    "a log of a Dagster run": holding("dagster/storage/forgotten.log"),
    "a linked folder": linked_file,
    "a link that leads nowhere": broken_link,
    "a temporary file": holding("tmp/forgotten.txt"),
    "an event of a Dagster run": by_statements(
        "insert into dagster.event_logs (run_id, event) values ('forgotten', %(erased)s)",
        "delete from dagster.event_logs where run_id = 'forgotten'",
        ("dagster", "event_logs"),
    ),
    "a reason in the quarantine": by_statements(
        "insert into shop.quarantine (source, table_name, file_name, row_number, reason) values ('f', 'f', 'f', 1, %(erased)s)",
        "delete from shop.quarantine where source = 'f'",
        ("shop", "quarantine"),
    ),
    "a bytea of sixteen bytes": by_statements(
        "insert into requests.tombstones (token, kind, erased_at) values (%(raw)s, 'pseudonym', now())",
        "delete from requests.tombstones where token = %(raw)s",
        ("requests", "tombstones"),
    ),
    "a subject in the vault": by_statements(
        "insert into vault.subjects select (jsonb_populate_record(s, jsonb_build_object('pseudonym', %(erased)s::text))).* "
        "from vault.subjects s limit 1",
        "delete from vault.subjects where pseudonym = %(erased)s",
        ("vault", "subjects"),
    ),
    # Redis.
    "a consent mask": lambda scene: redis_key(scene, b"sv:consent:"),
    "a session": lambda scene: redis_key(scene, b"sv:session:"),
    "ids of events": lambda scene: redis_key(scene, b"sv:seen:"),
    "a stale field of Feast": lambda scene: redis_key(scene, b"\x01\0\0\0"),
    "an entry of the stream": lambda scene: stream_entry(scene, pseudonym=scene.erased, event_id="f"),
    "an entry that names them elsewhere": lambda scene: stream_entry(
        scene, pseudonym=scene.stayer, event_id=f"of-{scene.erased}"
    ),
    # What is signed and chained.
    "an edited entry of the audit log": in_the_audit_log(
        "update audit.log set actor = 'nobody' where entry_id = (select max(entry_id) from audit.log)"
    ),
    "a changed detail in the audit log": in_the_audit_log("update audit.log set detail = '{\"n\": 9}' where entry_id = 2"),
    "a removed entry of the audit log": in_the_audit_log("delete from audit.log where entry_id = 2"),
    "two entries of the audit log exchanged": in_the_audit_log(
        "update audit.log set entry_id = case entry_id when 1 then 999999 else 1 end where entry_id in (1, 2)"
    ),
    "an audit log without its end": in_the_audit_log(
        "delete from audit.log where entry_id >= (select min((certificate::json -> 'audit' ->> 'entry')::bigint) "
        "from requests.certificates)"
    ),
    "an emptied audit log": in_the_audit_log("truncate audit.log"),
    "an entry at another time": in_the_audit_log("update audit.log set at = at - interval '1 day' where entry_id = 1"),
    "a forged count": forged(counted),
    "an asset left out of the certificate": forged(lambda document: document["assets"].pop()),
    "a certificate that hides what was not searched": forged(
        lambda document: document["not_searched"].pop()
    ),
    "a certificate of another request": forged(
        lambda document: document.update(request_id=str(UUID(int=1)))
    ),
    "a certificate with a foreign link": forged(lambda document: document["audit"].update(hash="00" * 32)),
    "a certificate without its signature": forged(lambda document: document.pop("signature")),
    "a certificate signed by another key": signed(lambda _: None, Ed25519PrivateKey.generate()),
    "a certificate that names another key": signed(lambda document: document.update(key_id="0" * 16)),
    "a certificate with a place not searched": signed(unsearched("tables of Postgres")),
    "a certificate with an asset not verified": signed(unverified),
    # The journal of tombstones, and restores.
    "an edited line of the journal": in_the_journal(
        lambda lines: [lines[0].replace(b"pseudonym", b"identifier", 1), *lines[1:]]
    ),
    "a removed line of the journal": in_the_journal(lambda lines: lines[1:]),
    "two lines of the journal exchanged": in_the_journal(lambda lines: [lines[1], lines[0], *lines[2:]]),
    "an older lake": older_folder("lake"),
    "older models": older_folder("models"),
    "an older Redis": older_redis,
    "an older Postgres": by_statements(
        "update requests.erasure_epoch set number = number - 1",
        "update requests.erasure_epoch set number = number + 1",
    ),
    "a removed tombstone": removed_tombstone,
}  # fmt: skip


def faults_of(scene: Scene) -> Mapping[str, Injection]:
    """The faults, and one row of the subject that was left in each store of rows that the registry knows."""
    rows: dict[str, Injection] = {}
    for contract in registry.load().holding_subjects:
        column, store = contract.subject, contract.store
        if column is None or not handler_for(contract).find(contract, [scene.stayer]):
            continue
        if isinstance(store, PostgresStore) and not store.is_view and not contract.handler:
            inject = _bound(row_of, store.schema_name, store.table, column)
        elif isinstance(store, DeltaStore):
            inject = _bound(late_row_in_the_lake, store.path, column)
        elif isinstance(store, Artifacts):
            inject = _bound(model_row, store.path, column)
        else:
            continue
        rows[f"a row left in {contract.key}"] = inject
    return {**FAULTS, **rows}


def _bound(inject: Callable[..., AbstractContextManager[bytes]], *arguments: str) -> Injection:
    return lambda scene: inject(scene, *arguments)
