"""Restriction, objection and rectification on the whole platform: one canary each, through the next two runs of everything.

What the registry says holds people is asked each time, so an asset that is added later is held to the same.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from consent import ledger
from orchestration.defs.models.contracts import LIGHTFM
from orchestration.defs.models.inputs import training_events
from privacy import lake, registry, requests
from privacy.exports.package import data_of
from privacy.requester import development_token
from privacy.requests import RequestKind
from privacy.stores import handler_for
from serving.auth import Scope
from tests.adversarial.canaries import Canary
from tests.adversarial.reading import everything
from tests.adversarial.whole_platform import Platform, events_of

ROUTE = "/v1/privacy-requests"
# What people provided, what shows it row by row, and what the platform keeps for itself: kept. All else is made of it, and uses it.
COLLECTED = ("shop/", "lake/interactions", "consent/")
SHOWN = ("staging/", "platform/")
ONLINE = "platform/online_features"
PERSONALISES = frozenset(
    ("lake/subject_profile", "features/subject_profile", "models/lightfm", ONLINE)
)
USES = PERSONALISES | {
    *("lake/sessions", "lake/interaction_matrix", "features/training_set"),
    *("intermediate/int_orders__consented", "marts/dim_customers"),
    *("marts/fct_orders", "marts/fct_order_lines"),
}
_CONSONANTS = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")


def held(platform: Platform, canary: Canary) -> dict[str, int]:
    """The assets that hold a canary, with how many rows, keys or entries."""
    name = platform.pseudonym(canary)
    counts = {
        contract.key: handler_for(contract).find(contract, [name]).get(name, 0)
        for contract in registry.load().holding_subjects
    }
    return {key: count for key, count in counts.items() if count}


def used_by(holding: Mapping[str, int]) -> set[str]:
    return {key for key in holding if key == ONLINE or not key.startswith((*COLLECTED, *SHOWN))}


def kept_of(holding: Mapping[str, int]) -> dict[str, int]:
    return {key: count for key, count in holding.items() if key.startswith(COLLECTED)}


def rows_of(platform: Platform, canary: Canary, key: str) -> list[dict[str, Any]]:
    contract = registry.load().get(key)
    return handler_for(contract).export(contract, platform.pseudonym(canary))


@dataclass(frozen=True)
class Values:
    """A value of each corrected field; each occurs nowhere else in the world."""

    size: str
    shape: str
    text: str

    @property
    def needles(self) -> list[bytes]:
        return [value.encode() for value in (self.size, self.shape, self.text)]


def new_values() -> Values:
    return Values(*("q" + secrets.token_hex(8).translate(_CONSONANTS) for _ in range(3)))


@dataclass(frozen=True)
class Asked:
    """Who asked for what, and what was held of them before."""

    restricted: Canary
    objecting: Canary
    corrected: Canary
    before: Mapping[Canary, Mapping[str, int]]
    restriction: str
    wrong: Values
    withheld: Mapping[Canary, int]


@pytest.fixture(scope="module")
def asked(platform: Platform) -> Asked:
    """Each asks with a token of the shop; then everything is materialised again, from the sources on."""
    restricted, objecting, corrected = platform.take(3)
    people = (restricted, objecting, corrected)
    platform.materialise(["lake/interactions"])  # what waits in the stream is collected as well
    before = {canary: held(platform, canary) for canary in people}
    wrong = new_values()
    with platform.api(Scope.STOREFRONT) as client:
        restriction = ask(client, restricted, RequestKind.RESTRICTION).headers["location"]
        ask(client, objecting, RequestKind.OBJECTION)
        correct(platform, client, corrected, wrong)
        accepted = {canary: accepted_events(platform, client, canary) for canary in people}
    platform.materialise()
    return Asked(restricted, objecting, corrected, before, restriction, wrong, accepted)


def ask(client: httpx.Client, canary: Canary, kind: RequestKind, **body: Any) -> httpx.Response:
    token = development_token(kind, canary.customer_number)
    headers = {"Selvedge-Requester": token}
    answer = client.post(ROUTE, json={"kind": kind.value, **body}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["unfinished"] == []
    return answer


def correct(platform: Platform, client: httpx.Client, canary: Canary, values: Values) -> None:
    """Correct a row of each kind: the customer's own, a piece of feedback, every event about a product."""
    [feedback] = rows_of(platform, canary, "shop/feedback")
    events = rows_of(platform, canary, "lake/interactions")
    wanted = {
        "body_shape": values.shape,
        "feedback": [{"feedback_id": feedback["feedback_id"], "text": f"A {values.text} coat."}],
        "interactions": [
            {"source_key": event["source_key"], "size": values.size}
            for event in events
            if event["product_id"]
        ],
    }
    ask(client, canary, RequestKind.RECTIFICATION, corrections=wanted)


def accepted_events(platform: Platform, client: httpx.Client, canary: Canary) -> int:
    headers = {"Selvedge-Subject": platform.reference(client, canary)}
    answer = client.post("/v1/events", json=events_of(canary), headers=headers)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["accepted"])


def is_personalised(platform: Platform, canary: Canary) -> bool:
    with platform.api(Scope.STOREFRONT) as client:
        headers = {"Selvedge-Subject": platform.reference(client, canary)}
        return platform.is_personalised(client, headers)


def test_before_they_asked_everything_used_them(asked: Asked) -> None:
    for canary, holding in asked.before.items():
        assert used_by(holding) >= USES, canary
        assert kept_of(holding)


def test_a_restriction_keeps_everything_and_uses_nothing(platform: Platform, asked: Asked) -> None:
    name, now = platform.pseudonym(asked.restricted), held(platform, asked.restricted)
    assert used_by(now) == set()
    assert kept_of(now) == kept_of(asked.before[asked.restricted])
    assert name not in set(training_events(LIGHTFM.key)["pseudonym"])
    assert not is_personalised(platform, asked.restricted)
    assert asked.withheld[asked.restricted] == 0, "and nothing new is collected"
    assert ledger.current(name), "what they agreed to is on record still"


def test_an_objection_ends_profiling_and_nothing_else(platform: Platform, asked: Asked) -> None:
    before, now = asked.before[asked.objecting], held(platform, asked.objecting)
    assert used_by(now) & PERSONALISES == set()
    assert used_by(now) >= {"lake/sessions", "marts/dim_customers", "marts/fct_orders"}
    assert {key: kept_of(now)[key] >= count for key, count in kept_of(before).items()} == (
        dict.fromkeys(kept_of(before), True)
    )
    assert platform.pseudonym(asked.objecting) not in set(training_events(LIGHTFM.key)["pseudonym"])
    assert not is_personalised(platform, asked.objecting)
    assert asked.withheld[asked.objecting] == 2, "they agreed to analytics"


@pytest.fixture(scope="module")
def later(platform: Platform, asked: Asked) -> Values:
    """The restriction is lifted, what was corrected is corrected once more, and everything is materialised; the right values."""
    right = new_values()
    features = rows_of(platform, asked.corrected, "features/subject_profile")
    assert asked.wrong.size in str(features), "the features were made of the wrong value"
    with platform.api(Scope.STOREFRONT) as storefront, platform.api(Scope.PRIVACY) as officer:
        correct(platform, storefront, asked.corrected, right)
        reference = platform.reference(storefront, asked.restricted)
        body = {"action": "lift", "subject_ref": reference}
        lifted = officer.patch(asked.restriction, json=body)
        assert lifted.status_code == 200, lifted.text
    platform.materialise()
    return right


def test_whoever_lifts_a_restriction_is_back_in_everything(
    platform: Platform, asked: Asked, later: Values
) -> None:
    now = held(platform, asked.restricted)
    assert used_by(now) == used_by(asked.before[asked.restricted])
    assert kept_of(now) == kept_of(asked.before[asked.restricted])
    assert platform.pseudonym(asked.restricted) in set(training_events(LIGHTFM.key)["pseudonym"])
    assert is_personalised(platform, asked.restricted)


def test_a_corrected_value_is_in_stores_features_and_export(
    platform: Platform, asked: Asked, later: Values
) -> None:
    [customer] = rows_of(platform, asked.corrected, "shop/customers")
    [feedback] = rows_of(platform, asked.corrected, "shop/feedback")
    sizes = {row["size"] for row in rows_of(platform, asked.corrected, "lake/interactions")}
    assert customer["body_shape"] == later.shape
    assert feedback["text_masked"] == f"A {later.text} coat."
    assert later.size in sizes
    for key in ("lake/subject_profile", "features/subject_profile", "features/training_set"):
        rows = str(rows_of(platform, asked.corrected, key))
        assert later.size in rows, key
        assert asked.wrong.size not in rows, key
    told = exported(platform, asked.corrected)
    assert all(value.decode() in told for value in later.needles)
    assert not any(value.decode() in told for value in asked.wrong.needles)


def exported(platform: Platform, canary: Canary) -> str:
    request, _ = requests.submit(RequestKind.ACCESS, platform.pseudonym(canary), "test")
    requests.process(request.request_id)
    return json.dumps(json.loads(data_of(requests.export_of(request.request_id)[0])))


def places_of(platform: Platform, needles: Sequence[bytes]) -> set[str]:
    found = set()
    for place, piece in everything(platform):
        found |= {place for needle in needles if needle in piece}
    return found


def test_no_byte_of_a_wrong_value_is_left_after_the_next_retention(
    platform: Platform, asked: Asked, later: Values
) -> None:
    assert places_of(platform, asked.wrong.needles), (
        "a correction alone leaves bytes of the old rows"
    )
    assert platform.run("retention")
    assert places_of(platform, asked.wrong.needles) == set()
    assert places_of(platform, later.needles) >= {"Postgres's rows"}
    assert lake.holds("interactions", "size", [later.size])
