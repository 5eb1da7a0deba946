"""Five marked customers through the whole platform: nowhere in clear, exported on request, gone after erasure, and gone for good."""

import json
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from privacy.file_search import needles_of
from privacy.settings import PROJECT_ROOT
from tests.e2e.conftest import Demo
from tests.e2e.marked import MARKED, Marked

WAIT_SECONDS = 420


def ask(demo: Demo, question: dict[str, Any]) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-m", "tests.e2e.state_search"],
        cwd=PROJECT_ROOT,
        env=demo.environment,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def search(demo: Demo, needles: list[bytes]) -> dict[str, Any]:
    return ask(demo, {"needles": [needle.hex() for needle in needles]})


def reference(demo: Demo, marked: Marked) -> str:
    with demo.api("storefront") as client:
        answer = client.post("/v1/subjects/reference", json={"subject_id": marked.subject_id})
    answer.raise_for_status()
    return str(answer.json()["subject_ref"])


def finished(client: httpx.Client, location: str) -> dict[str, Any]:
    """The request's report once it is closed; the sensor starts the job by itself."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        report: dict[str, Any] = client.get(location).json()
        if report["status"] in ("completed", "cancelled"):
            return report
        time.sleep(2)
    pytest.fail(f"not completed within {WAIT_SECONDS} s: {report['status']} {report['unfinished']}")


def requested(demo: Demo, kind: str, people: tuple[Marked, ...]) -> dict[Marked, str]:
    """Make a request for each; their addresses."""
    locations = {}
    with demo.api("privacy") as client:
        for marked in people:
            body = {"kind": kind, "subject_ref": reference(demo, marked)}
            answer = client.post("/v1/privacy-requests", json=body)
            assert answer.status_code == 202, answer.text
            locations[marked] = answer.headers["location"]
    return locations


@pytest.fixture(scope="module")
def pseudonyms(demo: Demo) -> list[str]:
    """Pseudonyms of the marked customers, taken while the vault still knows them."""
    numbers = [marked.subject_id for marked in MARKED]
    found = ask(demo, {"customer_numbers": numbers})["pseudonyms"]
    assert all(found), "each marked customer was ingested"
    return list(found)


@pytest.mark.timeout(900)
def test_1_no_raw_identifier_lies_anywhere_in_the_platforms_state(
    demo: Demo, pseudonyms: list[str]
) -> None:
    forbidden = [needle for marked in MARKED for needle in marked.forbidden().values()]
    for start in range(0, len(forbidden), 40):
        answer = search(demo, forbidden[start : start + 40])
        assert answer["searched"] > 100
        assert answer["findings"] == []
    held = search(demo, needles_of(pseudonyms))["findings"]
    assert any("lake/interactions" in place for place in held), "the search finds what is there"


@pytest.mark.timeout(900)
def test_2_an_export_holds_what_every_asset_holds_of_one_person(
    demo: Demo, pseudonyms: list[str]
) -> None:
    marked, *others = MARKED
    location = requested(demo, "access", (marked,))[marked]
    with demo.api("privacy") as client:
        report = finished(client, location)
        export = client.get(f"{location}/export", headers={"Accept": "application/json"})
        listed = {asset["key"] for asset in client.get("/v1/assets").json()["assets"]}
    assert report["unfinished"] == []
    assets = {asset["asset"]: asset for asset in export.json()["assets"]}
    assert set(assets) == listed
    for text in (marked.marker, marked.email):
        assert text in json.dumps(assets["platform/vault"]["rows"])
    for key in ("shop/orders", "lake/interactions", "marts/fct_orders", "models/lightfm"):
        assert assets[key]["held"] > 0, key
    assert assets["features/subject_profile"]["held"] == 1
    assert not any(other.marker in export.text for other in others)
    assert not any(pseudonym in export.text for pseudonym in pseudonyms)


@pytest.mark.timeout(900)
def test_3_an_erasure_leaves_nothing_and_the_person_is_served_like_anybody(
    demo: Demo, pseudonyms: list[str]
) -> None:
    token = reference(demo, MARKED[0])
    with demo.api("storefront") as client:
        headers = {"Selvedge-Subject": token}
        before = client.get("/v1/recommendations", headers=headers).json()
    locations = requested(demo, "erasure", MARKED)
    with demo.api("storefront") as client:
        after = client.get("/v1/recommendations", headers=headers).json()
    assert (before["personalised"], after["personalised"]) == (True, False)

    with demo.api("privacy") as client:
        for location in locations.values():
            assert finished(client, location)["unfinished"] == []
    assert search(demo, needles_of(pseudonyms))["findings"] == []


@pytest.mark.timeout(1200)
def test_4_ingesting_the_same_sources_again_brings_nobody_back(
    demo: Demo, pseudonyms: list[str]
) -> None:
    assets = ("shop/customers", "shop/orders", "lake/interactions", "consent/records")
    result = demo.command("materialize", *assets)
    assert result.returncode == 0, result.stdout[-3000:]
    assert search(demo, needles_of(pseudonyms))["findings"] == []
    numbers = [marked.subject_id for marked in MARKED]
    assert ask(demo, {"customer_numbers": numbers})["pseudonyms"] == [None] * len(numbers)
