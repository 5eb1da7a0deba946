"""Consent over HTTP: taken in once, followed by the very next ranking, and a browser's objection honoured at once."""

import base64
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from consent import ledger, masks
from consent.intake.statements import Statement, take_in
from consent.ledger import Decision
from consent.masks import mask_key
from consent.policies import policy_hash
from consent.verification import verify_chain
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.stores.consent_ledger import remove_records
from privacy.vault import CUSTOMER_NUMBER, Vault
from serving.auth import Scope, api_keys

pytestmark = pytest.mark.anyio
ROUTE, RANKING = "/v1/consents", "/v1/recommendations"
COOKIE = (
    "{stamp:'kSTYxHbJrAY5NFpzaAtsoTDcJ0Dmh4mV',necessary:true,preferences:true,statistics:true,marketing:true,"
    "method:'explicit',ver:1,utc:%d,region:'de'}"
)
TC_STRING = (
    "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"  # for one service, nothing agreed to, April 2022
)


def _body(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "statement_id": f"stmt-{number:08d}",
        "stated_at": (datetime.now(UTC) - timedelta(minutes=10 - number)).isoformat(),
        "mechanism": "banner",
        "language": "de",
        "policy_version": "3.0",
        "decisions": {"personalisation": "opt_in"},
        **changes,
    }


async def _personalised(api: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    response = await api.get(RANKING, headers=headers)
    assert response.status_code == 200
    return bool(response.json()["personalised"])


async def test_the_next_ranking_follows_what_was_acknowledged(
    api: httpx.AsyncClient, shop: Any, reference: Any
) -> None:
    headers = await reference("700040")
    assert not await _personalised(api, headers)
    response = await api.post(ROUTE, json=_body(1), headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["decisions"] == {"personalisation": "opt_in"}
    assert await _personalised(api, headers)
    refusal = _body(2, decisions={"personalisation": "opt_out", "analytics": "opt_in"})
    assert (await api.post(ROUTE, json=refusal, headers=headers)).status_code == 200
    assert not await _personalised(api, headers)
    said = ledger.history(shop.subject("700040"))
    assert [(record.purpose, record.decision) for record in said] == [
        (Purpose.PERSONALISATION, Decision.OPT_IN),
        (Purpose.ANALYTICS, Decision.OPT_IN),
        (Purpose.PERSONALISATION, Decision.OPT_OUT),
    ]
    assert {record.policy_sha256 for record in said} == {policy_hash("3.0", "de")}
    assert all(record.received_at and record.language == "de" for record in said)


async def test_a_statement_sent_again_counts_once_and_a_late_one_in_its_place(
    api: httpx.AsyncClient, shop: Any, reference: Any
) -> None:
    headers = await reference("700041")
    bodies = [_body(1), _body(3, decisions={"personalisation": "opt_out"}), _body(2)]
    for body in (*bodies, *bodies):
        answer = await api.post(ROUTE, json=body, headers=headers)
        assert answer.status_code == 200
    assert len(ledger.history(shop.subject("700041"))) == 3
    assert not await _personalised(api, headers)


async def test_a_withdrawal_under_an_id_used_before_still_arrives(
    api: httpx.AsyncClient, reference: Any
) -> None:
    headers = await reference("700042")
    await api.post(ROUTE, json=_body(1), headers=headers)
    again = _body(1, decisions={"personalisation": "opt_out"}, stated_at=_body(2)["stated_at"])
    assert (await api.post(ROUTE, json=again, headers=headers)).status_code == 200
    assert not await _personalised(api, headers)


@pytest.mark.parametrize("where", ["body", "header"])
async def test_cookiebots_cookie_is_a_reference_and_not_proof(
    api: httpx.AsyncClient, shop: Any, reference: Any, where: str
) -> None:
    number = "700043" if where == "body" else "700044"
    cookie = COOKIE % ((datetime.now(UTC) - timedelta(minutes=1)).timestamp() * 1000)
    headers = await reference(number)
    body = _body(1)
    del body["decisions"], body["stated_at"]
    if where == "body":
        body["cookiebot"] = cookie
    else:
        headers |= {"Cookie": f"CookieConsent={quote(cookie)}"}
    response = await api.post(ROUTE, json=body, headers=headers)
    assert response.status_code == 200, response.text
    assert await _personalised(api, headers)
    said = ledger.history(shop.subject(number))
    assert {record.purpose for record in said} == set(Purpose) - {Purpose.SERVICE, Purpose.MARKETING_EMAIL}  # fmt: skip
    assert said[0].mechanism == "cookiebot"
    assert said[0].proof["reference"] == "kSTYxHbJrAY5NFpzaAtsoTDcJ0Dmh4mV"
    assert said[0].proof["verified"] is False


async def test_a_tc_string_is_taken_in_with_its_language(
    api: httpx.AsyncClient, shop: Any, reference: Any
) -> None:
    headers = await reference("700045")
    await api.post(ROUTE, json=_body(1), headers=headers)
    body = _body(2, tc_string=TC_STRING)
    del body["decisions"], body["language"]
    response = await api.post(ROUTE, json=body, headers=headers)
    assert response.status_code == 200, response.text
    assert set(response.json()["decisions"].values()) == {"opt_out"}
    assert not await _personalised(api, headers)
    last = ledger.history(shop.subject("700045"))[-1]
    assert (last.mechanism, last.language, last.proof["cmp_id"]) == ("tcf", "en", 31)


def _of_today(tc_string: str) -> str:
    """The TC string as a CMP writes it today: created and last updated at midnight, in tenths of seconds."""
    data = base64.urlsafe_b64decode(tc_string + "=" * (-len(tc_string) % 4))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tenths = int(midnight.timestamp() * 10)
    length = len(data) * 8
    after_times = length - 6 - 2 * 36
    bits = int.from_bytes(data)
    rest = bits & ((1 << after_times) - 1)
    head = bits >> (length - 6)
    made = (((head << 36 | tenths) << 36 | tenths) << after_times) | rest
    return base64.urlsafe_b64encode(made.to_bytes(len(data))).decode().rstrip("=")


def _undated(number: int, what: dict[str, Any]) -> dict[str, Any]:
    body = _body(number, **what)
    return {
        name: body[name]
        for name in body
        if name != "stated_at" and (name != "decisions" or name in what)
    }


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("700056", {"tc_string": _of_today(TC_STRING)}),
        ("700057", {"tc_string": TC_STRING}),
        ("700058", {"cookiebot": "0"}),
        ("700059", {"decisions": {"personalisation": "opt_out"}}),
    ],
    ids=["TC string of today", "older TC string", "cookie", "decisions"],
)
async def test_a_refusal_that_does_not_say_when_counts_from_its_receipt(
    api: httpx.AsyncClient, shop: Any, reference: Any, number: str, what: dict[str, Any]
) -> None:
    headers, began = await reference(number), datetime.now(UTC)
    assert (await api.post(ROUTE, json=_body(9), headers=headers)).status_code == 200
    assert await _personalised(api, headers)
    body = _undated(1, what)
    answer = await api.post(ROUTE, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.json()["stated_at"]) >= began
    assert not await _personalised(api, headers)

    said = len(ledger.history(shop.subject(number)))
    assert (await api.post(ROUTE, json=body, headers=headers)).status_code == 200
    assert len(ledger.history(shop.subject(number))) == said, "sent again it counts once"

    now = datetime.now(UTC).isoformat()
    await api.post(ROUTE, json=_body(2, stated_at=now), headers=headers)
    assert await _personalised(api, headers)
    assert (await api.post(ROUTE, json=body, headers=headers)).status_code == 200
    assert not await _personalised(api, headers), "and after another agreement it is not lost"


async def test_an_agreement_dated_ahead_does_not_outlast_a_refusal_that_follows_it(
    api: httpx.AsyncClient, reference: Any
) -> None:
    headers = await reference("700039")
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    answer = await api.post(ROUTE, json=_body(1, stated_at=ahead), headers=headers)
    assert datetime.fromisoformat(answer.json()["stated_at"]) <= datetime.now(UTC)
    assert await _personalised(api, headers)
    now = datetime.now(UTC).isoformat()
    refusal = _body(2, stated_at=now, decisions={"personalisation": "opt_out"})
    assert (await api.post(ROUTE, json=refusal, headers=headers)).status_code == 200
    assert not await _personalised(api, headers)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"decisions": {}}, "body/decisions"),
        ({"decisions": {"profiling": "opt_in"}}, "body/decisions/profiling/[key]"),
        ({"decisions": {"analytics": "perhaps"}}, "body/decisions/analytics"),
        ({"decisions": {"analytics": "expired"}}, "body/decisions/analytics"),
        ({"decisions": {"service": "opt_out"}}, "body"),
        ({"decisions": None}, "body"),
        ({"cookiebot": "{}"}, "body"),
        ({"decisions": None, "cookiebot": "{jane@example.com}"}, "body/cookiebot"),
        ({"decisions": None, "tc_string": "jane@example.com"}, "body/tc_string"),
        ({"decisions": None, "tc_string": TC_STRING, "stated_at": "2021-01-01T00:00:00Z"}, "body/stated_at"),
        ({"decisions": None, "cookiebot": COOKIE.replace(",utc:%d", ""), "stated_at": None}, "body"),
        ({"stated_at": None}, "body"),
        ({"stated_at": "2026-01-01T00:00:00"}, "body/stated_at"),
        ({"stated_at": "2199-01-01T00:00:00Z"}, "body/stated_at"),
        ({"stated_at": "1999-01-01T00:00:00Z"}, "body/stated_at"),
        ({"policy_version": "9.9"}, "body/policy_version"),
        ({"policy_version": "jane doe"}, "body/policy_version"),
        ({"language": "it"}, "body/language"),
        ({"language": None}, "body/language"),
        ({"language": "German, jane"}, "body/language"),
        ({"mechanism": "Jane Doe"}, "body/mechanism"),
        ({"statement_id": "jane@example.com"}, "body/statement_id"),
        ({"subject_id": "700046"}, "body/subject_id"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_and_nothing_is_written(
    api: httpx.AsyncClient, shop: Any, reference: Any, changes: dict[str, Any], pointer: str
) -> None:
    response = await api.post(ROUTE, json=_body(1, **changes), headers=await reference("700046"))
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["pointer"].startswith(pointer.partition("/[")[0])
    assert "jane" not in response.text
    assert ledger.history(shop.subject("700046")) == []


async def test_a_refusal_is_taken_in_under_whatever_policy(
    api: httpx.AsyncClient, reference: Any
) -> None:
    body = _body(1, policy_version="1.0", language=None, decisions={"analytics": "opt_out"})
    response = await api.post(ROUTE, json=body, headers=await reference("700047"))
    assert response.status_code == 200


async def test_nobody_is_told_who_is_a_customer_and_nothing_is_kept_of_who_is_none(
    api: httpx.AsyncClient, shop: Any, reference: Any
) -> None:
    body = _body(1)
    known = await api.post(ROUTE, json=body, headers=await reference("700048"))
    before = ledger.state().records
    nobody = await api.post(ROUTE, json=body, headers=await reference("nobody-here"))
    assert (nobody.status_code, nobody.content) == (known.status_code, known.content)
    assert ledger.state().records == before
    for headers in ({}, {"Selvedge-Subject": "forged"}):
        response = await api.post(ROUTE, json=body, headers=headers)
        assert response.status_code == 422
    wrong = {"Authorization": f"Bearer {api_keys()[Scope.PRIVACY]}"}
    assert (await api.post(ROUTE, json=body, headers=wrong)).status_code == 403


async def test_while_redis_does_not_answer_the_statement_is_to_be_sent_again(
    api: httpx.AsyncClient, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await reference("700049")
    with monkeypatch.context() as patch:
        patch.setattr(masks, "redis_url", lambda: "redis://127.0.0.1:1")
        response = await api.post(ROUTE, json=_body(1), headers=headers)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert not await _personalised(api, headers)
    assert (await api.post(ROUTE, json=_body(1), headers=headers)).status_code == 200
    assert await _personalised(api, headers)


async def test_global_privacy_control_is_honoured_at_once_and_recorded_once(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700050", Purpose.PERSONALISATION, Purpose.ANALYTICS)
    headers = await reference("700050")
    assert await _personalised(api, headers)
    for _ in range(3):
        assert not await _personalised(api, headers | {"Sec-GPC": "1"})
    said = [record for record in ledger.history(pseudonym) if record.mechanism == "gpc"]
    assert [(record.purpose, record.decision) for record in said] == [(Purpose.PERSONALISATION, Decision.OPT_OUT)]  # fmt: skip
    assert not await _personalised(api, headers), "the objection holds without the header too"
    assert ledger.current(pseudonym) == {Purpose.ANALYTICS}
    redis_client.hdel(mask_key(pseudonym), "gpc")  # the mark was lost
    await _personalised(api, headers | {"Sec-GPC": "1"})
    assert len([r for r in ledger.history(pseudonym) if r.mechanism == "gpc"]) == 1
    assert redis_client.ttl(mask_key(pseudonym)) > 0


@pytest.mark.parametrize("value", ["0", "", "true", "11"])
async def test_any_other_value_is_no_objection(
    api: httpx.AsyncClient, consents: Any, reference: Any, value: str
) -> None:
    consents("700051", Purpose.PERSONALISATION)
    assert await _personalised(api, await reference("700051") | {"Sec-GPC": value})


async def test_who_agrees_after_their_browser_objected_is_followed_but_not_in_answers_to_it(
    api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    pseudonym = consents("700052", Purpose.PERSONALISATION)
    headers = await reference("700052")
    gpc = headers | {"Sec-GPC": "1"}
    assert not await _personalised(api, gpc)
    consents("700052", Purpose.PERSONALISATION)
    assert await _personalised(api, headers)
    assert not await _personalised(api, gpc)
    assert await _personalised(api, headers)
    event = {
        "event_id": "event-gpc-1",
        "event_type": "click",
        "event_timestamp": datetime.now(UTC).isoformat(),
        "product_id": "P0001",
    }
    kept = await api.post("/v1/events", json={"events": [event]}, headers=gpc)
    assert kept.json()["withheld"] == 1
    assert len([r for r in ledger.history(pseudonym) if r.mechanism == "gpc"]) == 1


async def test_events_under_an_objection_serve_analytics_alone(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700053", Purpose.PERSONALISATION, Purpose.ANALYTICS)
    event = {
        "event_id": "event-gpc-2",
        "event_type": "click",
        "event_timestamp": datetime.now(UTC).isoformat(),
        "product_id": "P0001",
    }
    headers = await reference("700053") | {"Sec-GPC": "1"}
    answer = await api.post("/v1/events", json={"events": [event]}, headers=headers)
    assert answer.json() == {"accepted": 1, "duplicates": 0, "withheld": 0}
    assert not redis_client.exists(f"sv:session:{{{pseudonym}}}")
    assert ledger.current(pseudonym) == {Purpose.ANALYTICS}


async def test_the_objection_of_nobody_is_honoured_and_nothing_written(
    api: httpx.AsyncClient, reference: Any, redis_client: Any
) -> None:
    before, keys = ledger.state().records, set(redis_client.keys())
    for headers in ({}, await reference("nobody-here")):
        assert not await _personalised(api, headers | {"Sec-GPC": "1"})
    assert (ledger.state().records, set(redis_client.keys())) == (before, keys)


async def test_an_objection_that_cannot_be_recorded_is_honoured_all_the_same(
    app: FastAPI, api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    consents("700054", Purpose.PERSONALISATION)
    headers, resources = await reference("700054"), app.state.resources
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        app.state.resources = dataclasses.replace(resources, redis=nobody)
        assert not await _personalised(api, headers | {"Sec-GPC": "1"})
    app.state.resources = resources
    assert await _personalised(api, headers)


START = datetime(2026, 1, 1, tzinfo=UTC)
PURPOSES = (Purpose.PERSONALISATION, Purpose.ANALYTICS)
statements = st.builds(
    lambda number, said, hour: Statement(
        f"stmt-{number}", said, START + timedelta(hours=hour), "banner", "3.0", "api", "de"
    ),
    st.integers(0, 3),
    st.dictionaries(
        st.sampled_from(PURPOSES),
        st.sampled_from((Decision.OPT_IN, Decision.OPT_OUT)),
        min_size=1,
    ),
    st.integers(0, 4),
)


def _forget(pseudonym: str) -> None:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select record_id from consent.records where pseudonym = %s", [pseudonym]
        ).fetchall()
        remove_records(connection, [row[0] for row in rows])


def _intervals(pseudonym: str) -> list[tuple[Any, ...]]:
    with connect(Role.DBT) as connection:
        return connection.execute(
            "select purpose, valid_from, valid_to, agreed_now from consent.intervals where pseudonym = %s order by 1, 2",
            [pseudonym],
        ).fetchall()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(statements, min_size=1, max_size=5).flatmap(
        lambda said: st.tuples(st.just(said), st.permutations([*said, *said[:3]]))
    )
)
def test_late_repeated_and_reordered_statements_end_in_one_state(
    servers: object, drawn: tuple[Sequence[Statement], Sequence[Statement]]
) -> None:
    said, arrivals = drawn
    (pseudonym,) = Vault().resolve(CUSTOMER_NUMBER, ["permuted"], create=True)
    assert pseudonym
    states = []
    for order in (sorted(said, key=lambda statement: statement.stated_at), arrivals):
        _forget(pseudonym)
        for statement in order:
            take_in(pseudonym, statement)
        records = {record.source_key for record in ledger.history(pseudonym)}
        states.append((_intervals(pseudonym), masks.refresh(pseudonym), records))
    assert states[0] == states[1]
    assert verify_chain().findings == []


def test_nothing_is_taken_in_of_who_was_erased(shop: Any) -> None:
    (pseudonym,) = Vault().resolve(CUSTOMER_NUMBER, ["erased-before"], create=True)
    assert pseudonym
    statement = Statement(
        "stmt-1", {Purpose.ANALYTICS: Decision.OPT_IN}, START, "banner", "3.0", "api"
    )
    tombstones.record([pseudonym], [], datetime.now(UTC))
    assert take_in(pseudonym, statement) == 0
    assert ledger.history(pseudonym) == []
