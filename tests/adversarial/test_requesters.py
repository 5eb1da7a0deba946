"""Who asks with a token that is not theirs, not of now, not for this or not of the shop: one answer, in one time, and nothing is done."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from privacy import requests
from privacy.requester import _development_key, development_token
from privacy.requests import RequestKind
from privacy.subject_reference import issue
from serving.auth import Scope
from tests.adversarial.canaries import Canary, new_canaries
from tests.adversarial.whole_platform import Platform

ROUTE = "/v1/privacy-requests"
ROUNDS = 30
# Of two answers drawn at random, one of each kind, how often the one takes longer: 0.5 where time tells nothing. With 30 of each,
# chance alone goes beyond these bounds once in a million comparisons (0.36 is 4.8 standard deviations); work left out goes to 0 or 1.
LEAST, MOST = 0.14, 0.86
TIMED = (
    *("no token", "a changed signature", "for another audience", "expired", "used before"),
    *("for another purpose", "of an unknown subject"),
)


@dataclass(frozen=True)
class Scene:
    """Somebody with a request of theirs, somebody else, and a token that was used."""

    client: httpx.Client
    owner: Canary
    other: Canary
    location: str
    used: str


@pytest.fixture(scope="module")
def scene(platform: Platform) -> Iterator[Scene]:
    owner, other = platform.take(2)
    with platform.api(Scope.STOREFRONT) as client:
        used = development_token(RequestKind.ACCESS, owner.customer_number)
        made = ask(client, used)
        assert made.status_code == 202, made.text
        yield Scene(client, owner, other, made.headers["location"], used)


def ask(client: httpx.Client, token: str, kind: str = "access") -> httpx.Response:
    return client.post(ROUTE, json={"kind": kind}, headers={"Selvedge-Requester": token})


def read(client: httpx.Client, location: str, token: str) -> httpx.Response:
    return client.get(location, headers={"Selvedge-Requester": token})


def signed(subject: str, key: Any = None, algorithm: str = "EdDSA", **changes: Any) -> str:
    """A token of the shop with some claims changed (None: left out), signed by `key` where one is given."""
    token = development_token(RequestKind.ACCESS, subject)
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    told = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(told, key or _development_key(), algorithm=algorithm)


def resigned(subject: str) -> str:
    """A true token whose last byte of signature was changed."""
    head, claims, signature = signed(subject).split(".")
    changed = "A" if signature[20] != "A" else "B"
    return ".".join((head, claims, signature[:20] + changed + signature[21:]))


def as_somebody_else(scene: Scene) -> str:
    """The other's true token whose subject was changed to the owner, under its old signature."""
    head, _, signature = signed(scene.other.customer_number).split(".")
    return ".".join((head, signed(scene.owner.customer_number).split(".")[1], signature))


def _number(scene: Scene) -> str:
    return scene.owner.customer_number


WRONG: dict[str, Callable[[Scene], str]] = {
    "no token": lambda _: "nonsense",
    "unsigned": lambda s: jwt.encode({"sub": _number(s)}, None, algorithm="none"),
    "signed by nobody we know": lambda s: signed(_number(s), ed25519.Ed25519PrivateKey.generate()),
    "another algorithm": lambda s: signed(
        _number(s), ec.generate_private_key(ec.SECP256R1()), "ES256"
    ),
    "a changed signature": lambda s: resigned(_number(s)),
    "another's with a changed subject": as_somebody_else,
    "for another audience": lambda s: signed(_number(s), aud="https://shop.example"),
    "expired": lambda s: signed(_number(s), iat=time.time() - 300, exp=time.time() - 1),
    "not yet issued": lambda s: signed(_number(s), iat=time.time() + 300, exp=time.time() + 500),
    "for days": lambda s: signed(_number(s), exp=time.time() + 86_400),
    "used before": lambda s: s.used,
    "for another purpose": lambda s: signed(_number(s), purpose="erasure"),
    "of an unknown subject": lambda _: signed(new_canaries(1)[0].customer_number),
    "of an unknown reference": lambda _: signed(issue(secrets.token_hex(16))),
}


def shape(answer: httpx.Response) -> tuple[int, str, tuple[str, ...]]:
    """Status, body without its own number, and the headers' names."""
    document = answer.json()
    document.pop("instance")
    return answer.status_code, str(document), tuple(sorted(answer.headers))


def test_every_wrong_token_gets_one_answer_and_makes_no_request(scene: Scene) -> None:
    before = len(requests.listed(open_only=False))
    answers = {name: shape(ask(scene.client, make(scene))) for name, make in WRONG.items()}
    assert {status for status, _, _ in answers.values()} == {401}
    assert answers == dict.fromkeys(WRONG, answers["no token"])
    assert len(requests.listed(open_only=False)) == before
    assert ask(scene.client, signed(_number(scene))).status_code == 200, "the true one is known"


def test_nobody_reads_the_request_of_another_nor_learns_that_there_is_one(scene: Scene) -> None:
    mine, none = scene.location, f"{ROUTE}/00000000-0000-4000-8000-000000000000"
    others = scene.other.customer_number
    answers = [
        read(scene.client, mine, signed(others)),
        read(scene.client, none, signed(others)),
        read(scene.client, none, signed(_number(scene))),
        read(scene.client, mine, signed(_number(scene), purpose="erasure")),
        *(read(scene.client, mine, make(scene)) for make in WRONG.values()),
        *(read(scene.client, f"{mine}/export", make(scene)) for make in WRONG.values()),
    ]
    assert {shape(answer) for answer in answers} == {shape(answers[0])}
    assert answers[0].status_code == 401
    assert read(scene.client, mine, signed(_number(scene))).status_code == 200


def test_a_token_works_once_however_many_send_it_at_once(scene: Scene) -> None:
    token = signed(scene.other.customer_number)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(scene.client, token).status_code, range(8)))
    assert sorted(answers) == [202] + [401] * 7


def test_no_wrong_token_is_told_from_another_by_its_time(scene: Scene) -> None:
    """Asked in turn, so that whatever else slows the machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in TIMED}
    for _ in range(ROUNDS):
        for name in TIMED:
            token, started = WRONG[name](scene), time.perf_counter()
            answer = ask(scene.client, token)
            seconds[name].append(time.perf_counter() - started)
            assert answer.status_code == 401
    longer = {name: _longer(taken, seconds["used before"]) for name, taken in seconds.items()}
    assert all(LEAST < share < MOST for share in longer.values()), longer


def _longer(these: list[float], those: list[float]) -> float:
    """How often one of `these` is longer than one of `those`, over all pairs."""
    pairs = [(this > that) + (this == that) / 2 for this in these for that in those]
    return sum(pairs) / len(pairs)
