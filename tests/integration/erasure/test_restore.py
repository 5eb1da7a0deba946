"""What an old backup brings back is recognised, refused, and erased again before anything reads it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from orchestration.servers.platform import start_servers
from privacy import audit, certificates, epochs, lake, registry, requests, signing, tombstones
from privacy.database import Role, connect, redis_url
from privacy.file_search import needles_of, search_files
from privacy.folders import Folder
from privacy.identifiers import canonical
from privacy.requests import RequestStatus
from privacy.restore import (
    MissingFolderError,
    RestoredError,
    after_restore,
    refuse_restored,
    returned,
)
from privacy.settings import PlatformSettings
from privacy.tombstone_journal import JournalError, LostJournalError, journal_path, read
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.erasure.conftest import OwnPlatform
from tests.integration.people import conftest as fill
from tests.integration.people.conftest import CONTRACTS, MODEL, People

# Feast's registry needs an apply of its own; the handlers of its online store are tested with `people`.
STORES = tuple(contract for contract in CONTRACTS if not contract.key.startswith("features/"))


@pytest.fixture
def filled(own_platform: OwnPlatform) -> People:
    registry.publish(STORES)
    resolved = Vault().resolve(CUSTOMER_NUMBER, ["C-1001", "C-1002"], create=True)
    people = People(*(name for name in resolved if name))
    Vault().store_direct(people.both, {"name": ["Quilla Zephyrine", "Odo Brandt"]})
    fill._fill_postgres(people)
    fill._fill_lake(people)
    fill._fill_model(people)
    client = redis.Redis.from_url(redis_url())
    fill._fill_redis(people, client)
    client.close()
    return people


def erase(pseudonym: str) -> None:
    [request] = requests.submit_erasures([pseudonym], "test")
    done = requests.process(request.request_id)
    assert (done.status, done.unfinished) == (RequestStatus.COMPLETED, ())


def in_vault(pseudonym: str) -> bool:
    return pseudonym in Vault().known([pseudonym])


def in_lake(pseudonym: str) -> bool:
    return lake.holds("interactions", "pseudonym", [pseudonym])


def in_redis(pseudonym: str) -> bool:
    client = redis.Redis.from_url(redis_url())
    try:
        return bool(client.exists(f"sv:consent:{{{pseudonym}}}"))
    finally:
        client.close()


def in_model(pseudonym: str) -> bool:
    return pseudonym in fill_subjects()


def fill_subjects() -> set[str]:
    from privacy.stores import handler_for

    return handler_for(MODEL).subjects(MODEL)


WHERE: dict[str, Callable[[str], bool]] = {
    "postgres": in_vault,
    "lake": in_lake,
    "redis": in_redis,
    "models": in_model,
}
NAMES = {"postgres": "Postgres", "lake": "the lake", "redis": "Redis", "models": "the models"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("restored", [tuple(WHERE), ("lake",), ("redis",)], ids="+".join)
def test_a_restored_backup_is_erased_again_before_anything_reads_it(
    own_platform: OwnPlatform, filled: People, restored: tuple[str, ...]
) -> None:
    home = own_platform.settings.home
    own_platform.back_up()
    erase(filled.leaver)
    refuse_restored()
    own_platform.restore(*restored)
    assert all(WHERE[store](filled.leaver) for store in restored), "the backup holds them"
    if "postgres" not in restored:
        assert returned(registry.load()) == {filled.leaver}

    with pytest.raises(RestoredError) as refusal:
        refuse_restored()
    assert all(NAMES[store] in str(refusal.value) for store in restored)
    with pytest.raises(RestoredError):
        list(start_servers(own_platform.settings, ("dagster-code", "ranker")))

    report = after_restore()

    assert (report.returned, report.incomplete) == (1, ())
    assert not any(found(filled.leaver) for found in WHERE.values())
    assert all(found(filled.stayer) for found in WHERE.values())
    assert search_files(home, needles_of([filled.leaver])).holding == {}
    refuse_restored()
    assert audit.check().faults == ()
    done = [each for each in requests.listed(open_only=False) if each.kind == "erasure"]
    for request in done:
        certificates.check(certificates.get(request.request_id), signing.public_key_pem())
    assert after_restore().returned == 0, "repeating it finds nobody"


@pytest.mark.timeout(600)
def test_the_journal_alone_tells_a_restored_database_who_was_erased_and_when(
    own_platform: OwnPlatform, filled: People, tmp_path: Path
) -> None:
    own_platform.back_up()
    erase(filled.leaver)
    identifiers = [canonical(CUSTOMER_NUMBER, "C-1001")]
    [at] = tombstones.erased_at(identifiers)
    assert at is not None
    own_platform.restore(*WHERE)
    assert tombstones.is_erased([filled.leaver]) == [False], "the backup knows of no erasure"

    after_restore()

    assert tombstones.is_erased(filled.both) == [True, False]
    assert tombstones.erased_at(identifiers) == [at], (
        "who came back since is not taken for the past"
    )
    assert at < datetime.now(UTC)


@pytest.mark.timeout(600)
def test_a_copy_of_the_journal_serves_where_its_own_was_lost(
    own_platform: OwnPlatform, filled: People, tmp_path: Path
) -> None:
    own_platform.back_up()
    erase(filled.leaver)
    copy = tmp_path / "journal.jsonl"
    shutil.copyfile(journal_path(), copy)
    journal_path().unlink()
    own_platform.restore(*WHERE)

    assert after_restore([copy]).returned == 1
    assert not in_vault(filled.leaver)
    assert read().lines[: len(read(copy).lines)] == read(copy).lines


@pytest.mark.timeout(600)
def test_what_cannot_be_erased_again_keeps_the_platform_refused(
    own_platform: OwnPlatform, filled: People
) -> None:
    own_platform.back_up()
    erase(filled.leaver)
    own_platform.restore(*WHERE)
    stray = own_platform.settings.home / "stray.txt"
    stray.write_text(filled.leaver)

    report = after_restore()
    assert [request.status for request in report.incomplete] == [RequestStatus.INCOMPLETE]
    with pytest.raises(RestoredError):
        refuse_restored()

    stray.unlink()
    assert after_restore().incomplete == ()
    refuse_restored()


@pytest.mark.timeout(300)
def test_the_journal_shows_what_was_done_to_it(own_platform: OwnPlatform, filled: People) -> None:
    for name in filled.both:
        tombstones.record([name], [], datetime.now(UTC))
    path = journal_path()
    whole = path.read_bytes()
    assert len(read().tombstones) == 2
    assert not any(name.encode() in whole for name in filled.both)

    for spoiled in (
        whole.replace(b"pseudonym", b"identifier", 1),
        whole.split(b"\n", 1)[1],
        b"\n".join(reversed(whole.split(b"\n")[:-1])) + b"\n",
    ):
        path.write_bytes(spoiled)
        with pytest.raises(JournalError, match=r"journal\.jsonl, line \d"):
            read()

    path.write_bytes(whole + b'{"tombstones": [["pseudonym", "ab')
    assert len(read().tombstones) == 2, "what a crash cut short never counted"
    tombstones.record(["0" * 32], [], datetime.now(UTC))
    assert len(read().tombstones) == 3


def test_an_erasure_does_not_count_before_the_journal_has_it(
    own_platform: OwnPlatform, filled: People
) -> None:
    journal_path().parent.mkdir(parents=True, exist_ok=True)
    journal_path().mkdir()
    [request] = requests.submit_erasures([filled.leaver], "test")
    tried = requests.process(request.request_id)
    assert tried.status is RequestStatus.INCOMPLETE
    assert any("platform/tombstones" in reason for reason in tried.unfinished)
    with connect(Role.PRIVACY) as connection:
        held = connection.execute("select count(*) from requests.tombstones").fetchone()
    assert held == (0,)


def test_a_database_that_lacks_a_tombstone_of_the_journal_is_refused_until_it_has_it_again(
    own_platform: OwnPlatform, filled: People
) -> None:
    erase(filled.leaver)
    with connect(Role.PRIVACY) as connection:
        connection.execute("delete from requests.tombstones where kind = 'pseudonym'")
    assert tombstones.is_erased([filled.leaver]) == [False], "an ingest would take them in again"

    with pytest.raises(RestoredError, match=r"Postgres \(tombstones missing: 1\)"):
        refuse_restored()
    after_restore()

    refuse_restored()
    assert tombstones.is_erased([filled.leaver]) == [True]


def test_a_folder_that_is_not_mounted_is_searched_by_no_erasure(
    filled: People, settings: PlatformSettings, tmp_path: Path
) -> None:
    shutil.move(settings.lake_dir, tmp_path / "elsewhere")
    settings.lake_dir.mkdir()
    with pytest.raises(MissingFolderError, match=r"is empty: lake\."):
        refuse_restored()
    [request] = requests.submit_erasures([filled.leaver], "test")
    waiting = requests.process(request.request_id)
    assert waiting.status is not RequestStatus.COMPLETED
    assert any("lake" in step for step in waiting.unfinished)
    with pytest.raises(certificates.CertificateUnavailableError):
        certificates.get(request.request_id)

    settings.lake_dir.rmdir()
    shutil.move(tmp_path / "elsewhere", settings.lake_dir)
    assert in_lake(filled.leaver)
    refuse_restored()
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    assert not in_lake(filled.leaver)


def test_a_folder_that_is_gone_for_good_is_named(
    filled: People, settings: PlatformSettings
) -> None:
    shutil.rmtree(settings.lake_dir)
    with pytest.raises(MissingFolderError, match="after-restore --lost lake"):
        after_restore()
    assert after_restore(lost=[Folder.LAKE]).incomplete == ()
    refuse_restored()
    erase(filled.leaver)


def _cut(kept: int) -> bytes:
    """Cut the journal after its first lines; gives what it was."""
    whole = journal_path().read_bytes()
    journal_path().write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
    return whole


@pytest.mark.timeout(300)
@pytest.mark.parametrize("left", ["nothing", "the first erasure"])
def test_a_journal_that_was_cut_is_noticed_and_a_copy_mends_it(
    filled: People, tmp_path: Path, left: str
) -> None:
    erase(filled.leaver)
    first = len(read().lines)
    erase(filled.stayer)
    refuse_restored()
    copy = tmp_path / "journal.jsonl"
    copy.write_bytes(_cut(0 if left == "nothing" else first))

    with pytest.raises(LostJournalError, match="after-restore --tombstones"):
        refuse_restored()
    with pytest.raises(LostJournalError):
        after_restore()
    [third] = Vault().resolve(CUSTOMER_NUMBER, ["C-1003"], create=True)
    assert third
    [request] = requests.submit_erasures([third], "test")
    tried = requests.process(request.request_id)
    assert tried.status is RequestStatus.INCOMPLETE
    assert any("journal of tombstones was lost" in reason for reason in tried.unfinished)

    assert after_restore([copy]).incomplete == ()
    refuse_restored()
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    refuse_restored()
    assert read().lines[: len(read(copy).lines)] == read(copy).lines
    assert tombstones.unknown_to(read().tombstones) == []
    assert after_restore([copy]).returned == 0, "a copy that holds less changes nothing"


@pytest.mark.timeout(300)
def test_a_journal_of_which_no_copy_is_left_is_completed_from_the_database(
    own_platform: OwnPlatform, filled: People
) -> None:
    own_platform.back_up()
    erase(filled.leaver)
    lost = read().tombstones
    journal_path().unlink()
    report = after_restore(new_journal=True)
    assert (report.unknown, report.returned, report.incomplete) == (0, 0, ())
    assert {entry.token for entry in read().tombstones} == {entry.token for entry in lost}
    refuse_restored()

    journal_path().unlink()
    own_platform.restore("postgres")
    with pytest.raises(LostJournalError, match=r"the lake went through 1 erasures"):
        refuse_restored()
    assert after_restore(new_journal=True).unknown == 1, "whom it was about, nothing here can tell"
    refuse_restored()


def test_a_crash_between_the_stamps_and_the_line_is_no_cut(filled: People) -> None:
    erase(filled.leaver)
    epochs.stamp(read().epoch + 1)
    refuse_restored()
    erase(filled.stayer)
    refuse_restored()
    assert epochs.newest(epochs.stamps()) == read().epoch == 2
