"""Keys rotate under everything else: lookups before, during and after, interruptions, and the end of old versions."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.ingest.run import ingest
from orchestration.sources.model import TABLES
from privacy import access, identities, requests, rotation, tombstones
from privacy.database import Role, alone, connect
from privacy.identifiers import CUSTOMER_NUMBER, EMAIL
from privacy.key_providers.file import FileKeyProvider
from privacy.keys import KeyProviderError, key_provider
from privacy.requests import RequestKind, RequestStatus
from privacy.rotation import KeyInUseError
from privacy.settings import PROJECT_ROOT, PlatformSettings
from privacy.vault import Vault, VaultError
from tests.integration.privacy_ingest.small_shop import AT, SmallShop, shop_rows

pytestmark = pytest.mark.usefixtures("clean_platform")


@pytest.fixture
def keys(settings: PlatformSettings) -> Iterator[FileKeyProvider]:
    """The platform's own key file, as it was before after the test."""
    provider = FileKeyProvider()
    provider.current("lookup")
    before = provider.path.read_text()
    yield provider
    provider.path.write_text(before)


@pytest.fixture
def vault(keys: FileKeyProvider) -> Vault:
    return Vault(keys)


def _rows(statement: LiteralString) -> list[tuple[Any, ...]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(statement).fetchall()


def _versions() -> dict[str, set[int]]:
    return {
        table: set(by_version)
        for name in rotation.ROTATED
        for table, by_version in rotation.held(name).items()
        if by_version
    }


def test_after_a_rotation_every_identifier_leads_where_it_led(
    vault: Vault, keys: FileKeyProvider
) -> None:
    numbers = [f"C{secrets.token_hex(4)}" for _ in range(500)]
    before = vault.resolve(CUSTOMER_NUMBER, numbers, create=True)
    assert before[0]
    vault.link(before[0], EMAIL, "ada@shop.test")
    vault.store_direct([before[0]], {"name": ["Ada"]})
    sealed = vault.encrypt_for(before[0], "export", "text")
    old = [key.material for key in keys.versions("lookup")]
    for name in rotation.ROTATED:
        done = rotation.rotate(name, keys, batch=64)
        assert (done.version, done.resumed) == (2, False)
        assert rotation.destroy_old(name, keys) == [1]
    assert _versions() == {"vault.identifiers": {2}, "vault.subjects": {2}}
    assert [len(keys.versions(name)) for name in rotation.ROTATED] == [1, 1]
    assert keys.current("lookup").material not in old
    assert vault.resolve(CUSTOMER_NUMBER, numbers, create=True) == before
    assert vault.lookup(EMAIL, "ADA@shop.test") == before[0]
    assert vault.reveal(before[0]) == {"name": "Ada"}
    assert vault.decrypt_for(before[0], "export", sealed) == b"text"
    assert _rows("select count(*) from vault.subjects") == [(500,)]


def test_a_lookup_that_a_rotation_overtakes_finds_whom_it_found_before(
    vault: Vault, keys: FileKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole rotation happens between two statements of the lookup, and again before its keys are read."""
    [known] = vault.resolve(CUSTOMER_NUMBER, ["C1"], create=True)
    looked_for, required, rotated = identities.owners, identities.required_version, list[int]()

    def rotate(function: Any) -> Any:
        def rotating(*arguments: Any) -> Any:
            if len(rotated) < 2:
                rotated.append(rotation.rotate("lookup", FileKeyProvider()).version)
            return function(*arguments)

        return rotating

    monkeypatch.setattr(identities, "owners", rotate(looked_for))
    monkeypatch.setattr(identities, "required_version", rotate(required))
    assert vault.lookup(CUSTOMER_NUMBER, "C1") == known
    assert rotated == [2, 3]
    assert vault.lookup(CUSTOMER_NUMBER, "C2") is None


def test_lookups_and_new_subjects_go_on_during_a_rotation(
    vault: Vault, keys: FileKeyProvider
) -> None:
    numbers = [f"C{secrets.token_hex(4)}" for _ in range(2_000)]
    expected = dict(zip(numbers, vault.resolve(CUSTOMER_NUMBER, numbers, create=True), strict=True))
    stop, wrong, made = threading.Event(), [], {}

    def read() -> None:
        own = Vault(FileKeyProvider())
        while not stop.is_set():
            number = secrets.choice(numbers)
            if own.lookup(CUSTOMER_NUMBER, number) != expected[number]:
                wrong.append(number)

    def create() -> None:
        own = Vault(FileKeyProvider())
        while not stop.is_set():
            fresh = [f"N{secrets.token_hex(4)}" for _ in range(20)]
            both = own.resolve(CUSTOMER_NUMBER, [*fresh, *numbers[:20]], create=True)
            made.update(zip(fresh, both[:20], strict=True))
            wrong.extend(n for n, who in zip(numbers[:20], both[20:], strict=True) if who != expected[n])  # fmt: skip

    threads = [threading.Thread(target=task) for task in (read, read, create, create)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            rotation.rotate("lookup", keys, batch=100)
            rotation.rotate("wrapping", keys, batch=100)
        rotation.rotate("lookup", keys)  # whatever was created at the old version meanwhile
        rotation.destroy_old("lookup", keys)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(made) >= 20
    assert vault.resolve(CUSTOMER_NUMBER, list(made), create=False) == list(made.values())
    assert vault.resolve(CUSTOMER_NUMBER, numbers, create=True) == list(expected.values())
    total = len(expected) + len(made)
    assert _rows("select count(*) from vault.subjects") == [(total,)]


_ROTATE = """
import sys
from privacy import rotation
from privacy.key_providers.file import FileKeyProvider
rotation.rotate(sys.argv[1], FileKeyProvider(), lambda *told: print(*told, flush=True), batch=20)
"""


@pytest.mark.parametrize("name", rotation.ROTATED)
def test_a_killed_rotation_goes_on_where_it_ended(
    vault: Vault, keys: FileKeyProvider, name: rotation.RotatedKey
) -> None:
    numbers = [f"C{number}" for number in range(1_500)]
    before = vault.resolve(CUSTOMER_NUMBER, numbers, create=True)
    process = subprocess.Popen(
        [sys.executable, "-c", _ROTATE, name], cwd=PROJECT_ROOT, env=os.environ.copy(), stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout
    with process:
        for _ in range(5):
            assert process.stdout.readline()
        process.kill()
    assert process.wait() == -9
    table = "vault.identifiers" if name == "lookup" else "vault.subjects"
    assert set(rotation.held(name)[table]) == {1, 2}
    assert vault.resolve(CUSTOMER_NUMBER, numbers, create=True) == before
    with pytest.raises(KeyInUseError, match=rf"version 1 by {table}: \d+\); destroyed: none"):
        rotation.destroy_old(name, keys)
    _await_release()
    done = rotation.rotate(name, keys)
    assert (done.version, done.resumed) == (2, True)
    assert 0 < done.changed[table] < 1_500
    assert rotation.destroy_old(name, keys) == [1]
    assert vault.resolve(CUSTOMER_NUMBER, numbers, create=True) == before


def _await_release() -> None:
    """Until Postgres has noticed that the killed process is gone."""
    for _ in range(100):
        held = _rows("select count(*) from pg_locks where locktype = 'advisory'")
        if held == [(0,)]:
            return
        time.sleep(0.1)
    pytest.fail("the killed process still holds its locks")


def test_a_rotation_cut_short_before_the_database_knew_of_it_is_not_begun_twice(
    vault: Vault, keys: FileKeyProvider
) -> None:
    vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)
    keys.rotate("lookup")
    done = rotation.rotate("lookup", keys)
    assert (done.version, done.resumed, done.changed) == (2, True, {"vault.identifiers": 1})


def test_an_open_request_is_sealed_anew_and_an_export_holds_up_the_destruction(
    vault: Vault, keys: FileKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)[0]
    assert pseudonym
    stranger = secrets.token_hex(16)
    exported, _ = requests.submit(RequestKind.ACCESS, stranger, "test")
    assert requests.process(exported.request_id).status is RequestStatus.COMPLETED
    waiting, _ = requests.submit(RequestKind.ACCESS, pseudonym, "test")
    done = rotation.rotate("wrapping", keys)
    assert done.changed == {"vault.subjects": 1, "requests.privacy_requests": 1}
    with pytest.raises(KeyInUseError, match=r"by requests.exports: 1\).* expire within seven days"):
        rotation.destroy_old("wrapping", keys)
    assert len(keys.versions("wrapping")) == 2
    assert requests.export_of(exported.request_id)
    rotation.rotate("wrapping", keys)
    with pytest.raises(KeyInUseError, match=r"version 1 by requests.exports: 1\); destroyed: 2\."):
        rotation.destroy_old("wrapping", keys)
    with connect(Role.PRIVACY) as connection:
        connection.execute("update requests.exports set expires = now()")
    access.drop_expired()
    assert rotation.destroy_old("wrapping", keys) == [1]
    assert requests.process(waiting.request_id).status is RequestStatus.COMPLETED


def test_an_erased_identifier_is_recognised_after_the_key_of_its_lookup_is_gone(
    keys: FileKeyProvider,
) -> None:
    shop = SmallShop(shop_rows())
    for name in TABLES:
        ingest(name, shop)
    vault = Vault()
    pseudonym = vault.lookup(CUSTOMER_NUMBER, "qx4711marker")
    assert pseudonym
    tombstones.record([pseudonym], vault.identifiers_of([pseudonym]), AT + timedelta(days=1))
    vault.erase([pseudonym])
    rotation.rotate("lookup", keys)
    assert rotation.destroy_old("lookup", keys) == [1]
    assert ingest("customers", shop).tombstoned == 1
    assert vault.lookup(CUSTOMER_NUMBER, "qx4711marker") is None


def test_an_ingest_run_again_after_a_rotation_changes_nothing(keys: FileKeyProvider) -> None:
    shop = SmallShop(shop_rows())
    for name in TABLES:
        ingest(name, shop)
    for key in rotation.ROTATED:
        rotation.rotate(key, keys)
        rotation.destroy_old(key, keys)
    before = _rows("select xmin::text, * from vault.identifiers order by lookup")
    assert {name: ingest(name, shop).written for name in TABLES} == dict.fromkeys(TABLES, 0)
    assert _rows("select xmin::text, * from vault.identifiers order by lookup") == before


def test_a_process_with_the_old_keys_makes_no_second_pseudonym(
    vault: Vault, keys: FileKeyProvider, tmp_path: Path
) -> None:
    vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)
    copy = tmp_path / "secrets" / "keys.json"
    copy.parent.mkdir()
    copy.touch(0o600)
    copy.write_text(keys.path.read_text())
    rotation.rotate("lookup", keys)
    left_behind = Vault(FileKeyProvider(copy))
    for action in (
        lambda: left_behind.resolve(CUSTOMER_NUMBER, ["a"], create=True),
        lambda: left_behind.lookup(CUSTOMER_NUMBER, "a"),
    ):
        with pytest.raises(VaultError, match="give it the new keys"):
            action()
    with pytest.raises(KeyProviderError, match="newest key file"):
        rotation.rotate("lookup", FileKeyProvider(copy))
    assert _rows("select count(*) from vault.subjects") == [(1,)]


def test_two_rotations_at_once_are_one(vault: Vault, keys: FileKeyProvider) -> None:
    vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)

    def second(*_: object) -> None:
        with pytest.raises(KeyProviderError, match="Another rotation is under way"):
            rotation.rotate("lookup", keys)

    rotation.rotate("lookup", keys, second)
    assert len(keys.versions("lookup")) == 2


def test_nothing_of_an_old_lookup_is_left_on_disk_once_its_key_is_destroyed(
    vault: Vault, keys: FileKeyProvider, settings: PlatformSettings
) -> None:
    vault.resolve(CUSTOMER_NUMBER, ["a"], create=True)
    old = bytes(_rows("select lookup from vault.identifiers")[0][0])
    rotation.rotate("lookup", keys)
    rotation.destroy_old("lookup", keys)
    files = [path for path in (settings.home / "postgres").rglob("*") if path.is_file()]
    new = bytes(_rows("select lookup from vault.identifiers")[0][0])
    assert [path for path in files if new in path.read_bytes()], "the search finds"
    assert [path.name for path in files if old in path.read_bytes()] == []


def test_the_command_rotates_destroys_and_leaves_an_entry_in_the_audit_log(
    vault: Vault, keys: FileKeyProvider
) -> None:
    vault.resolve(CUSTOMER_NUMBER, ["a", "b"], create=True)
    result = CliRunner().invoke(app, ["privacy", "rotate-keys", "--destroy-old"])
    assert result.exit_code == 0, result.output
    assert "vault.identifiers 2" in result.output
    assert "vault.subjects 2" in result.output
    assert "old versions of the lookup key destroyed: 1" in result.output
    entries = _rows("select action, detail from audit.log order by entry_id")
    assert [(action, detail["key"]) for action, detail in entries] == [
        ("key rotated", "lookup"),
        ("key rotated", "wrapping"),
        ("keys destroyed", "lookup"),
        ("keys destroyed", "wrapping"),
    ]
    assert entries[0][1]["rows"] == {"vault.identifiers": 2}
    assert key_provider().current("lookup").version == 2
    assert datetime.now(UTC) - _rows("select max(destroyed) from vault.key_versions")[0][0] < timedelta(minutes=5)  # fmt: skip


def test_keys_are_created_once(keys: FileKeyProvider) -> None:
    before = keys.path.read_text()
    result = CliRunner().invoke(app, ["privacy", "create-keys"])
    assert isinstance(result.exception, KeyProviderError)
    assert keys.path.read_text() == before


def test_a_lock_is_free_as_soon_as_its_block_ends() -> None:
    for _ in range(100):
        with alone(Role.PRIVACY, 7) as mine:
            assert mine
            with alone(Role.PRIVACY, 7) as others:
                assert not others
