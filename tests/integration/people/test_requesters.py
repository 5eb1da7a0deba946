"""People ask for themselves with a token of the shop; nothing tells a wrong token from a used one, or who is a customer."""

import secrets
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from privacy import registry, requester_marks, requests
from privacy.database import Role, connect
from privacy.requester import RequesterKeyError, _development_key, development_token
from privacy.requests import RequestKind
from privacy.retention import enforce
from privacy.settings import Environment, PlatformSettings
from privacy.subject_reference import issue
from serving.api import privacy_requests
from serving.auth import Scope, api_keys
from serving.problems import add_problem_handlers
from serving.settings import serving_settings
from tests.integration.people.conftest import document_of
from tests.integration.people.test_routes import Client

PATH = "/v1/privacy-requests"


@pytest.fixture
def storefront(people) -> Client:
    return Client(_app(), api_keys()[Scope.STOREFRONT])


@pytest.fixture
def officer(people) -> Client:
    return Client(_app(), api_keys()[Scope.PRIVACY])


def _app() -> FastAPI:
    app = FastAPI()
    add_problem_handlers(app)
    app.include_router(privacy_requests.router)
    return app


def signed(subject: str, key: Any = None, algorithm: str = "EdDSA", **changes: Any) -> str:
    """A development token with some claims changed (None: left out), signed with `key` where one is given."""
    claims = jwt.decode(
        development_token(RequestKind.ACCESS, subject), options={"verify_signature": False}
    )
    claims |= changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key or _development_key(), algorithm=algorithm)


def ask(client: Client, token: str, kind: str = "access", **headers: str) -> Any:
    headers = {"Selvedge-Requester": token, **headers}
    return client.post(PATH, json={"kind": kind}, headers=headers)


def without_instance(answer: Any) -> tuple[int, dict[str, Any]]:
    body = answer.json()
    body.pop("instance", None)
    return answer.status_code, body


NOW = time.time()
WRONG: dict[str, Callable[[], str]] = {
    "none": lambda: "",
    "no token": lambda: "nonsense",
    "forged": lambda: signed("C-1001", ed25519.Ed25519PrivateKey.generate()),
    "another algorithm": lambda: signed("C-1001", ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "no algorithm": lambda: jwt.encode({"sub": "C-1001"}, None, algorithm="none"),
    "expired": lambda: signed("C-1001", iat=NOW - 300, exp=NOW - 1),
    "issued in the future": lambda: signed("C-1001", iat=NOW + 3_000, exp=NOW + 3_100),
    "long-lived": lambda: signed("C-1001", iat=NOW, exp=NOW + 86_400),
    "without an end": lambda: signed("C-1001", exp=None),
    "for another audience": lambda: signed("C-1001", aud="somebody-else"),
    "for another purpose": lambda: signed("C-1001", purpose="erasure"),
    "with a short nonce": lambda: signed("C-1001", jti="1"),
    "of an unknown subject": lambda: signed("C-9999"),
    "of an unknown reference": lambda: signed(issue("f" * 32)),
}


def test_a_person_asks_follows_and_fetches_with_a_token_each(storefront: Client, people) -> None:
    made = ask(storefront, development_token(RequestKind.ACCESS, "C-1001"))
    assert made.status_code == 202, made.text
    again = ask(storefront, development_token(RequestKind.ACCESS, issue(people.leaver)))
    assert (again.status_code, again.json()["request_id"]) == (200, made.json()["request_id"])
    requests.process_open()

    def read(path: str, subject: str, kind: RequestKind = RequestKind.ACCESS) -> Any:
        token = development_token(kind, subject)
        return storefront.get(path, headers={"Selvedge-Requester": token})

    location = made.headers["location"]
    assert read(location, "C-1001").json()["status"] == "completed"
    export = read(f"{location}/export", "C-1001")
    assert {a["asset"]: a["held"] for a in document_of(export.content)["assets"]}["shop/orders"]
    none = f"{PATH}/00000000-0000-4000-8000-000000000000"
    refused = [
        without_instance(answer)
        for answer in (
            read(location, "C-1002"),  # a neighbour
            read(f"{location}/export", "C-1002"),
            read(location, "C-1001", RequestKind.ERASURE),
            read(none, "C-1001"),
            storefront.get(location),
        )
    ]
    assert refused == [refused[0]] * len(refused)
    assert refused[0][0] == 401


def test_who_was_erased_follows_the_request_and_fetches_the_certificate_and_nobody_else_does(
    storefront: Client, people
) -> None:
    def read(path: str, subject: str, kind: RequestKind = RequestKind.ERASURE) -> Any:
        token = development_token(kind, subject)
        return storefront.get(path, headers={"Selvedge-Requester": token})

    reference = issue(people.leaver)
    made = ask(storefront, development_token(RequestKind.ERASURE, "C-1001"), "erasure")
    other = ask(storefront, development_token(RequestKind.ERASURE, "C-1002"), "erasure")
    requests.process_open()
    location, neighbours = made.headers["location"], other.headers["location"]

    assert read(location, "C-1001").json()["status"] == "completed"
    assert read(location, " C-1001 ").json()["status"] == "completed"
    assert read(location, reference).json()["status"] == "completed"
    certificate = read(f"{location}/certificate", "C-1001")
    assert certificate.json()["request_id"] == made.json()["request_id"]
    refused = [
        without_instance(answer)
        for answer in (
            read(neighbours, "C-1001"),
            read(f"{location}/certificate", "C-1002"),
            read(location, "C-1003"),
            read(location, "C-1001", RequestKind.ACCESS),
            read(location, " "),
            ask(storefront, development_token(RequestKind.ACCESS, "C-1001")),
        )
    ]
    assert refused == [refused[0]] * len(refused)
    assert refused[0][0] == 401


def test_what_opens_a_request_says_of_nobody_whose_it_is_and_goes_in_time(
    storefront: Client, people
) -> None:
    made = ask(storefront, development_token(RequestKind.ERASURE, "C-1001"), "erasure")
    with connect(Role.PRIVACY) as connection:
        [(closed,)] = connection.execute("select closed from requests.requester_marks").fetchall()
    assert closed is None
    requests.process_open()
    with connect(Role.PRIVACY) as connection:
        closed, mark = connection.execute("select closed, mark from requests.requester_marks").fetchone() or (None, b"")  # fmt: skip
        completed = connection.execute("select completed from requests.privacy_requests").fetchone()
    assert (closed,) == completed
    assert sha256(b"C-1001").digest() not in bytes(mark)
    fresh = development_token(RequestKind.ERASURE, "C-1001")
    location = made.headers["location"]
    enforce(registry.load())
    assert storefront.get(location, headers={"Selvedge-Requester": fresh}).status_code == 200
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.requester_marks set closed = now() - interval '31 days'"
        )
    enforce(registry.load())
    fresh = development_token(RequestKind.ERASURE, "C-1001")
    assert storefront.get(location, headers={"Selvedge-Requester": fresh}).status_code == 401


def test_a_number_that_two_subjects_claim_opens_nothing(storefront: Client, people) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute("update vault.identifiers set contested = true where pseudonym = %s", [people.leaver])  # fmt: skip
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    assert not requester_marks.opens(request.request_id, "C-1001")
    requests.process(request.request_id)
    assert not requester_marks.opens(request.request_id, "C-1001")


def test_following_takes_the_same_work_whoever_asks(
    storefront: Client, people, statements: list[str]
) -> None:
    made = ask(storefront, development_token(RequestKind.ERASURE, "C-1001"), "erasure")
    requests.process_open()
    location = made.headers["location"]
    work = []
    for path, token in (
        (location, development_token(RequestKind.ERASURE, "C-1002")),
        (location, development_token(RequestKind.ERASURE, "C-9999")),
        (location, development_token(RequestKind.ACCESS, "C-1001")),
        (location, "nonsense"),
        (f"{PATH}/00000000-0000-4000-8000-000000000000", development_token(RequestKind.ERASURE, "C-1001")),
    ):  # fmt: skip
        statements.clear()
        assert storefront.get(path, headers={"Selvedge-Requester": token}).status_code == 401
        work.append(list(statements))
    assert work == [work[0]] * len(work)
    assert work[0]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that this process sends to Postgres."""
    sent: list[str] = []
    original = psycopg.Connection.execute

    def counted(connection: Any, query: Any, *arguments: Any, **keywords: Any) -> Any:
        sent.append(str(query)[:60])
        return original(connection, query, *arguments, **keywords)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    return sent


def test_whatever_is_wrong_gets_one_answer_for_the_same_work(
    storefront: Client, people, statements: list[str]
) -> None:
    used = development_token(RequestKind.PORTABILITY, "C-1001")
    assert ask(storefront, used, "portability").status_code == 202
    answers, work = {}, {}
    for name, make in {**WRONG, "used before": lambda: used}.items():
        token = make()
        statements.clear()
        answer = ask(storefront, token, "portability" if token == used else "access")
        answers[name], work[name] = without_instance(answer), list(statements)
    expected = answers["forged"]
    assert expected[0] == 401
    assert expected[1]["type"] == "/problems/requester-not-recognised"
    assert answers == dict.fromkeys(answers, expected)
    assert work["forged"]
    assert work == dict.fromkeys(work, work["forged"])


def test_no_way_to_be_wrong_is_told_by_its_time(storefront: Client, people) -> None:
    def median(make: Callable[[], str]) -> float:
        times = []
        for _ in range(9):
            token, started = make(), time.perf_counter()
            ask(storefront, token)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    medians = [median(WRONG[name]) for name in ("no token", "forged", "of an unknown subject")]
    assert max(medians) < 3 * min(medians)  # generous: the statements are compared above


def test_the_shops_own_keys_are_used_where_they_are_configured(
    storefront: Client, servers: PlatformSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    shop = ec.generate_private_key(ec.SECP256R1())
    pem = tmp_path / "shop.pem"
    pem.write_bytes(shop.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    development, fresh = (development_token(RequestKind.ACCESS, "C-1001") for _ in range(2))
    own = signed("C-1001", shop, "ES256", jti=secrets.token_urlsafe(16))
    monkeypatch.setattr(servers, "requester_key_file", pem)
    assert ask(storefront, development).status_code == 401
    assert ask(storefront, own).status_code == 202
    monkeypatch.setattr(servers, "requester_key_file", None)
    monkeypatch.setattr(servers, "environment", Environment.PRODUCTION)
    # As if the servers had passwords that development did not generate.
    monkeypatch.setattr("privacy.database.is_generated", lambda _: False)
    assert ask(storefront, fresh).status_code == 401, "nobody signs for the shop"
    with pytest.raises(RequesterKeyError, match="in production always"):
        development_token(RequestKind.ACCESS, "C-1001")


def test_a_person_says_neither_whom_it_is_about_nor_who_they_are(
    storefront: Client, officer: Client, people
) -> None:
    token = development_token(RequestKind.ACCESS, "C-1001")
    body = {"kind": "access", "subject_ref": issue(people.stayer)}
    answer = storefront.post(PATH, json=body, headers={"Selvedge-Requester": token})
    assert answer.status_code == 422
    assert officer.post(PATH, json={"kind": "access"}).status_code == 422


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_settings(), "privacy_requests_per_requester", 2)
    monkeypatch.setattr(serving_settings(), "privacy_requests_per_address", 6)
    monkeypatch.setattr(serving_settings(), "privacy_requests_window", timedelta(seconds=90))
    monkeypatch.setattr(serving_settings(), "serving_client_address_header", "X-Client")


@pytest.mark.usefixtures("limits")
def test_too_many_requests_are_told_when_to_come_back(
    storefront: Client, officer: Client, people, redis_client: Any
) -> None:
    def statuses(subject: str, times: int, address: str = "198.51.100.7") -> list[int]:
        tokens = [development_token(RequestKind.ACCESS, subject) for _ in range(times)]
        return [ask(storefront, token, **{"X-Client": address}).status_code for token in tokens]

    assert statuses("C-1001", 3) == [202, 200, 429]  # by requester
    assert statuses("C-1002", 2) == [202, 200]  # who is another one
    assert statuses("C-1002", 2) == [429, 429]  # the sixth by requester, the seventh by address
    last = ask(storefront, "nonsense", **{"X-Client": "203.0.113.9, 198.51.100.7"})
    assert last.status_code == 429
    assert last.headers["content-type"] == "application/problem+json"
    assert 0 < int(last.headers["retry-after"]) <= 90
    assert ask(storefront, "nonsense", **{"X-Client": "198.51.100.8"}).status_code == 401
    assert officer.post(
        PATH, json={"kind": "access", "subject_ref": issue(people.leaver)}
    ).is_success
    keys = [key.decode() for key in redis_client.scan_iter("sv:rate:*")]
    assert keys
    assert all(0 < redis_client.ttl(key) <= 90 for key in keys)
    assert not any(text in key for key in keys for text in ("198.51", "C-100", people.leaver))


def test_an_idempotency_key_makes_one_request_and_is_refused_for_another(
    officer: Client, storefront: Client, people
) -> None:
    def post(kind: str, subject: str, key: str) -> Any:
        body = {"kind": kind, "subject_ref": issue(subject)}
        return officer.post(PATH, json=body, headers={"Idempotency-Key": key})

    first = post("access", people.leaver, "chosen-by-caller-1")
    requests.process_open()
    # Completed since: without the key this would be a new request.
    again = post("access", people.leaver, "chosen-by-caller-1")
    assert (again.status_code, again.json()["request_id"]) == (200, first.json()["request_id"])
    for kind, subject in (("portability", people.leaver), ("access", people.stayer)):
        other = post(kind, subject, "chosen-by-caller-1")
        assert other.status_code == 422
        assert other.json()["type"] == "/problems/idempotency-key-reused"
    new = post("access", people.leaver, "chosen-by-caller-2")
    assert new.json()["request_id"] != first.json()["request_id"]
    # A person's key is their own, whatever others chose.
    for number in ("C-1001", "C-1002"):
        token = development_token(RequestKind.PORTABILITY, number)
        answer = ask(storefront, token, "portability", **{"Idempotency-Key": "chosen-by-caller-1"})
        assert answer.status_code == 202


def test_a_wrong_correction_is_refused_by_field_without_repeating_it(
    officer: Client, people
) -> None:
    def errors(**corrections: Any) -> dict[str, str]:
        body = {
            "kind": "rectification",
            "subject_ref": issue(people.leaver),
            "corrections": corrections,
        }
        answer = officer.post(PATH, json=body)
        assert answer.status_code == 422
        assert "s3cret" not in answer.text
        return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}

    assert "e-mail address" in errors(email="s3cret")["body/corrections/email"]
    assert "country's code" in errors(phone="s3cret")["body/corrections/phone"]
    assert "body/corrections/birth_date" in errors(birth_date="1790-01-01")
    assert "body/corrections/country" in errors(country="s3cret")
    assert "leave out" in errors(name=None)["body/corrections"]
    assert "At least one" in errors()["body/corrections"]
    assert "body/corrections/(unknown)" in errors(s3cret="x") or errors(unheard="x")
