"""Five canaries are erased through the API and Dagster; then nothing of them is left in any place, byte by byte."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from deltalake import DeltaTable

from privacy import certificates, signing
from privacy.file_search import counter
from privacy.stores.redis import redis_client
from serving.auth import Scope
from tests.adversarial import dictionary
from tests.adversarial.canaries import Canary
from tests.adversarial.reading import PLACES, as_administrator, contents, everything, found_in
from tests.adversarial.traces import needles
from tests.adversarial.whole_platform import Platform

# Where people are, before an erasure: a search that finds nobody there afterwards has searched something.
HOLDING_PEOPLE = (
    "Postgres's files",
    "Postgres's write-ahead log",
    "Postgres's rows",
    "Parquet, old and new",
    "Redis",
    "Redis's dump and append-only file",
    "models",
    "the privacy ledger",
)


@dataclass(frozen=True)
class Gone:
    """Erased canaries, what was found where before, and the references that the shop still has."""

    canaries: Sequence[Canary]
    needles: Sequence[bytes]
    held: dict[str, int]
    references: Sequence[str]
    online: Sequence[str]
    certificates: Sequence[bytes]


@pytest.fixture(scope="module")
def gone(platform: Platform) -> Gone:
    canaries = platform.take(5)
    wanted = needles(platform, canaries)
    write_again(platform.pseudonyms(canaries))
    held = {name: found_in(PLACES[name].read(platform), wanted) for name in HOLDING_PEOPLE}
    with platform.api(Scope.STOREFRONT) as client:
        references = [platform.reference(client, canary) for canary in canaries]
    with platform.api(Scope.PRIVACY) as client:
        locations = [_ask(client, reference) for reference in references]
        online = online_keys(platform.pseudonyms(canaries))
        assert platform.run("privacy_requests")
        reports = [client.get(location).json() for location in locations]
        assert [report["unfinished"] for report in reports] == [[]] * len(canaries)
        assert {report["status"] for report in reports} == {"completed"}
        issued = [client.get(f"{location}/certificate").content for location in locations]
    return Gone(canaries, wanted, held, references, online, issued)


def write_again(pseudonyms: Sequence[str]) -> None:
    """Write rows of theirs once more, so that the write-ahead log holds them, whichever erasure trimmed it before."""
    with as_administrator() as connection:
        changed = connection.execute(
            "update shop.feedback set rating = rating where pseudonym = any(%s)", [pseudonyms]
        )
        assert changed.rowcount == len(pseudonyms)


def online_keys(pseudonyms: Sequence[str]) -> list[str]:
    """Kinds of keys in Redis that name one of them; the stream, which nobody serves from, aside."""
    with redis_client() as client:
        keys = list(client.scan_iter())
    return [str(key[:20]) for key in keys if any(name.encode() in key for name in pseudonyms)]


def _ask(client: httpx.Client, reference: str) -> str:
    answer = client.post("/v1/privacy-requests", json={"kind": "erasure", "subject_ref": reference})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


@pytest.mark.parametrize("name", PLACES)
def test_nothing_of_who_left_lies_in(platform: Platform, gone: Gone, name: str) -> None:
    pieces = list(PLACES[name].read(platform))
    assert any(PLACES[name].landmark in piece for piece in pieces), "the search reads this place"
    assert found_in(pieces, gone.needles) == 0


@pytest.mark.parametrize("name", HOLDING_PEOPLE)
def test_before_they_left_they_were_found_in(gone: Gone, name: str) -> None:
    assert gone.held[name] > 0


def test_no_key_of_theirs_is_online_when_the_call_returns(gone: Gone) -> None:
    assert gone.online == []


def test_who_leaves_is_anonymous_at_once(platform: Platform, gone: Gone) -> None:
    with platform.api(Scope.STOREFRONT) as client:
        for reference in gone.references:
            headers = {"Selvedge-Subject": reference}
            ranked = client.get("/v1/recommendations", headers=headers)
            assert ranked.status_code == 200
            assert ranked.json()["personalised"] is False


def test_no_old_version_of_a_table_can_be_read_with_them(platform: Platform, gone: Gone) -> None:
    names = set(platform.pseudonyms(gone.canaries))
    lost = 0
    for log in sorted(platform.settings.lake_dir.rglob("_delta_log")):
        newest = DeltaTable(str(log.parent)).version()
        for version in range(newest + 1):
            rows = _rows_of(log.parent, version)
            lost += rows is None
            assert not names & set(rows or ()), f"version {version} of {log.parent.name}"
    assert lost, "the versions that held them cannot be read any more"


def _rows_of(table: Path, version: int) -> list[str] | None:
    """The pseudonyms of one version; None where its files are no more."""
    old = DeltaTable(str(table), version=version)
    if "pseudonym" not in [field.name for field in old.schema().fields]:
        return []
    if not all(Path(uri.removeprefix("file://")).exists() for uri in old.file_uris()):
        return None
    values: list[str] = old.to_pyarrow_table(columns=["pseudonym"])["pseudonym"].to_pylist()
    return values


def test_each_certificate_holds_and_names_nobody(platform: Platform, gone: Gone) -> None:
    for certificate in gone.certificates:
        checked = certificates.check(certificate, signing.public_key_pem())
        assert checked.assets == len(json.loads(certificate)["assets"])
    raw = [text.encode() for canary in gone.canaries for text in canary.identifiers.values()]
    assert found_in(gone.certificates, [*gone.needles, *raw]) == 0


def test_no_identifier_of_anybody_lies_anywhere_nor_any_digest_of_one(
    platform: Platform, gone: Gone, tmp_path: Path
) -> None:
    """Of all canaries, erased or not; digests of some, for there are thousands of each."""
    texts = {text for canary in platform.canaries for text in canary.identifiers.values()}
    attacked = [*gone.canaries[:2], *platform.canaries[-2:]]
    identifiers = [text for canary in attacked for text in canary.identifiers.values()]
    table = dictionary.digests(identifiers)
    wanted = [*(text.encode() for text in texts), *table]
    sums = dictionary.checksums(identifiers)

    assert found_in(_raw_data(platform), wanted[: len(texts)]) > len(texts), "the shop has them"
    trap = tmp_path / "trap"
    trap.write_bytes(b"\0" * 5 + list(table)[-3] + b"..." + sorted(sums)[0])
    assert found_in(contents(trap), wanted) == 1
    assert dictionary.stored_checksums(trap.read_bytes()) & sums

    count = counter(wanted)
    for place, piece in everything(platform):
        assert count(piece) == 0, f"an identifier or its digest is in {place}"
        assert not dictionary.stored_checksums(piece) & sums, f"a checksum is in {place}"


def _raw_data(platform: Platform) -> list[bytes]:
    return [
        piece
        for path in platform.settings.shop_home.rglob("*")
        if path.is_file()
        for piece in contents(path)
    ]
