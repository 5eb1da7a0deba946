import hashlib
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pyarrow as pa
import pytest

from privacy import tombstones
from privacy.database import Role, connect
from privacy.identifiers import canonical
from privacy.key_providers.file import FileKeyProvider
from privacy.settings import Environment
from privacy.vault import CUSTOMER_NUMBER, UnknownSubjectError, Vault, VaultError

pytestmark = pytest.mark.usefixtures("clean_database")


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyProvider:
    return FileKeyProvider(tmp_path / "secrets" / "keys.json", Environment.TEST)


@pytest.fixture
def vault(keys: FileKeyProvider) -> Vault:
    return Vault(keys)


def _rows(statement: LiteralString) -> list[tuple[object, ...]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(statement).fetchall()


def test_identifiers_resolve_in_order_and_the_same_each_time(vault: Vault) -> None:
    first = vault.resolve(CUSTOMER_NUMBER, ["b", "a", None, "b", " a "], create=True)
    assert first[0] == first[3] != first[1] == first[4]
    assert first[2] is None
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in first if text)
    assert vault.resolve(CUSTOMER_NUMBER, pa.array(["a", "b"]), create=False) == [
        first[1],
        first[0],
    ]


def test_an_unknown_identifier_is_not_created_unless_asked(vault: Vault) -> None:
    assert vault.lookup(CUSTOMER_NUMBER, "nobody") is None
    assert vault.resolve(CUSTOMER_NUMBER, ["  ", ""], create=True) == [None, None]
    assert _rows("select count(*) from vault.subjects") == [(0,)]


def test_concurrent_resolves_give_the_same_pseudonyms_and_leave_no_orphans(vault: Vault) -> None:
    numbers = [f"C{number:05d}" for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: vault.resolve(CUSTOMER_NUMBER, numbers, create=True), range(4))
        )
    assert all(result == found[0] for result in found)
    assert len(set(found[0])) == 500
    assert _rows("select count(*) from vault.subjects") == [(500,)]


def test_the_vault_holds_neither_identifiers_nor_unkeyed_hashes_of_them(vault: Vault) -> None:
    number, mail = f"C{secrets.token_hex(8)}", f"{secrets.token_hex(8)}@example.org"
    pseudonym = vault.resolve(CUSTOMER_NUMBER, [number], create=True)[0]
    assert pseudonym
    vault.store_direct([pseudonym], {"email": [mail]})
    stored = repr(_rows("select i.*, s.*, d.* from vault.identifiers i join vault.subjects s using (pseudonym) "
                        "join vault.direct_identifiers d using (pseudonym)"))  # fmt: skip
    for text in (number, mail):
        assert text not in stored
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, text.encode()).digest()
            assert repr(digest)[2:-1] not in stored
    assert vault.reveal(pseudonym) == {"email": mail}


def test_direct_identifiers_change_only_when_newer_and_different(vault: Vault) -> None:
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)[0]
    assert pseudonym
    now = datetime.now(UTC)
    fields = {"name": ["Ada"], "phone": [None]}
    assert vault.store_direct([pseudonym], fields, [now]) == 1
    before = _rows("select xmin::text, ciphertext from vault.direct_identifiers")
    assert vault.store_direct([pseudonym], fields, [now]) == 0
    assert vault.store_direct([pseudonym], {"name": ["Old"]}, [now - timedelta(days=1)]) == 0
    assert _rows("select xmin::text, ciphertext from vault.direct_identifiers") == before
    assert vault.store_direct([pseudonym], {"name": ["Eve"]}, [now + timedelta(days=1)]) == 1
    assert vault.reveal(pseudonym) == {"name": "Eve"}


def test_a_ciphertext_opens_only_for_its_subject_and_column(vault: Vault) -> None:
    one, two = vault.resolve(CUSTOMER_NUMBER, ["a", "b"], create=True)
    assert one
    assert two
    sealed = vault.encrypt_for(one, "export", "text")
    assert vault.decrypt_for(one, "export", sealed) == b"text"
    for pseudonym, column in ((two, "export"), (one, "other")):
        with pytest.raises(VaultError, match="does not open"):
            vault.decrypt_for(pseudonym, column, sealed)


def test_erasing_a_subject_makes_its_ciphertexts_unreadable(vault: Vault) -> None:
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)[0]
    assert pseudonym
    vault.store_direct([pseudonym], {"name": ["Ada"]})
    sealed = vault.encrypt_for(pseudonym, "export", b"text")
    assert vault.erase([pseudonym]) == 1
    assert vault.erase([pseudonym]) == 0
    assert vault.reveal(pseudonym) == {}
    assert vault.lookup(CUSTOMER_NUMBER, "a") is None
    with pytest.raises(UnknownSubjectError):
        vault.decrypt_for(pseudonym, "export", sealed)


def test_a_vault_with_other_keys_refuses_to_reveal(vault: Vault, tmp_path: Path) -> None:
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)[0]
    assert pseudonym
    other = Vault(FileKeyProvider(tmp_path / "other" / "keys.json", Environment.TEST))
    with pytest.raises(VaultError, match="not the one that made the vault"):
        other.reveal(pseudonym)


def test_no_role_but_privacy_reads_the_vault() -> None:
    for role in (Role.INGEST, Role.DBT, Role.SERVING, Role.CONSENT, Role.FEAST, Role.DAGSTER):
        with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select count(*) from vault.identifiers")


def test_a_tombstone_is_found_by_pseudonym_and_identifier_and_keeps_the_newest_time(
    vault: Vault, keys: FileKeyProvider
) -> None:
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)[0]
    assert pseudonym
    identifiers = vault.identifiers_of([pseudonym])
    now = datetime.now(UTC)
    for at in (now, now - timedelta(days=1)):
        tombstones.record([pseudonym], identifiers, at, keys)
    keys.rotate("tombstone")
    keys.rotate("lookup")
    assert tombstones.is_erased([pseudonym, "0" * 32], keys) == [True, False]
    names = [canonical(CUSTOMER_NUMBER, name) for name in ("a", "b")]
    assert tombstones.erased_at(names, keys) == [now, None]


def test_a_tombstone_waits_for_the_batch_that_is_being_written(keys: FileKeyProvider) -> None:
    order: list[str] = []

    def record() -> None:
        tombstones.record(["0" * 32], [], datetime.now(UTC), keys)
        order.append("recorded")

    with ThreadPoolExecutor(1) as pool:
        with tombstones.writing():
            pending = pool.submit(record)
            with pytest.raises(TimeoutError):
                pending.result(timeout=0.5)
            order.append("written")
        pending.result(timeout=10)
    assert order == ["written", "recorded"]
