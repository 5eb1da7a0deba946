"""Rectification, restriction, objection and portability, on real stores, beside a neighbour who must not notice."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis
import yaml
from jsonschema import Draft202012Validator

from consent import ledger, masks, objections
from consent.masks import MASK_FIELDS, decode, mask_key
from orchestration.governance import ropa
from privacy import decisions, lake, registry, replaced, requests
from privacy.contracts import Purpose
from privacy.controller import load_controller
from privacy.database import Role, connect
from privacy.exports.package import SCHEMA_FILE
from privacy.file_search import search_files
from privacy.rectification import Corrections, EventCorrection, FeedbackCorrection
from privacy.requests import RequestKind, RequestStatus
from privacy.retention import enforce
from privacy.settings import PlatformSettings
from privacy.stores import handler_for
from privacy.vault import Vault
from recommenders.features import feature_store
from serving.online import PROFILE_ASSETS, RANKER_ASSETS
from tests.integration.people.conftest import document_of, profiles


def rows_of(key: str, pseudonym: str) -> list[dict[str, Any]]:
    contract = registry.load().get(key)
    return handler_for(contract).export(contract, pseudonym)


def held(key: str, pseudonym: str) -> int:
    contract = registry.load().get(key)
    return handler_for(contract).find(contract, [pseudonym]).get(pseudonym, 0)


def exported(kind: RequestKind, pseudonym: str) -> dict[str, Any]:
    request, _ = requests.submit(kind, pseudonym, "test")
    done = requests.process(request.request_id)
    assert done.status is RequestStatus.COMPLETED, done.unfinished
    document = document_of(requests.export_of(request.request_id)[0])
    Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(document)
    return document


CORRECTIONS = Corrections(
    email="quilla@new.example",
    birth_date=date(1990, 2, 3),
    country="FR",
    preferred_sizes=("S", "38"),
    feedback=(FeedbackCorrection(feedback_id="f0", rating=2, text="Write to quilla@new.example"),),
    interactions=(EventCorrection(source_key="placeholder", product_id="P77"),),
)


def rectify(people: Any) -> requests.PrivacyRequest:
    event = EventCorrection(source_key=f"{people.leaver[:6]}-3", product_id="P77")
    neighbours = EventCorrection(source_key=f"{people.stayer[:6]}-3", product_id="P77")
    wanted = CORRECTIONS.model_copy(
        update={
            "interactions": (event, neighbours),
            "feedback": (
                *CORRECTIONS.feedback,
                FeedbackCorrection(feedback_id="f1", rating=1),
            ),
        }
    )
    request, _ = requests.submit(
        RequestKind.RECTIFICATION, people.leaver, "test", corrections=wanted
    )
    return request


def test_a_rectification_corrects_every_store_at_once_and_touches_nobody_else(people) -> None:
    before = {
        key: rows_of(key, people.stayer)
        for key in ("platform/vault", "shop/customers", "shop/feedback", "lake/interactions")
    }

    request = rectify(people)

    assert request.status is RequestStatus.COMPLETED, request.unfinished
    revealed = Vault().reveal(people.leaver)
    assert revealed["email"] == "quilla@new.example"
    assert revealed["birth_date"] == "1990-02-03"
    assert revealed["name"] == "Quilla Zephyrine"
    (customer,) = rows_of("shop/customers", people.leaver)
    assert (customer["country"], customer["preferred_sizes"]) == ("FR", ["S", "38"])
    assert customer["age_band"] == "35-44"
    (feedback,) = rows_of("shop/feedback", people.leaver)
    assert (feedback["rating"], feedback["text_masked"]) == ("2.0", "Write to <EMAIL_ADDRESS>")
    events = {row["source_key"]: row for row in rows_of("lake/interactions", people.leaver)}
    assert events[f"{people.leaver[:6]}-3"]["product_id"] == "P77"
    assert sum(row["product_id"] == "P77" for row in events.values()) == 1
    assert held("features/subject_profile", people.leaver) == 0
    assert held("features/subject_profile", people.stayer) == 1
    assert before == {key: rows_of(key, people.stayer) for key in before}


def test_features_made_before_a_correction_do_not_come_online_again(people) -> None:
    rectify(people)
    stale = profiles(people)
    feature_store().write_to_online_store("subject_profile", stale)
    assert held("features/subject_profile", people.leaver) == 0
    assert held("features/subject_profile", people.stayer) == 1

    stale["created"] = pd.Timestamp(datetime.now(UTC) + timedelta(seconds=1))
    feature_store().write_to_online_store("subject_profile", stale)
    assert held("features/subject_profile", people.leaver) == 1


def test_corrections_are_kept_encrypted_exported_and_erased(people) -> None:
    request = rectify(people)
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute("select r::text from requests.rectifications r").fetchall()
        detail = connection.execute(
            "select detail::text from requests.privacy_requests where request_id = %s",
            [request.request_id],
        ).fetchone()
    assert rows
    assert all("FR" not in row[0] and "P77" not in row[0] for row in rows)
    assert "subject" not in detail[0]
    assert "corrections" not in detail[0]
    kept = rows_of("platform/rectifications", people.leaver)
    assert {
        "asset": "shop/customers",
        "row": None,
        "field": "country",
        "value": "FR",
    }.items() <= next(row for row in kept if row["field"] == "country").items()

    erasure, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    done = requests.process(erasure.request_id)
    assert done.unfinished == ()
    assert held("platform/rectifications", people.leaver) == 0


def test_what_a_correction_replaced_leaves_the_disk_with_the_next_retention(
    people, servers
) -> None:
    wrong, right = (
        Corrections(
            body_shape=word,
            interactions=(EventCorrection(source_key=f"{people.leaver[:6]}-3", product_id=word),),
        )
        for word in ("qzjvkwrongvalue", "qzjvkrightvalue")
    )
    for corrections in (wrong, right):
        made, _ = requests.submit(
            RequestKind.RECTIFICATION, people.leaver, "test", corrections=corrections
        )
        assert made.unfinished == ()
    assert search_files(servers.home, [b"qzjvkwrongvalue"]).holding, "for a while it is there"

    enforce(registry.load(), dry_run=True)
    assert {entry.asset_key for entry in replaced.pending()} == {
        *("lake/interactions", "platform/rectifications", "shop/customers")
    }
    written = dict.fromkeys(("models/lightfm",), datetime.now(UTC))
    enforce(registry.load(), written=written)

    assert not search_files(servers.home, [b"qzjvkwrongvalue"]).holding
    assert search_files(servers.home, [b"qzjvkrightvalue"]).holding
    assert replaced.pending(), "a model that was made since may have begun before"
    enforce(registry.load(), written={"models/lightfm": datetime.now(UTC) + timedelta(days=1)})
    assert replaced.pending() == []


def test_the_same_correction_is_one_request_and_another_is_another(
    people, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_AT_ONCE", {})  # so that they stay open
    first, _ = requests.submit(
        RequestKind.RECTIFICATION, people.leaver, "test", corrections=Corrections(city="Bonn")
    )
    again, new = requests.submit(
        RequestKind.RECTIFICATION, people.leaver, "test", corrections=Corrections(city="Bonn")
    )
    other, other_new = requests.submit(
        RequestKind.RECTIFICATION, people.leaver, "test", corrections=Corrections(city="Köln")
    )
    assert (first.request_id, new) == (again.request_id, False)
    assert (other.request_id != first.request_id, other_new) == (True, True)


def counts(pseudonym: str) -> dict[str, int]:
    return {
        contract.key: held(contract.key, pseudonym)
        for contract in registry.load().holding_subjects
        if contract.key.startswith(("shop/", "lake/", "platform/vault", "platform/consent_records"))
        or contract.key in ("models/lightfm", "platform/event_stream", "platform/session_items")
    }


def mask_of(client: "redis.Redis", pseudonym: str) -> masks.Mask:
    return decode(client.hmget(mask_key(pseudonym), list(MASK_FIELDS)))


def test_a_restriction_keeps_the_data_and_uses_it_for_nothing(
    people, redis_client: "redis.Redis"
) -> None:
    before = counts(people.leaver)
    assert all(before.values())

    request, _ = requests.submit(RequestKind.RESTRICTION, people.leaver, "test")

    assert request.status is RequestStatus.COMPLETED, request.unfinished
    assert counts(people.leaver) == before
    assert not redis_client.exists(mask_key(people.leaver)), "without a mask nobody is known"
    masks.write_all()
    closed = mask_of(redis_client, people.leaver)
    assert closed.bits == 0, "the check of the masks finds nobody who may not be there"
    assert not any(closed.serves(purpose, "any/asset") for purpose in Purpose)
    assert mask_of(redis_client, people.stayer).serves(Purpose.PERSONALISATION, "models/lightfm")
    for key in ("shop/orders", "an/asset/made/later"):
        assert objections.withheld(key) == {people.leaver}
        assert objections.objecting(key) == frozenset()
    assert ledger.current(people.leaver), "a restriction withdraws no consent"
    with connect(Role.CONSENT) as connection:
        restricted = connection.execute("select pseudonym from consent.restricted").fetchall()
    assert restricted == [(people.leaver,)]


def test_a_restriction_is_lifted_for_its_own_subject_alone(
    people, redis_client: "redis.Redis"
) -> None:
    objections.object_to(people.leaver, "models/lightfm", "opt-out")
    request, _ = requests.submit(RequestKind.RESTRICTION, people.leaver, "test")
    with pytest.raises(decisions.DecisionRefusedError, match="somebody else"):
        decisions.lift(request.request_id, people.stayer, "test")

    lifted = decisions.lift(request.request_id, people.leaver, "test")

    assert lifted.lifted is not None
    assert objections.objections_of(people.leaver) == {"models/lightfm"}
    mask = masks.refresh(people.leaver, redis_client)
    assert mask.serves(Purpose.PERSONALISATION, "shop/orders")
    again, new = requests.submit(RequestKind.RESTRICTION, people.leaver, "test")
    assert new
    assert objections.withheld("shop/orders") == {people.leaver}
    assert again.request_id != request.request_id


def test_an_objection_stops_profiling_and_nothing_else(people, redis_client: "redis.Redis") -> None:
    request, _ = requests.submit(RequestKind.OBJECTION, people.leaver, "test")

    assert request.status is RequestStatus.COMPLETED, request.unfinished
    assert held("features/subject_profile", people.leaver) == 0
    assert held("platform/session_items", people.leaver) == 0
    assert held("features/subject_profile", people.stayer) == 1
    mask = masks.refresh(people.leaver, redis_client)
    for key in ("features/subject_profile", "platform/session_items"):
        assert key in (*PROFILE_ASSETS, *RANKER_ASSETS, "platform/session_items")
        assert not mask.serves(Purpose.PERSONALISATION, key)
    assert mask.serves(Purpose.PERSONALISATION, "platform/event_stream")
    assert held("shop/orders", people.leaver) == 1
    assert ledger.current(people.leaver)


def test_a_portable_copy_holds_what_was_provided_and_nothing_made_of_it(people) -> None:
    document = exported(RequestKind.PORTABILITY, people.leaver)
    assets = {asset["asset"]: asset for asset in document["assets"]}

    # What the fixture's contracts call provided, under consent or a contract.
    shop = {f"shop/{name}" for name in ("customers", "orders", "order_lines", "returns", "quiz_answers", "feedback")}  # fmt: skip
    assert set(assets) == shop | {"lake/interactions", "platform/vault"}
    assert assets["platform/vault"]["rows"] == [
        {"field": "email", "value": "quilla.zephyrine@example.org"},
        {"field": "name", "value": "Quilla Zephyrine"},
        {"identifier": "customer_number", "value": "C-1001"},
    ]
    assert assets["lake/interactions"]["held"] == 50
    assert not {"source", "source_key", "ingested_at"} & assets["shop/orders"]["rows"][0].keys()
    assert "recommendations" not in document
    assert people.leaver not in json.dumps(document)


def controller_file(folder: Path) -> Path:
    """A filled-in file of the controller that names one recipient."""
    whom = {"name": "Host GmbH", "role": "processor", "service": "Runs servers.", "country": "DE"}
    person = {"name": "Shop AG", "contact": "privacy@shop.example"}
    document = {
        "controller": person,
        "data_protection_officer": person,
        "supervisory_authority": "BlnBDI",
        "categories_of_subjects": ["customers"],
        "recipients": [{**whom, "for": ["personalisation"], "assets": ["shop/*"]}],
    }
    file = folder / "controller.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_an_access_export_says_since_when_until_when_why_and_for_whom(
    people, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: PlatformSettings
) -> None:
    monkeypatch.setattr(servers, "controller_file", controller_file(tmp_path))
    document = exported(RequestKind.ACCESS, people.leaver)
    assets = {asset["asset"]: asset for asset in document["assets"]}

    orders = assets["shop/orders"]
    assert orders["recipients"] == ["Host GmbH"]
    assert orders["legal_basis_text"] == "Your consent, Art. 6(1)(a) GDPR"
    assert orders["purposes_text"] == ["Showing you products that suit your taste"]
    ingested = datetime.fromisoformat(orders["rows"][0]["ingested_at"])
    assert datetime.fromisoformat(orders["held_since"]) == ingested
    assert orders["kept_until"] == (ingested + timedelta(days=365)).date().isoformat()
    assert assets["lake/interactions"]["recipients"] == []
    assert assets["platform/vault"]["recipients"] == [], "it serves no purpose of theirs"
    (named,) = document["recipients"]
    assert (named["name"], named["service"]) == ("Host GmbH", "Runs servers.")
    assert any("Art. 77" in right for right in document["rights"])


def test_the_record_of_processing_names_the_recipients_of_the_exports(
    people, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: PlatformSettings
) -> None:
    monkeypatch.setattr(servers, "controller_file", controller_file(tmp_path))
    record = ropa.record_of_processing(registry.load(), load_controller(), ())
    listed = {entry["purpose"]: entry["recipients"] for entry in record["activities"]}
    assert listed["personalisation"] == [
        {"name": "Host GmbH", "role": "processor", "country": "DE"}
    ]
    assert listed["analytics"] == []


def test_no_export_is_made_while_nobody_can_say_who_receives_data(
    people, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: PlatformSettings
) -> None:
    for kind in (RequestKind.ACCESS, RequestKind.PORTABILITY):
        request, _ = requests.submit(kind, people.leaver, "test")
        with monkeypatch.context() as broken:
            broken.setattr(servers, "controller_file", tmp_path / "nowhere.yaml")
            tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any("platform/recipients (read)" in why for why in tried.unfinished)
        assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def test_an_expired_export_leaves_no_byte_on_disk(people, servers) -> None:
    request, _ = requests.submit(RequestKind.ACCESS, people.leaver, "test")
    requests.process(request.request_id)
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "update requests.exports set expires = now() returning ciphertext"
        ).fetchone()
    needle = bytes(row[0])[200:264]

    requests.process_open()

    holding = [
        path
        for path in (servers.home / "postgres").rglob("*")
        if path.is_file() and needle in path.read_bytes()
    ]
    assert holding == []


def test_a_lake_correction_leaves_no_pseudonym_in_the_log(people, servers) -> None:
    rectify(people)
    log = servers.lake_dir / "interactions" / "_delta_log"
    assert not any(people.leaver in path.read_text() for path in log.glob("*.json"))
    assert lake.count("interactions") == 100
