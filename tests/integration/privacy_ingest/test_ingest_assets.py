from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from orchestration.contracted import contracts_of
from orchestration.defs.ingest.assets import ingest_assets
from orchestration.defs.ingest.contracts import COLUMNS, CONTRACTS
from orchestration.settings import orchestration_settings
from orchestration.sources.simulator import simulate
from privacy.contracts import PostgresStore
from privacy.database import Role, connect
from privacy.settings import PlatformSettings

pytestmark = pytest.mark.usefixtures("clean_platform")


@pytest.fixture
def simulated_shop(settings: PlatformSettings) -> Iterator[None]:
    simulate(settings.shop_home, customers=100, weeks=4, products=50, until=date(2026, 3, 1))
    orchestration_settings.cache_clear()
    yield
    orchestration_settings.cache_clear()


def test_every_ingest_asset_materialises_with_its_counts(simulated_shop: None) -> None:
    result = dg.materialize(ingest_assets)
    assert result.success
    for key in (contract.key for contract in CONTRACTS.values()):
        [event] = result.asset_materializations_for_node(key.replace("/", "__"))
        counts = {name: value.value for name, value in event.metadata.items()}
        assert set(counts) == {
            "dagster/column_lineage",
            "dagster/row_count", "source", "read", "written", "unchanged", "quarantined", "tombstoned", "contested identifiers",
            "withheld", "overdue", "streamed",
        }  # fmt: skip
        assert counts["dagster/row_count"] == counts["written"] > 0, key
        assert counts["read"] == counts["written"] + counts["quarantined"] + counts["overdue"]


def test_every_ingest_asset_has_a_contract_a_group_and_an_owner() -> None:
    definitions = dg.Definitions(assets=ingest_assets)
    assert {contract.key for contract in contracts_of(definitions)} == {
        "shop/customers", "shop/products", "shop/inventory", "shop/orders", "shop/order_lines",
        "shop/returns", "shop/quiz_answers", "shop/feedback", "lake/interactions", "consent/records",
    }  # fmt: skip
    for spec in definitions.resolve_all_asset_specs():
        assert spec.group_name == "ingest"
        assert spec.owners
        assert spec.kinds


def test_the_columns_shown_are_the_columns_of_the_tables() -> None:
    for name, contract in CONTRACTS.items():
        if not isinstance(contract.store, PostgresStore):
            continue
        with connect(Role.PRIVACY) as connection:
            columns = connection.execute(
                "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
                [contract.store.schema_name, contract.store.table],
            ).fetchall()
        assert {column for (column,) in columns} == set(COLUMNS[name])
