"""Personal data planted in every kind of store: the check of the asset finds it, fails the run and says what to do, without the value."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest
import redis

from orchestration.contracted import contracted_asset
from orchestration.defs.ingest.assets import ingest_assets
from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.pii_checks import pii_checks, scan
from orchestration.preview import preview
from orchestration.settings import orchestration_settings
from orchestration.sources.simulator import simulate
from privacy import lake
from privacy.contracts import (
    Artifacts,
    AssetContract,
    Category,
    ColumnTag,
    DeltaStore,
    FeastOnlineStore,
    LegalBasis,
    PostgresStore,
    Purpose,
    RedisStore,
    RedisStream,
    Retention,
    Store,
    Withhold,
    no_personal_data,
)
from privacy.database import Role, connect
from privacy.settings import PlatformSettings

pytestmark = pytest.mark.usefixtures("clean_database")

CLEAN = [f"Linen dress {number}, woven in Portugal, size 36-42" for number in range(60)]
PLANTED = "Please write to jana.probe@postfach.test or call +49 30 901820"
NUMBERS = [f"030 9018{number:03d}" for number in range(60)]


def _contract(store: Store, **tags: ColumnTag) -> AssetContract:
    return no_personal_data(
        "shop/suppliers",
        owner="team:test",
        description="Who delivers what.",
        reason="Says nothing of people.",
        store=store,
        columns=tags,
    )


TABLE = PostgresStore(schema_name="shop", table="suppliers")
DELTA = DeltaStore(path="suppliers")


@pytest.fixture
def table(servers: PlatformSettings) -> Iterator[Callable[[list[str]], None]]:
    """Writes a table with the columns `id` and `note`; it is dropped after the test."""

    def write(notes: list[str]) -> None:
        with connect(Role.INGEST) as connection:
            connection.execute("drop table if exists shop.suppliers")
            connection.execute("create table shop.suppliers (id bigint, note text, price numeric)")
            rows = list(enumerate(notes))
            connection.cursor().executemany(
                "insert into shop.suppliers (id, note) values (%s, %s)", rows
            )

    yield write
    with connect(Role.INGEST) as connection:
        connection.execute("drop table if exists shop.suppliers")


def _delta(notes: list[str]) -> None:
    lake.replace(
        "suppliers", pa.table({"id": range(len(notes)), "note": [[note] for note in notes]})
    )


def _run(contract: AssetContract, write: Callable[[], None]) -> dg.ExecuteInProcessResult:
    @contracted_asset(contract, group="test", kinds={"python"})
    def asset() -> dg.MaterializeResult[None]:
        write()
        return dg.MaterializeResult(metadata={"dagster/row_count": len(CLEAN)})

    checks = list(pii_checks(dg.Definitions(assets=[asset])))
    return dg.materialize([asset, *checks], raise_on_error=False)


@pytest.mark.parametrize("store", [TABLE, DELTA], ids=["postgres", "delta"])
def test_an_untagged_column_with_personal_data_fails_the_run(
    store: Store, table: Callable[[list[str]], None]
) -> None:
    write = table if store is TABLE else _delta
    assert _run(_contract(store), lambda: write(CLEAN)).success

    result = _run(_contract(store), lambda: write([*CLEAN, PLANTED]))
    assert not result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    says = check.description or ""
    for part in (
        "shop/suppliers",
        "'note'",
        "e-mail addresses (1)",
        "telephone numbers (1)",
        "Mask it",
        "columns={'note'",
    ):
        assert part in says
    assert check.metadata["personal"].value == {"note": {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1}}
    everything = "".join(str(event) for event in result.all_events)
    assert "jana" not in everything
    assert "901820" not in everything


def test_a_tag_admits_what_it_says_and_no_more(table: Callable[[list[str]], None]) -> None:
    table([*CLEAN, PLANTED])
    assert scan(_contract(TABLE, note=ColumnTag.BUSINESS_CONTACT)).clean
    for tag in (
        ColumnTag.MASKED_TEXT,
        ColumnTag.NAMES_OF_THINGS,
        ColumnTag.PLACES,
        ColumnTag.CODES,
    ):
        found = scan(_contract(TABLE, note=tag))
        assert "EMAIL_ADDRESS" in found.personal["note"], tag
        assert (
            f"tagged '{tag}', which does not admit that"
            in found.sentences(_contract(TABLE, note=tag))[0]
        )


def test_a_table_of_telephone_numbers_is_found_by_their_share(
    table: Callable[[list[str]], None],
) -> None:
    table(NUMBERS)
    assert set(scan(_contract(TABLE)).personal["note"]) == {"PHONE_NUMBER"}
    table([*CLEAN, NUMBERS[0]])
    assert scan(_contract(TABLE)).clean


def test_the_subject_column_is_not_scanned_and_a_view_is(
    table: Callable[[list[str]], None],
) -> None:
    table([*CLEAN, PLANTED])
    contract = AssetContract(
        key="shop/suppliers",
        owner="team:test",
        description="Notes.",
        category=Category.PSEUDONYMOUS,
        purposes=(Purpose.SERVICE,),
        legal_basis=LegalBasis.CONTRACT,
        retention=Retention(days=1),
        store=TABLE,
        subject="note",
        withhold=Withhold(at="read", within=timedelta(days=1)),
    )
    assert scan(contract).clean
    with connect(Role.INGEST) as connection:
        connection.execute("create view shop.supplier_notes as select note from shop.suppliers")
    try:
        view = PostgresStore(schema_name="shop", table="supplier_notes", is_view=True)
        assert not scan(_contract(view)).clean
    finally:
        with connect(Role.INGEST) as connection:
            connection.execute("drop view shop.supplier_notes")


@pytest.mark.parametrize(
    ("store", "plant"),
    [
        (RedisStream(key="sv:test"), lambda client: client.xadd("sv:test", {"note": PLANTED})),
        (RedisStore(pattern="sv:t:{{pseudonym}}"), lambda client: client.set("sv:t:{ab}", PLANTED)),
        (RedisStore(pattern="sv:t:{{pseudonym}}"), lambda client: client.rpush("sv:t:{ab}", PLANTED)),
        (
            FeastOnlineStore(project="shop", feature_view="v", entity="e"),
            lambda client: client.hset(b"\x02\x00\x08abshop", b"\x81\x9f", b"\x12\x3e" + PLANTED.encode()),
        ),
    ],
    ids=["stream", "string", "list", "feast"],
)  # fmt: skip
def test_what_redis_holds_is_scanned(
    redis_client: "redis.Redis", store: Store, plant: Callable[[Any], None]
) -> None:
    assert scan(_contract(store)).clean
    plant(redis_client)
    [found] = scan(_contract(store)).personal.values()
    assert found == {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1}


@pytest.fixture
def artefacts(settings: PlatformSettings) -> Iterator[Path]:
    """A folder of artefacts that is there as long as the test."""
    folder = settings.models_dir / "pii_test"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_what_an_artefact_holds_is_scanned(artefacts: Path, kind: str) -> None:
    contract = _contract(Artifacts(path=artefacts.name))
    assert scan(contract).clean
    if kind == "parquet":
        pl.DataFrame({"note": [*CLEAN, PLANTED], "score": 0.5}).write_parquet(
            artefacts / "a.parquet"
        )
    else:
        (artefacts / "manifest.json").write_text(json.dumps({"made": [{"note": PLANTED}], "n": 1}))
    assert scan(contract).personal == {"note": {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1}}


def test_a_large_table_is_read_in_part_from_all_over(table: Callable[[list[str]], None]) -> None:
    table(CLEAN)
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.suppliers (id, note) select n, case when n > 100000 then 'a' || n || '@b.test' end "
            "from generate_series(1, 120000) n"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("analyze shop.suppliers")
    found = scan(_contract(TABLE))
    assert found.values < 2 * 40_000
    assert set(found.personal) == {"note"}


def test_what_the_ingest_masks_and_keeps_passes(
    clean_platform: None, settings: PlatformSettings
) -> None:
    simulate(settings.shop_home, customers=300, weeks=6, products=80, until=date(2026, 3, 1))
    orchestration_settings.cache_clear()
    assert dg.materialize(ingest_assets).success
    orchestration_settings.cache_clear()
    scans = [scan(contract) for contract in CONTRACTS.values()]
    assert [found.asset for found in scans if not found.values] == []
    assert {found.asset: found.personal for found in scans if not found.clean} == {}
    shown = {name: preview(contract) for name, contract in CONTRACTS.items()}
    about_nobody = {
        name for name, contract in CONTRACTS.items() if contract.category is Category.NONE
    }
    assert {name for name, entry in shown.items() if entry} == about_nobody
    header, _, *rows = str(shown["products"]["preview"].value).splitlines()
    assert "| name |" in header
    assert len(rows) == 5


def test_a_missing_table_is_an_error_not_a_clean_scan() -> None:
    with pytest.raises(LookupError, match=r"no table shop\.suppliers"):
        scan(_contract(TABLE))
