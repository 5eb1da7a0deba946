"""An e-mail address or a telephone number that lies somewhere in clear keeps an erasure incomplete while the vault can still tell."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

from privacy import certificates, requests
from privacy.database import Role, connect, redis_url
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings, platform_settings
from privacy.vault import Vault

EMAIL = "Quilla.Zephyrine@Example.org"
PHONE = "+49 30 901820"


@contextmanager
def _file(name: str, data: bytes) -> Iterator[str]:
    path = platform_settings().logs_dir / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    yield f"file logs/{name}"
    path.unlink()


def _log() -> AbstractContextManager[str]:
    return _file("api.log", b"GET /?mail=" + EMAIL.lower().encode())


def _rotated_log() -> AbstractContextManager[str]:
    return _file("api.log.1.gz", gzip.compress(b"called from +4930901820"))


@contextmanager
def _named_file() -> Iterator[str]:
    with _file(f"{EMAIL}.csv", b"nothing"):
        yield "file logs/(identifier).csv"


@contextmanager
def _row() -> Iterator[str]:
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.quarantine (source, table_name, file_name, row_number, reason) values ('f', 'f', 'f', 1, %s)",
            [f"no country in {PHONE}"],
        )
    yield "table shop.quarantine: 1 left"
    with connect(Role.INGEST) as connection:  # its bytes stay in the table's file
        connection.execute("delete from shop.quarantine")


@contextmanager
def _key() -> Iterator[str]:
    client = redis.Redis.from_url(redis_url())
    client.xadd("sv:events", {"pseudonym": "0" * 32, "query": EMAIL})
    yield "Redis keys: 1 left"
    client.delete("sv:events")
    client.close()


PLACES = (_log, _rotated_log, _named_file, _row, _key)


@pytest.fixture
def leaver(people) -> str:
    Vault().store_direct([people.leaver], {"email": [EMAIL], "phone": [PHONE]})
    return str(people.leaver)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_it_is_found_and_the_vault_remembers_until_it_is_gone(
    leaver: str, place: Callable[[], AbstractContextManager[str]]
) -> None:
    request, _ = requests.submit(RequestKind.ERASURE, leaver, "test")
    with place() as told:
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        [reason] = [why for why in tried.unfinished if why.startswith("platform/identifiers")]
        assert told in reason
        written = json.dumps([tried.unfinished, [step.error for step in tried.steps()]]).lower()
        assert not any(text in written for text in (EMAIL.lower(), PHONE, "4930901820"))
        assert Vault().reveal(leaver)["email"] == EMAIL

    done = requests.process(request.request_id)
    assert (done.unfinished, done.status) == ((), RequestStatus.COMPLETED)
    assert Vault().known([leaver]) == set()
    certificate = json.loads(certificates.get(request.request_id))
    assert certificate["received"] < certificate["identifiers_searched"] < certificate["completed"]


def test_nothing_of_the_search_stays(leaver: str, servers: PlatformSettings) -> None:
    request, _ = requests.submit(RequestKind.ERASURE, leaver, "test")
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    for path in servers.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes().lower()
            assert not any(
                text.encode() in data for text in (EMAIL.lower(), PHONE, "+4930901820")
            ), path


def test_one_that_only_another_person_left_behind_stops_nobody(
    people, leaver: str, servers: PlatformSettings, tmp_path: Path
) -> None:
    with _file("api.log", b"odo@example.org"):
        request, _ = requests.submit(RequestKind.ERASURE, leaver, "test")
        assert requests.process(request.request_id).status is RequestStatus.COMPLETED
