"""The lookup and the wrapping key rotate under a platform that goes on working: nobody is lost, nobody comes back, old keys open nothing."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import httpx
import pytest

from orchestration.ingest.run import ingest
from orchestration.sources.connector import open_source
from privacy import requests, rotation
from privacy.file_search import counter
from privacy.identifiers import CUSTOMER_NUMBER, EMAIL, KINDS, PHONE, canonical, or_none
from privacy.keys import key_provider
from privacy.requests import RequestKind, RequestStatus
from privacy.rotation import ROTATED
from privacy.settings import PROJECT_ROOT
from privacy.stores.redis import redis_client
from privacy.subject_reference import open_reference
from privacy.vault import Vault
from serving.auth import Scope
from tests.adversarial.canaries import Canary
from tests.adversarial.dictionary import spellings
from tests.adversarial.drills import STREAM, ingest_everything, replay
from tests.adversarial.reading import PLACES, as_administrator, everything, found_in
from tests.adversarial.traces import traces
from tests.adversarial.whole_platform import Platform

_BATCH = 40  # so few rows at a time that lookups are made in the middle of a rotation
_HALF = 16


def identifiers_of(canary: Canary) -> dict[str, str]:
    """What leads to a canary, by kind; a number that no telephone has leads to nobody."""
    told = {CUSTOMER_NUMBER: canary.customer_number, EMAIL: canary.email, PHONE: canary.phone}
    return {kind: text for kind, text in told.items() if or_none(kind, text)}


def looked_up(platform: Platform, client: httpx.Client, canaries: Sequence[Canary]) -> int:
    """Look each of them up by each identifier, in this process and through the API; returns how often it was done."""
    done = 0
    for canary in canaries:
        for kind, text in identifiers_of(canary).items():
            answer = client.post("/v1/subjects/reference", json={"subject_id": text, "kind": kind})
            assert answer.status_code == 200, answer.text
            through_api = open_reference(answer.json()["subject_ref"])
            assert through_api == platform.pseudonym(canary)
            assert Vault().lookup(kind, text) == platform.pseudonym(canary)
            done += 1
    return done


def attacks(keys: Iterable[bytes], canaries: Sequence[Canary]) -> list[bytes]:
    """What who stole these keys would look for: the HMAC of each identifier, as the vault makes it and of every plain spelling."""
    messages = set()
    for canary in canaries:
        for kind, text in identifiers_of(canary).items():
            messages.add(canonical(kind, or_none(kind, text) or ""))
            messages |= {form.encode() for form in spellings(text)}
    found = []
    for key in keys:
        for message in messages:
            raw = hmac.new(key, message, hashlib.sha256).digest()
            found += [raw[:_HALF], raw.hex()[:_HALF].encode(), base64.b64encode(raw)[:_HALF]]
    return found


def sealed_for(pseudonyms: Sequence[str]) -> list[bytes]:
    """The wrapped data keys of subjects, as Postgres's files hold them and as their digits."""
    with as_administrator() as connection:
        rows = connection.execute(
            "select wrapped_key from vault.subjects where pseudonym = any(%s)", [list(pseudonyms)]
        ).fetchall()
    assert len(rows) == len(pseudonyms)
    return [form for (raw,) in rows for form in (bytes(raw), bytes(raw).hex().encode())]


@dataclass
class Rotated:
    """Who stays, who was erased before, during and after, what an attacker with the old keys looks for, and what was seen."""

    staying: Sequence[Canary]
    gone: Sequence[Canary]
    entries: Sequence[tuple[bytes, dict[bytes, bytes]]]
    wanted: Sequence[bytes]
    held: int
    during: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def rotated(platform: Platform) -> Rotated:
    *staying, before, during, after = platform.take(5)
    canaries = [*staying, before, during, after]
    platform.send_events(canaries)
    with redis_client() as client:
        entries = client.xrange(STREAM)
    keys = key_provider()
    old = [key.material for name in ROTATED for key in keys.versions(name)]
    wanted = [*attacks(old, canaries), *sealed_for(platform.pseudonyms(canaries))]
    held = found_in(PLACES["the privacy ledger"].read(platform), wanted)
    scene = Rotated(staying, [before, during, after], entries, wanted, held)

    platform.erase([before])
    left_open, _ = requests.submit(RequestKind.ERASURE, platform.pseudonym(during), "test")
    rotate_in_small_steps(platform, scene)
    assert requests.process(left_open.request_id).status is RequestStatus.COMPLETED
    let_exports_expire()
    rotate_and_destroy(platform, scene)
    platform.erase([after])
    return scene


def let_exports_expire() -> None:
    """As if a week had passed: exports for people whom the vault does not know are under the wrapping key itself, and hold it."""
    requests.process_open()
    with as_administrator() as connection:
        connection.execute("update requests.exports set expires = now()")
    requests.process_open()


def rotate_in_small_steps(platform: Platform, scene: Rotated) -> None:
    """Rotate each key a few rows at a time, and look people up between any two steps."""
    with platform.api(Scope.STOREFRONT) as client:

        def look(table: str, done: int, total: int) -> None:
            if 0 < done < total:
                seen = looked_up(platform, client, scene.staying)
                scene.during[table] = scene.during.get(table, 0) + seen

        for name in ROTATED:
            rotation.rotate(name, key_provider(), look, batch=_BATCH)


def rotate_and_destroy(platform: Platform, scene: Rotated) -> None:
    """Once more with the command, which destroys the old versions, while people are looked up all the time."""
    command = [sys.executable, "-m", "orchestration.cli", "privacy", "rotate-keys", "--destroy-old"]
    with looking_up(platform, scene) as seen:
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, env=dict(os.environ), capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    scene.during["the command"] = len(seen)
    scene.versions = {name: len(key_provider().versions(name)) for name in ROTATED}


@contextmanager
def looking_up(platform: Platform, scene: Rotated) -> Iterator[list[int]]:
    """Look up who stays, over and over, until the block ends; what fails there fails here."""
    ended, seen, failed = Event(), list[int](), list[BaseException]()

    def look() -> None:
        try:
            with platform.api(Scope.STOREFRONT) as client:
                while not ended.is_set():
                    seen.append(looked_up(platform, client, scene.staying))
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert failed == []


def test_every_lookup_works_while_the_keys_rotate_and_after(
    platform: Platform, rotated: Rotated
) -> None:
    assert set(rotated.during) == {"vault.identifiers", "vault.subjects", "the command"}
    assert all(rotated.during.values())
    with platform.api(Scope.STOREFRONT) as client:
        assert looked_up(platform, client, rotated.staying) >= 2 * len(rotated.staying)


def test_no_pseudonym_changed_and_nobody_was_lost(platform: Platform, rotated: Rotated) -> None:
    for canary in rotated.staying:
        assert Vault().reveal(platform.pseudonym(canary))["email"] == canary.email
    ingest("customers", open_source("simulator", platform.settings.shop_home))
    found = {Vault().lookup(CUSTOMER_NUMBER, each.customer_number) for each in rotated.staying}
    assert found == set(platform.pseudonyms(rotated.staying)), "the file made nobody anew"


def test_the_old_versions_are_destroyed(rotated: Rotated) -> None:
    assert rotated.versions == dict.fromkeys(ROTATED, 1)
    for name in ROTATED:
        current = key_provider().current(name).version
        assert current == 3
        assert {version for held in rotation.held(name).values() for version in held} <= {current}


def test_who_was_erased_before_during_and_after_stays_erased(
    platform: Platform, rotated: Rotated
) -> None:
    replay(rotated.entries)
    dropped = ingest_everything(platform)
    assert dropped >= len(rotated.gone) * len(("customer", "order", "event"))
    for canary in rotated.gone:
        told = identifiers_of(canary).items()
        assert [Vault().lookup(kind, text) for kind, text in told] == [None] * len(told)
    assert traces(platform, rotated.gone) == []


def test_the_old_keys_find_nobody_in_anything_that_is_stored(
    platform: Platform, rotated: Rotated
) -> None:
    """Neither who was erased nor who stays: what was made under the old keys is gone, bytes included."""
    assert len(KINDS) * len(rotated.staying) <= rotated.held, (
        "with the keys of their time it finds them"
    )
    count = counter(list(rotated.wanted))
    assert [place for place, piece in everything(platform) if count(piece)] == []
