"""An access export lists what every asset holds, of one person alone, and nobody can read it at rest."""

import io
import zipfile

import pytest

from privacy import registry, requests
from privacy.database import Role, connect
from privacy.identifiers import EMAIL, PHONE
from privacy.requests import ExportUnavailableError, RequestKind, RequestStatus
from privacy.settings import PlatformSettings
from privacy.vault import Vault
from tests.integration.people.conftest import document_of


def exported(pseudonym: str) -> tuple[dict[str, dict], str]:
    request, _ = requests.submit(RequestKind.ACCESS, pseudonym, "test")
    done = requests.process(request.request_id)
    assert done.status is RequestStatus.COMPLETED, done.unfinished
    archive, _ = requests.export_of(request.request_id)
    document = document_of(archive)
    assets = {asset["asset"]: asset for asset in document["assets"]}
    return assets, everything_in(archive)


def everything_in(archive: bytes) -> str:
    """The text of every file of an export."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return "".join(opened.read(name).decode() for name in opened.namelist())


def test_the_export_lists_every_asset_with_what_it_holds_in_clear(people) -> None:
    assets, text = exported(people.leaver)

    assert set(assets) == {contract.key for contract in registry.load().contracts}
    assert assets["platform/vault"]["rows"] == [
        {"field": "email", "value": "quilla.zephyrine@example.org"},
        {"field": "name", "value": "Quilla Zephyrine"},
        {"identifier": "customer_number", "value": "C-1001"},
    ]
    assert assets["shop/orders"]["rows"][0]["order_id"] == "o0"
    assert assets["staging/stg_orders"]["rows"] == [{"order_id": "o0"}]
    assert assets["lake/interactions"]["held"] == 50
    assert assets["platform/event_stream"]["held"] == 5
    profile = assets["features/subject_profile"]["rows"][0]["values"]
    assert profile["top_brands"] == ["Loom"]
    assert profile["mean_price"] == 40.0
    assert assets["models/lightfm"]["rows"][0]["subject_vectors.npy"] == [1.0, 2.0]
    session = assets["platform/session_items"]["rows"][0]["value"]
    assert session == ["page_view\tP2", "click\tP1"]
    assert assets["shop/products"]["reason"] == "The catalogue describes products."
    assert assets["shop/orders"]["legal_basis"] == "consent"
    assert people.leaver not in text


def test_the_export_holds_nothing_of_anybody_else(people) -> None:
    _, text = exported(people.leaver)
    for foreign in (people.stayer, "Odo", "odo@example.org", '"o1"', '"f1"', "[3.0,4.0]"):
        assert foreign not in text


def test_the_export_lists_every_identifier_that_leads_to_the_person_and_to_nobody_else(
    people,
) -> None:
    vault = Vault()
    vault.link(people.leaver, EMAIL, "Quilla@other.example")
    vault.link(people.leaver, PHONE, "030 12345678")
    vault.link(people.stayer, EMAIL, "odo@example.org")
    # One that both claim is held of each as they gave it; the export says of neither that there is another.
    vault.link_many(EMAIL, people.both, ["shared@example.org"] * 2)

    assets, text = exported(people.leaver)

    led = {
        (row["identifier"], row["value"])
        for row in assets["platform/vault"]["rows"]
        if "identifier" in row
    }
    owned = {("email", "shared@example.org")} if min(people.both) == people.leaver else set()
    assert led - owned == {
        ("customer_number", "C-1001"),
        ("email", "quilla@other.example"),
        ("phone", "+493012345678"),
    }
    assert "contested" not in text
    for foreign in ("C-1002", "odo@example.org"):
        assert foreign not in text


def test_an_export_is_encrypted_at_rest(people, servers: PlatformSettings) -> None:
    exported(people.leaver)
    with connect(Role.PRIVACY) as connection:
        stored = connection.execute("select ciphertext from requests.exports").fetchone()
    assert b"Quilla" not in bytes(stored[0])


def test_an_export_expires_and_is_deleted(people) -> None:
    request, _ = requests.submit(RequestKind.ACCESS, people.leaver, "test")
    requests.process(request.request_id)
    with connect(Role.PRIVACY) as connection:
        connection.execute("update requests.exports set expires = now()")

    with pytest.raises(ExportUnavailableError, match="expired"):
        requests.export_of(request.request_id)
    requests.process_open()
    with connect(Role.PRIVACY) as connection:
        assert connection.execute("select count(*) from requests.exports").fetchone() == (0,)


def test_somebody_unknown_gets_an_answer_of_the_same_form(people) -> None:
    assets, _ = exported("0" * 32)
    assert set(assets) == {contract.key for contract in registry.load().contracts}
    held = {key for key, asset in assets.items() if asset["held"]}
    assert held == {"platform/privacy_requests"}  # this very request


def test_an_erasure_takes_earlier_exports_and_open_access_requests_along(people) -> None:
    exported(people.leaver)
    waiting, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    erasure, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")

    assert requests.process(erasure.request_id).unfinished == ()

    assert requests.get(waiting.request_id).status is RequestStatus.CANCELLED
    with connect(Role.PRIVACY) as connection:
        assert connection.execute("select count(*) from requests.exports").fetchone() == (0,)


def test_an_asset_that_does_not_answer_leaves_the_export_undone(
    people, servers: PlatformSettings
) -> None:
    with connect(Role.DBT) as connection:
        connection.execute("drop view staging.stg_orders")
        connection.execute("create view staging.stg_orders as select order_id from shop.orders")
    try:
        request, _ = requests.submit(RequestKind.ACCESS, people.leaver, "test")
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any("staging/stg_orders" in reason for reason in tried.unfinished)
        with pytest.raises(ExportUnavailableError, match="incomplete"):
            requests.export_of(request.request_id)
    finally:
        with connect(Role.DBT) as connection:
            connection.execute("drop view staging.stg_orders")
