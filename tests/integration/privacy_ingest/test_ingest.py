import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
import redis

from consent import objections
from consent.policies import policy_hash
from orchestration.ingest.run import ingest
from orchestration.ingest.summary import IngestError
from orchestration.sources.batch import QuarantinedRow
from orchestration.sources.model import TABLES
from privacy import lake, tombstones
from privacy.database import Role, admin_url, connect
from privacy.settings import PlatformSettings
from privacy.stores.consent_ledger import remove_records
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import (
    AT,
    MARKERS,
    SmallShop,
    consent,
    customer,
    interaction,
    shop_rows,
)

pytestmark = pytest.mark.usefixtures("clean_platform")
NUMBER = "qx4711marker"
TABLE_NAMES = tuple(TABLES)


def _rows(statement: LiteralString) -> list[tuple[Any, ...]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(statement).fetchall()


def _pseudonym(number: str = NUMBER) -> str:
    found = Vault().lookup(CUSTOMER_NUMBER, number)
    assert found
    return found


def _ingest_all(shop: SmallShop) -> dict[str, Any]:
    return {name: ingest(name, shop) for name in TABLE_NAMES}


def _erase(pseudonym: str, at: datetime) -> None:
    """What an erasure does, as far as the ingest can see it."""
    vault = Vault()
    tombstones.record([pseudonym], vault.identifiers_of([pseudonym]), at)
    with connect(Role.PRIVACY) as connection:
        for table in ("customers", "orders", "order_lines", "returns", "quiz_answers", "feedback"):
            connection.execute(
                psycopg.sql.SQL("delete from shop.{} where pseudonym = %s").format(
                    psycopg.sql.Identifier(table)
                ),
                [pseudonym],
            )
        said = connection.execute(
            "select record_id from consent.records where pseudonym = %s", [pseudonym]
        ).fetchall()
        remove_records(connection, [row[0] for row in said])
    lake.erase("interactions", "pseudonym", [pseudonym])
    vault.erase([pseudonym])


@pytest.fixture
def shop() -> SmallShop:
    return SmallShop(shop_rows())


def test_every_table_arrives_by_pseudonym(shop: SmallShop) -> None:
    summaries = _ingest_all(shop)
    assert {name: (s.read, s.written, s.total) for name, s in summaries.items()} == {
        "customers": (2, 2, 2),
        "products": (2, 2, 2),
        "inventory": (1, 1, 1),
        "orders": (1, 1, 1),
        "order_lines": (1, 1, 1),
        "returns": (1, 1, 1),
        "interactions": (3, 3, 3),
        "quiz_answers": (1, 1, 1),
        "feedback": (1, 1, 1),
        "consents": (2, 2, 2),
    }
    pseudonym = _pseudonym()
    assert _rows(
        "select pseudonym, country, age_band, height_band, preferred_sizes, source from shop.customers "
        "where height_band is not null order by pseudonym = (select pseudonym from shop.orders) desc"
    )[0] == (pseudonym, "DE", "35-44", "170-179", ["M", "L"], "small")
    assert _rows("select name, price::text, cost, sizes, season_tags, description from shop.products order by 1") == [
        ('Skirt, "red"', "19.9900", None, ["S", "M"], [], ""),
        (None, None, None, None, None, None),
    ]  # fmt: skip
    events = lake.open_table("interactions").to_pyarrow_table().to_pylist()
    assert {event["pseudonym"] for event in events} == {pseudonym, _pseudonym("other")}
    assert len({event["session"] for event in events if event["session"]}) == 1
    assert [event["session"] for event in events if event["event_type"] == "purchase"] == [None]
    assert all("event_id" not in event and event["created"] for event in events)
    assert Vault().reveal(pseudonym)["birth_date"] == "1990-05-17"
    assert _rows("select count(*) from shop.ingest_runs") == [(10,)]


def test_free_text_is_masked_with_what_the_vault_knows_of_its_author(shop: SmallShop) -> None:
    _ingest_all(shop)
    assert _rows("select text_masked from shop.feedback") == [
        ("Fits. <PERSON> from <LOCATION>, no. <CUSTOMER_NUMBER>, <PHONE_NUMBER>",)
    ]
    assert _rows("select answer from shop.quiz_answers") == [("write <EMAIL_ADDRESS>",)]
    events = lake.open_table("interactions").to_pyarrow_table().to_pylist()
    assert [event["query"] for event in events if event["query"]] == ["dress for <PERSON>"]


def test_no_byte_of_a_raw_identifier_or_of_its_hash_is_on_disk(
    shop: SmallShop, settings: PlatformSettings, redis_client: "redis.Redis"
) -> None:
    _ingest_all(shop)
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")
        connection.execute("checkpoint")
    redis_client.save()
    whole = (NUMBER, "qxmarkermail@shop.test", "Ada Qxmarkername", "+49 30 99887766")
    wanted = {text.lower().encode() for text in (*MARKERS, *whole)}
    wanted |= {trace for text in whole for trace in _hashes(text)}
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert any("lake" in path.parts for path in files)
    assert any("pg_wal" in path.parts for path in files)
    assert any(_holds_any(path, {_pseudonym().encode()}) for path in files), "the search finds"
    assert [path.name for path in files if _holds_any(path, wanted)] == []


def _hashes(text: str) -> Iterator[bytes]:
    """Unkeyed hashes and encodings of the text, as they could lie in a file (lower case)."""
    for form in {text, text.lower()}:
        yield base64.b64encode(form.encode()).rstrip(b"=").lower()
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, form.encode())
            yield digest.hexdigest().encode()
            yield digest.digest().lower()


def _holds_any(path: Path, wanted: set[bytes]) -> bool:
    content = path.read_bytes().lower()
    return any(needle in content for needle in wanted)


def test_a_second_ingest_changes_nothing(shop: SmallShop) -> None:
    _ingest_all(shop)
    version = lake.open_table("interactions").version()
    before = _state()
    summaries = _ingest_all(shop)
    assert {(s.written, s.unchanged - s.read) for s in summaries.values()} == {(0, 0)}
    assert _state() == before
    assert lake.open_table("interactions").version() == version


def _state() -> list[list[tuple[Any, ...]]]:
    return [
        _rows("select xmin::text, * from shop.customers order by pseudonym"),
        _rows("select xmin::text, * from shop.products order by product_id"),
        _rows("select xmin::text, * from shop.orders"),
        _rows("select xmin::text, * from shop.feedback"),
        _rows("select xmin::text, * from consent.records order by record_id"),
        _rows("select xmin::text, * from vault.subjects order by pseudonym"),
        _rows("select xmin::text, * from vault.direct_identifiers order by pseudonym, field"),
    ]


def test_a_newer_row_replaces_an_older_one_and_never_the_other_way_round(shop: SmallShop) -> None:
    newer = customer(NUMBER, country="FR", updated_at=AT + timedelta(days=1), name="Eva Neu")
    both = replace(shop, rows={"customers": [newer, customer(NUMBER)]})
    assert ingest("customers", shop).written == 2
    assert ingest("customers", both).written == 1
    assert ingest("customers", both).written == 0
    assert ingest("customers", shop).written == 0
    assert _rows("select country from shop.customers order by 1") == [("DE",), ("FR",)]
    assert Vault().reveal(_pseudonym())["name"] == "Eva Neu"


def test_refused_rows_are_listed_once_and_counted(shop: SmallShop) -> None:
    refused = [QuarantinedRow("customers", "customers.csv", 7, "impossible_age")]
    dirty = replace(shop, quarantined={"customers": refused})
    for _ in range(2):
        summary = ingest("customers", dirty)
        assert (summary.read, summary.quarantined) == (3, 1)
    assert _rows("select source, table_name, file_name, row_number, reason from shop.quarantine") == [
        ("small", "customers", "customers.csv", 7, "impossible_age")
    ]  # fmt: skip


def test_an_erased_subject_does_not_come_back(shop: SmallShop) -> None:
    _ingest_all(shop)
    pseudonym = _pseudonym()
    _erase(pseudonym, AT + timedelta(days=1))
    summaries = _ingest_all(shop)
    assert {n: s.tombstoned for n, s in summaries.items()} == {
        "customers": 1,
        "products": 0,
        "inventory": 0,
        "orders": 1,
        "order_lines": 1,
        "returns": 1,
        "interactions": 2,
        "quiz_answers": 1,
        "feedback": 1,
        "consents": 1,
    }
    assert Vault().lookup(CUSTOMER_NUMBER, NUMBER) is None
    assert _rows("select count(*) from shop.orders") == [(0,)]
    assert lake.count("interactions") == 1


def test_a_person_who_comes_back_is_a_new_subject_without_the_past(shop: SmallShop) -> None:
    _ingest_all(shop)
    before = _pseudonym()
    _erase(before, AT + timedelta(days=1))
    rows = shop_rows()
    since = AT + timedelta(days=2)
    rows["interactions"].append(interaction("E9", NUMBER, event_timestamp=since))
    rows["consents"].append(consent(NUMBER, "personalisation", at=since))
    ingest("consents", SmallShop(rows))
    ingest("interactions", SmallShop(rows))
    after = _pseudonym()
    assert after != before
    assert lake.count("interactions", "pseudonym", after) == 1
    assert lake.count("interactions", "pseudonym", before) == 0


def test_nothing_is_stored_of_a_subject_whose_erasure_is_under_way(shop: SmallShop) -> None:
    _ingest_all(shop)
    pseudonym = _pseudonym()
    tombstones.record([pseudonym], [], datetime.now(UTC))
    late = interaction("E9", NUMBER, event_timestamp=datetime.now(UTC) + timedelta(days=1))
    summary = ingest("interactions", SmallShop({"interactions": [late]}))
    assert (summary.tombstoned, summary.written) == (1, 0)


@pytest.mark.parametrize("table", [name for name in TABLE_NAMES if "subject_id" in TABLES[name].columns])  # fmt: skip
def test_who_objected_to_an_asset_is_left_out_of_it(shop: SmallShop, table: str) -> None:
    _ingest_all(shop)
    key = {"interactions": "lake/interactions", "consents": "consent/records"}.get(
        table, f"shop/{table}"
    )
    before = ingest(table, shop).total
    objections.object_to(_pseudonym(), key, "test")
    summary = ingest(table, shop)
    if (
        table == "consents"
    ):  # the proof of consent stays until an erasure, and a withdrawal always arrives
        assert (summary.withheld, summary.total) == (0, before)
        return
    held = 2 if table == "interactions" else 1
    assert (summary.withheld, summary.total) == (held, before - held)
    assert ingest(table, shop).total == before - held
    objections.withdraw(_pseudonym(), key, "test")
    assert ingest(table, shop).total == before


def test_consent_reaches_the_ledger_once(shop: SmallShop) -> None:
    ingest("consents", shop)
    later = replace(shop, rows={"consents": [*shop.rows["consents"], consent(NUMBER, "analytics")]})
    assert (ingest("consents", later).written, ingest("consents", later).written) == (1, 0)
    assert _rows("select decision, purpose, mechanism from consent.records order by record_id") == [
        ("opt_in", "personalisation", "banner"),
        ("opt_out", "analytics", "banner"),
        ("opt_in", "analytics", "banner"),
    ]


def test_an_export_brings_language_policy_text_and_the_reference_of_its_proof(
    shop: SmallShop,
) -> None:
    said = consent(NUMBER, "analytics") | {"policy_version": "3.0", "language": "fr"}
    elsewhere = consent(NUMBER, "personalisation") | {
        "policy_sha256": "ab" * 32,
        "proof_reference": "cmp-77",
    }
    ingest("consents", replace(shop, rows={"consents": [said, elsewhere]}))
    assert _rows("select language, policy_sha256, proof from consent.records order by purpose") == [
        ("fr", policy_hash("3.0", "fr"), {}),
        (None, "ab" * 32, {"kind": "export", "reference": "cmp-77"}),
    ]


def test_assumed_consent_must_be_said_and_is_marked_as_such(shop: SmallShop) -> None:
    silent = replace(
        shop, rows={name: rows for name, rows in shop.rows.items() if name != "consents"}
    )
    with pytest.raises(IngestError, match="--assume-consent"):
        ingest("consents", silent)
    summary = ingest("consents", silent, assume_consent=True)
    assert summary.written == 10
    assert _rows("select distinct decision, mechanism, stated_at from consent.records") == [
        ("opt_in", "assumed", AT)
    ]
    assert _rows("select count(*) from consent.records where purpose = 'service'") == [(0,)]
    assert ingest("consents", silent, assume_consent=True).written == 0


def test_a_table_that_the_source_lacks_is_empty_and_not_missing() -> None:
    summary = ingest("interactions", SmallShop({"customers": []}))
    assert (summary.read, summary.total) == (0, 0)
    assert lake.exists("interactions")


def test_an_unknown_table_is_refused(shop: SmallShop) -> None:
    with pytest.raises(IngestError, match="use one of customers"):
        ingest("passwords", shop)


def test_no_key_or_stream_is_left_behind_by_files_alone(
    shop: SmallShop, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    _ingest_all(shop)
    assert redis_client.dbsize() == 0
