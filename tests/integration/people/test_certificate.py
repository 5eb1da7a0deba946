"""A completed erasure has a certificate that anybody checks with the public key; half an erasure has none."""

import base64
import json
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from privacy import audit, certificates, requests, signing
from privacy.certificates import CertificateError, CertificateUnavailableError
from privacy.database import Role, admin_url, connect, redis_url
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings


def erased(pseudonym: str) -> UUID:
    request, _ = requests.submit(RequestKind.ERASURE, pseudonym, "test")
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    return request.request_id


@pytest.fixture
def certificate(people) -> bytes:
    return certificates.get(erased(people.leaver))


def test_it_names_assets_counts_and_times_and_nobody(people, certificate: bytes) -> None:
    document = json.loads(certificate)
    removed = {asset["asset"]: asset["removed"] for asset in document["assets"]}

    assert removed["lake/interactions"] == 50
    assert removed["platform/vault"] == 1
    assert removed["platform/event_stream"] == 5
    assert removed["platform/consent_mask"] == 1
    for counted in document["searched"].values():
        assert counted["searched"] == counted["existing"] > 0
    for of_the_person in (people.leaver, "C-1001", "Quilla", "quilla", "o0", "test"):
        assert of_the_person not in certificate.decode()


def test_the_public_key_alone_checks_it(certificate: bytes) -> None:
    checked = certificates.check(certificate, signing.public_key_pem())
    assert checked.assets == len(json.loads(certificate)["assets"])
    assert checked.key_id == json.loads(certificate)["key_id"]


def test_it_says_what_was_not_searched(certificate: bytes) -> None:
    told = json.loads(certificate)["not_searched"]
    assert any(place.startswith("backups") for place in told)
    assert not any("server" in place for place in told), "the files of its own servers it searched"
    assert certificates.check(certificate, signing.public_key_pem()).not_searched == tuple(told)


def test_it_says_that_the_files_of_servers_by_url_were_not_searched(
    people, servers: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = admin_url().render_as_string(hide_password=False)
    for name, url in (("postgres_url", postgres), ("redis_url", redis_url())):
        monkeypatch.setattr(servers, name, SecretStr(url))
    told = json.loads(certificates.get(erased(people.leaver)))["not_searched"]
    assert any("the Postgres server" in place and "write-ahead log" in place for place in told)
    assert any("the Redis server" in place and "append-only file" in place for place in told)


def _forgeries() -> dict[str, "object"]:
    def changed(document: dict) -> None:
        document["assets"][0]["removed"] += 1

    def shortened(document: dict) -> None:
        document["assets"].pop()

    def later(document: dict) -> None:
        document["completed"] = "2030-01-01T00:00:00+00:00"

    def relinked(document: dict) -> None:
        document["audit"]["hash"] = "00" * 32

    def all_searched(document: dict) -> None:
        document["not_searched"].pop()

    def another(document: dict) -> None:
        document["request_id"] = "6f1e8f0a-3b0c-4f0e-9a59-0d4f6a1c2b3d"

    return {
        each.__name__: each for each in (changed, shortened, later, relinked, all_searched, another)
    }


@pytest.mark.parametrize("name", sorted(_forgeries()))
def test_a_forged_one_is_refused(certificate: bytes, name: str) -> None:
    document = json.loads(certificate)
    _forgeries()[name](document)  # type: ignore[operator]
    with pytest.raises(CertificateError):
        certificates.check(json.dumps(document).encode(), signing.public_key_pem())


def test_one_of_another_key_is_refused(certificate: bytes) -> None:
    other = signing.public_key_pem(Ed25519PrivateKey.generate())
    with pytest.raises(CertificateError, match="another key"):
        certificates.check(certificate, other)


def test_a_forger_cannot_sign_in_the_name_of_the_platforms_key(certificate: bytes) -> None:
    """Who takes a key of his own, and says that it was the platform's, is not printed as the platform."""
    own = Ed25519PrivateKey.generate()
    document = json.loads(certificate)
    del document["signature"]
    signature = base64.b64encode(own.sign(certificates._message(document))).decode()
    forged = json.dumps({**document, "signature": signature}).encode()
    with pytest.raises(CertificateError, match="another key signed it"):
        certificates.check(forged, signing.public_key_pem(own))


def test_it_is_chained_to_the_audit_log(certificate: bytes) -> None:
    link = json.loads(certificate)["audit"]
    entry = audit.find(link["entry"])
    assert entry is not None
    assert (entry.hash.hex(), entry.action) == (link["hash"], "erasure certified")
    assert audit.check().faults == ()


def test_an_incomplete_erasure_has_none(people, servers: PlatformSettings) -> None:
    stray = servers.home / "stray.txt"
    stray.write_text(people.leaver)
    try:
        request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
        assert requests.process(request.request_id).status is RequestStatus.INCOMPLETE
        with pytest.raises(CertificateUnavailableError):
            certificates.get(request.request_id)
    finally:
        stray.unlink()
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    certificates.check(certificates.get(request.request_id), signing.public_key_pem())


def test_without_a_key_to_sign_with_an_erasure_is_incomplete(
    people, servers: PlatformSettings
) -> None:
    signing.public_key_pem()
    key = servers.secrets_dir / "signing-key.pem"
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    kept = key.read_bytes()
    key.chmod(0o644)
    try:
        tried = requests.process(request.request_id)
    finally:
        key.chmod(0o600)
    assert key.read_bytes() == kept
    assert tried.status is RequestStatus.INCOMPLETE
    assert any("signing-key.pem can be read by others" in reason for reason in tried.unfinished)


def _as_administrator(statement: str) -> None:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("alter table audit.log disable trigger user")
        connection.execute(statement)  # type: ignore[arg-type]
        connection.execute("alter table audit.log enable trigger user")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update audit.log set actor = 'nobody' where entry_id = 2", "entry 2 was changed"),
        ("delete from audit.log where entry_id = 2", "entry 3 does not follow entry 1"),
        ("delete from audit.log where entry_id = 1", "entry 2 is not the first"),
        ("update audit.log set at = at + interval '1 second' where entry_id = 3", "entry 3"),
        ("""update audit.log set detail = '{"n": 9}' where entry_id = 1""", "entry 1 was changed"),
        (
            "update audit.log set entry_id = case entry_id when 1 then 20 else 1 end where entry_id in (1, 2)",
            "entry",
        ),
    ],
)
def test_what_is_done_to_the_audit_log_shows(
    clean_database: None, statement: str, fault: str
) -> None:
    for number in range(3):
        audit.record("test", "counted", {"number": number})
    assert audit.check().faults == ()
    _as_administrator(statement)
    assert any(fault in found for found in audit.check().faults)


REWRITES = {
    "cut off": "delete from audit.log where entry_id >= {entry}",
    "emptied": "truncate audit.log",
    "written anew": "truncate audit.log; alter table audit.log enable trigger append; "
    "insert into audit.log (actor, action, detail) select 'a', 'b', '{{}}' from generate_series(1, {entry})",
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_log_that_is_whole_in_itself_contradicts_the_certificates(
    certificate: bytes, rewrite: str
) -> None:
    link = certificates.check(certificate, signing.public_key_pem()).link
    _as_administrator(REWRITES[rewrite].format(entry=link.entry_id))
    [stored] = audit.check().faults
    assert f"entry {link.entry_id}" in stored

    _as_administrator("delete from requests.certificates")
    assert audit.check().faults == (), "without a certificate nothing in the log shows it"
    [kept_elsewhere] = audit.check([link]).faults
    assert "the given certificate" in kept_elsewhere


def test_a_certificate_that_was_changed_where_it_is_kept_is_named(certificate: bytes) -> None:
    _as_administrator("update requests.certificates set certificate = 'lost'")
    assert audit.check().faults[0].endswith("names no entry: it was changed")


def test_the_application_cannot_change_the_audit_log(clean_database: None) -> None:
    audit.record("test", "counted", {"number": 1})
    for statement in (
        "delete from audit.log",
        "update audit.log set actor = 'x'",
        "truncate audit.log",
    ):
        with pytest.raises(psycopg.errors.RaiseException), connect(Role.PRIVACY) as connection:
            connection.execute(statement)


def test_entries_of_many_at_once_are_one_chain(clean_database: None) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: audit.record("test", "counted", {"n": number}), range(40)))
    report = audit.check()
    assert (report.entries, report.faults) == (40, ())
