"""A subject's profile tells what they agreed to, where it came from, and nothing to tell them by where they did not agree."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
import redis

from consent import ledger, masks, objections
from consent.ledger import ConsentRecord, Decision
from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.ingest.interactions import SCHEMA, append_interactions
from privacy import lake, registry, requests
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings
from privacy.subject_reference import issue
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.features import apply_definitions, delete_online, feature_store
from serving import subject_profile
from serving.auth import Scope, api_keys
from serving.sessions import session_key
from serving.settings import serving_settings
from tests.integration.samples import profile as features
from tests.integration.serving.conftest import _contract

pytestmark = pytest.mark.anyio
NUMBER = "profiled-1"
MODELS = ("lightfm", "item_index", "popularity", "trending")  # What the shop publishes.
NOW = datetime.now(UTC).replace(microsecond=0)
AGREED = NOW - timedelta(days=30)
PARTS = ("demographics", "style_tags", "preferred_sizes", "wishlist", "interaction_history")


def _days(ago: float) -> datetime:
    return NOW - timedelta(days=ago)


# Table to its rows; what lies before the agreement (40 days ago) may never be told.
SHOP: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"country": "DE", "age_band": "25-34", "height_band": "170-179", "body_shape": None,
         "preferred_sizes": '["M", "L"]', "updated_at": _days(40)},
    ],
    "quiz_answers": [
        {"answer_id": "pq1", "question": "style", "answer": "romantic", "answered_at": _days(20)},
        {"answer_id": "pq2", "question": "style", "answer": "minimal", "answered_at": _days(10)},
        {"answer_id": "pq3", "question": "occasion", "answer": "write <EMAIL_ADDRESS>", "answered_at": _days(10)},
        {"answer_id": "pq4", "question": "belly", "answer": "qx-body", "answered_at": _days(10)},
        {"answer_id": "pq5", "question": "favourite", "answer": "qx-early", "answered_at": _days(40)},
    ],
    "order_lines": [
        {"order_line_id": "pl1", "order_id": "po1", "product_id": "PP1", "size": "S", "quantity": 1, "ordered_at": _days(9)},
        {"order_line_id": "pl2", "order_id": "po1", "product_id": "PP2", "size": "XL", "quantity": 1, "ordered_at": _days(8)},
        {"order_line_id": "pl3", "order_id": "po2", "product_id": "qx-early", "size": "XS", "quantity": 1, "ordered_at": _days(40)},
    ],
    "returns": [
        {"return_id": "pr1", "order_id": "po1", "order_line_id": "pl2", "product_id": "PP2", "quantity": 1, "returned_at": _days(7)},
    ],
}  # fmt: skip
EVENTS = [
    ("page_view", "PP1", 12.0),
    ("page_view", "PP1", 11.0),
    ("page_view", "PP3", 10.0),
    ("wishlist", "PP4", 6.0),
    ("add_to_cart", "PP1", 9.5),
    ("impression", "qx-shown", 5.0),
    ("page_view", "qx-early", 40.0),
]


@dataclass(frozen=True)
class Somebody:
    """One who agreed, with something in every store."""

    pseudonym: str
    reference: str

    @property
    def route(self) -> str:
        return f"/v1/subjects/{self.reference}/profile"

    def says(self, purpose: Purpose, decision: Decision, at: datetime) -> None:
        """State it, and let the mask follow."""
        stated = ConsentRecord(
            self.pseudonym, purpose, decision, at, "test", "1", "test", os.urandom(16).hex()
        )
        ledger.append([stated])
        masks.refresh(self.pseudonym)


def _fill_shop(pseudonym: str) -> None:
    with connect(Role.INGEST) as connection:
        for table, rows in SHOP.items():
            for row in rows:
                told = {**row, "pseudonym": pseudonym, "source": "profiles", "source_key": f"{pseudonym}{json.dumps(row, default=str)}"}  # fmt: skip
                connection.execute(
                    f"insert into shop.{table} ({', '.join(told)}) values ({', '.join(['%s'] * len(told))})",
                    list(told.values()),
                )
        connection.execute(
            "insert into shop.products (product_id, category, source, source_key) values "
            "('PP1', 'dresses', 'profiles', 'PP1'), ('PP2', 'dresses', 'profiles', 'PP2')"
        )


def _fill_lake(pseudonym: str) -> None:
    rows = [
        {"pseudonym": pseudonym, "event_type": kind, "product_id": product, "event_timestamp": _days(ago),
         "source": "profiles", "source_key": f"{pseudonym}-{number}"}
        for number, (kind, product, ago) in enumerate(EVENTS)
    ]  # fmt: skip
    known = pa.schema([field for field in SCHEMA if field.name != "created"])
    append_interactions(pa.Table.from_pylist(rows, schema=known))


@pytest.fixture
def somebody(
    shop: Any, servers: PlatformSettings, redis_client: "redis.Redis"
) -> Iterator[Somebody]:
    # What other tests left, which no contract tells of; the folders themselves keep the stamp of the last erasure.
    left = [*servers.lake_dir.glob("*/"), *servers.models_dir.glob("*/")]
    for folder in left:
        if folder.name not in MODELS:
            shutil.rmtree(folder)
    pseudonym = str(Vault().resolve(CUSTOMER_NUMBER, [NUMBER], create=True)[0])
    one = Somebody(pseudonym, issue(pseudonym))
    one.says(Purpose.PERSONALISATION, Decision.OPT_IN, AGREED)
    _fill_shop(pseudonym)
    _fill_lake(pseudonym)
    apply_definitions()
    online = {**features(pseudonym, _days(1)), "top_categories": ["coats"], "top_sizes": ["42"]}
    feature_store().write_to_online_store("subject_profile", pd.DataFrame([online]))
    redis_client.lpush(session_key(pseudonym), "page_view\tPP8", "wishlist\tPP9")
    redis_client.expire(session_key(pseudonym), 600)
    yield one
    redis_client.delete(session_key(pseudonym), masks.mask_key(pseudonym))
    delete_online([pseudonym])
    lake.erase("interactions", "pseudonym", [pseudonym])
    with connect(Role.INGEST) as connection:
        for table in (*SHOP, "products"):
            connection.execute(f"delete from shop.{table} where source = 'profiles'")
    Vault().erase([pseudonym])


async def _profile(api: httpx.AsyncClient, route: str, **headers: str) -> dict[str, Any]:
    response = await api.get(route, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return dict(response.json())


def _told(profile: dict[str, Any]) -> str:
    """The parts as text, without the reference and the times, in which any digits may stand."""
    return json.dumps({part: profile[part] for part in PARTS})


def _assets(profile: dict[str, Any]) -> dict[str, list[str]]:
    return {
        part: [origin["asset"] for origin in profile["provenance"][part]]
        for part in PARTS
        if profile["provenance"][part]
    }


async def test_who_agreed_is_told_of_with_where_each_part_came_from(
    api: httpx.AsyncClient, somebody: Somebody
) -> None:
    profile = await _profile(api, somebody.route)
    provenance = profile.pop("provenance")
    assert profile == {
        "user_id": somebody.reference,
        "demographics": {"age_band": "25-34", "country": "DE", "height_band": "170-179", "body_shape": None},
        "style_tags": ["minimal", "coats"],
        "preferred_sizes": [{"category": None, "sizes": ["M", "L", "42"]}, {"category": "dresses", "sizes": ["S"]}],
        "wishlist": ["PP9", "PP4"],
        "interaction_history": {
            "viewed": {"count": 3, "latest_products": ["PP8", "PP3", "PP1"]},
            "clicked": {"count": 0, "latest_products": []},
            "added_to_cart": {"count": 1, "latest_products": ["PP1"]},
            "purchased": {"count": 2, "latest_products": ["PP2", "PP1"]},
            "returned": {"count": 1, "latest_products": ["PP2"]},
        },
    }  # fmt: skip
    at = {
        (part, origin["asset"]): (origin["purpose"], datetime.fromisoformat(origin["as_of"]))
        for part in PARTS
        for origin in provenance[part]
    }
    assert {purpose for purpose, _ in at.values()} == {"personalisation"}
    session = "platform/session_items"
    assert {key: time for key, (_, time) in at.items() if key[1] != session} == {
        ("demographics", "shop/customers"): _days(40),
        ("style_tags", "shop/quiz_answers"): _days(10),
        ("style_tags", "features/subject_profile"): _days(1),
        ("preferred_sizes", "shop/customers"): _days(40),
        ("preferred_sizes", "features/subject_profile"): _days(1),
        ("preferred_sizes", "shop/order_lines"): _days(8),
        ("wishlist", "lake/interactions"): _days(6),
        ("interaction_history", "lake/interactions"): _days(9.5),
        ("interaction_history", "shop/order_lines"): _days(8),
        ("interaction_history", "shop/returns"): _days(7),
    }
    assert somebody.pseudonym not in json.dumps(provenance) + json.dumps(profile)


async def _nobody(api: httpx.AsyncClient) -> dict[str, Any]:
    """The profile of one who is not known, without the reference."""
    profile = await _profile(api, f"/v1/subjects/{issue(os.urandom(16).hex())}/profile")
    del profile["user_id"]
    assert not any(profile[part] for part in ("style_tags", "preferred_sizes", "wishlist"))
    assert not any(profile["provenance"].values())
    assert set(profile["demographics"].values()) == {None}
    assert {kind["count"] for kind in profile["interaction_history"].values()} == {0}
    return profile


def _refuse(one: Somebody) -> None:
    one.says(Purpose.PERSONALISATION, Decision.OPT_OUT, NOW)


def _object(*keys: str) -> Callable[[Somebody], None]:
    def objecting(one: Somebody) -> None:
        for key in keys:
            objections.object_to(one.pseudonym, key, "test")
        masks.refresh(one.pseudonym)

    return objecting


@pytest.mark.parametrize(
    "leave",
    [_refuse, _object("*"), _object("serving/ranker"), _object("consent/masks")],
    ids=["refused", "restricted", "objects to the ranker", "objects to the masks"],
)
async def test_who_may_not_be_personalised_for_is_answered_like_nobody(
    api: httpx.AsyncClient, somebody: Somebody, leave: Callable[[Somebody], None]
) -> None:
    assert (await _profile(api, somebody.route))["wishlist"]
    leave(somebody)
    profile = await _profile(api, somebody.route)
    assert profile.pop("user_id") == somebody.reference
    assert profile == await _nobody(api)


async def test_the_erased_are_answered_like_nobody_from_the_request_on(
    api: httpx.AsyncClient, somebody: Somebody
) -> None:
    registry.publish([*CONTRACTS.values(), *(_contract(name) for name in MODELS)])
    try:
        request, _ = requests.submit(RequestKind.ERASURE, somebody.pseudonym, "test")
        nobody = await _nobody(api)
        for _ in ("waiting", "erased"):
            profile = await _profile(api, somebody.route)
            assert profile.pop("user_id") == somebody.reference
            assert profile == nobody
            done = requests.process(request.request_id)
        assert done.status is RequestStatus.COMPLETED, done.unfinished
    finally:
        registry.publish([])


async def test_a_browsers_objection_is_honoured_at_once_and_recorded(
    api: httpx.AsyncClient, somebody: Somebody
) -> None:
    profile = await _profile(api, somebody.route, **{"Sec-GPC": "1"})
    assert profile.pop("user_id") == somebody.reference
    assert profile == await _nobody(api)
    assert not (await _profile(api, somebody.route))["wishlist"]


@pytest.mark.parametrize(
    ("asset", "values"),
    [
        ("features/subject_profile", ("coats", "42")),
        ("lake/subject_profile", ("coats", "42")),
        ("shop/customers", ("25-34", "DE", '"M"')),
        ("shop/quiz_answers", ("minimal",)),
        ("shop/order_lines", ("dresses",)),
        ("lake/interactions", ("PP3", "PP4")),
        ("platform/session_items", ("PP8", "PP9")),
    ],
)
async def test_an_objection_to_one_asset_leaves_out_what_comes_from_it_and_nothing_else(
    api: httpx.AsyncClient, somebody: Somebody, asset: str, values: tuple[str, ...]
) -> None:
    before = await _profile(api, somebody.route)
    assert all(value in _told(before) for value in values)
    _object(asset)(somebody)
    after = await _profile(api, somebody.route)
    assert not any(value in _told(after) for value in values)
    gone = asset.replace("lake/subject_profile", "features/subject_profile")
    left = {
        part: [name for name in names if name != gone] for part, names in _assets(before).items()
    }
    assert _assets(after) == {part: names for part, names in left.items() if names}


async def test_an_objection_to_returns_leaves_out_the_returns(
    api: httpx.AsyncClient, somebody: Somebody
) -> None:
    _object("shop/returns")(somebody)
    history = (await _profile(api, somebody.route))["interaction_history"]
    assert history["returned"] == {"count": 0, "latest_products": []}
    assert history["purchased"]["count"] == 2


async def test_who_withdraws_while_the_profile_is_read_is_told_nothing_of(
    api: httpx.AsyncClient, somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = subject_profile.read_lake

    def withdrawn_after(pseudonym: str) -> Any:
        known = read(pseudonym)
        _refuse(somebody)
        return known

    monkeypatch.setattr(subject_profile, "read_lake", withdrawn_after)
    profile = await _profile(api, somebody.route)
    assert profile.pop("user_id") == somebody.reference
    monkeypatch.undo()
    assert profile == await _nobody(api)


@pytest.mark.parametrize("reference", ["forged", "expired", "the pseudonym"])
async def test_a_reference_that_cannot_be_used_is_the_same_problem(
    api: httpx.AsyncClient, somebody: Somebody, reference: str
) -> None:
    sent = {
        "forged": somebody.reference[:-4] + "AAAA",
        "expired": issue(somebody.pseudonym, timedelta(seconds=-1)),
        "the pseudonym": somebody.pseudonym,
    }[reference]
    response = await api.get(f"/v1/subjects/{sent}/profile")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "/problems/invalid-subject-reference"
    assert sent not in response.text


async def test_only_the_storefronts_key_opens_it(
    api: httpx.AsyncClient, somebody: Somebody
) -> None:
    privacy = {"Authorization": f"Bearer {api_keys()[Scope.PRIVACY]}"}
    assert (await api.get(somebody.route, headers=privacy)).status_code == 403
    wrong = {"Authorization": "Bearer wrong"}
    assert (await api.get(somebody.route, headers=wrong)).status_code == 401


async def test_one_profile_may_be_read_so_often_whoever_it_is_of(
    api: httpx.AsyncClient, somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_settings(), "serving_profiles_per_subject", 2)
    answers = []
    for route in (somebody.route, f"/v1/subjects/{issue(os.urandom(16).hex())}/profile"):
        for _ in range(3):
            answers.append(await api.get(route))
    assert [answer.status_code for answer in answers] == [200, 200, 429] * 2
    assert answers[2].json()["type"] == "/problems/too-many-requests"
    assert 0 < int(answers[2].headers["retry-after"]) <= 300


@pytest.fixture
def without_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving's connections lead nowhere."""

    def refused(*_: Any) -> Any:
        return psycopg.connect("postgresql://127.0.0.1:1/none", connect_timeout=2)

    monkeypatch.setattr("serving.shop_profile.connect", refused)


async def test_a_store_that_does_not_answer_is_told(
    api: httpx.AsyncClient, somebody: Somebody, without_postgres: None
) -> None:
    response = await api.get(somebody.route)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("table", ["customers", "quiz_answers", "order_lines", "returns"])
def test_serving_reads_no_table_of_the_shop(servers: Any, table: str) -> None:
    with connect(Role.SERVING) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"select * from shop.{table}")


@pytest.mark.parametrize("role", [Role.CONSENT, Role.INGEST, Role.FEAST, Role.DAGSTER])
def test_nobody_but_serving_asks_for_a_profile(servers: Any, role: Role) -> None:
    with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select consent.shop_profile('', '{}')")
