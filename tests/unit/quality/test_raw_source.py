"""A raw source is judged before it is ingested, and the report holds counts, never a value."""

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from orchestration.quality.expectations import Inquiry
from orchestration.quality.report import QualityReport
from orchestration.quality.rules import Stage, rules_of
from orchestration.quality.run import run_suites
from orchestration.sources.model import TABLES

MAPPING = """
name: my_shop
tables:
  customers:
    files: customers.csv
    columns: {subject_id: number, email: mail, age: age, updated_at: changed}
  products:
    files: products.csv
    columns: {product_id: sku, name: name, price: price, currency: currency, sustainability_rating: eco, updated_at: changed}
"""
CUSTOMERS = "number,mail,age,changed\n" + "".join(
    f"c{n},someone{n}@example.org,{20 + n % 50},2026-01-02 03:04:05\n" for n in range(20)
)
PRODUCTS = "sku,name,price,currency,eco,changed\n" + "".join(
    f"p{n},Dress {n},{n}.5,EUR,4,2026-01-02 03:04:05\n" for n in range(10)
)


def _shop(folder: Path, customers: str = CUSTOMERS, products: str = PRODUCTS) -> Path:
    (folder / "customers.csv").write_text(customers)
    (folder / "products.csv").write_text(products)
    mapping = folder / "my_shop.yaml"
    mapping.write_text(MAPPING)
    return mapping


def _printed(report: QualityReport) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(report.table())
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


def test_good_data_passes(tmp_path: Path) -> None:
    report = run_suites(str(_shop(tmp_path)), tmp_path)
    assert report.success, _printed(report)
    assert {table.name: table.rows for table in report.tables} == {"customers": 20, "products": 10}


def test_bad_data_fails_with_counts_and_without_values(tmp_path: Path) -> None:
    bad = PRODUCTS + "p77,Bad dress,5,euro,44.25,2026-01-02 03:04:05\n"
    report = run_suites(str(_shop(tmp_path, products=bad)), tmp_path)
    assert not report.success
    printed = _printed(report)
    assert "sustainability_rating lies from 0 to 5: 1 of 11 break it" in printed
    assert "currency is an ISO 4217 code: 1 of 11 break it" in printed
    assert "44.25" not in printed + repr(report)
    assert "euro" not in printed + repr(report)


def _impossible_ages(share: float) -> str:
    """100 customers, of which the connector refuses `share`."""
    ages = [299 if n < 100 * share else 30 for n in range(100)]
    rows = (f"c{n},a{n}@example.org,{age},2026-01-02 03:04:05" for n, age in enumerate(ages))
    return "\n".join(["number,mail,age,changed", *rows]) + "\n"


def test_a_few_refused_rows_pass_and_are_shown_with_their_share(tmp_path: Path) -> None:
    report = run_suites(str(_shop(tmp_path, customers=_impossible_ages(0.05))), tmp_path)
    assert report.success
    customers = report.tables[0]
    assert (customers.read, customers.rows) == (100, 95)
    assert customers.quarantined == {"impossible_age": 5}
    assert "5 (5 %)" in _printed(report)
    assert "impossible_age 5" in _printed(report)


def test_a_table_with_too_many_refused_rows_fails_though_no_rule_sees_them(tmp_path: Path) -> None:
    shop = str(_shop(tmp_path, customers=_impossible_ages(0.45)))
    report = run_suites(shop, tmp_path)
    customers, products = report.tables
    assert not report.success
    assert not customers.success
    assert not customers.broken
    assert customers.severity == "critical"
    assert products.success
    assert "quarantined 45 %, limit 5 %" in _printed(report)

    assert run_suites(shop, tmp_path, max_quarantined=0.45).success
    assert not run_suites(shop, tmp_path, max_quarantined=0.44).success


def test_negative_quantities_fail_the_table(tmp_path: Path) -> None:
    quantities = [-5 if n < 45 else 3 for n in range(100)]
    rows = (f"p{n},M,{quantity},2026-01-02 03:04:05" for n, quantity in enumerate(quantities))
    (tmp_path / "stock.csv").write_text("\n".join(["sku,size,stock,changed", *rows]) + "\n")
    mapping = tmp_path / "stock.yaml"
    mapping.write_text(
        "name: stock\ntables:\n  inventory:\n    files: stock.csv\n"
        "    columns: {product_id: sku, size: size, quantity: stock, updated_at: changed}\n"
    )
    report = run_suites(str(mapping), tmp_path)
    assert report.tables[0].quarantined.total() == 45
    assert not report.success


def test_a_mapped_table_without_rows_fails_beside_a_full_one(tmp_path: Path) -> None:
    header = CUSTOMERS.partition("\n")[0] + "\n"
    report = run_suites(str(_shop(tmp_path, customers=header)), tmp_path)
    assert not report.success
    assert [table.faults for table in report.tables] == [["no rows"], []]
    assert "no rows" in _printed(report)


@pytest.mark.parametrize("limit", [-0.1, 5, float("nan")])
def test_a_limit_that_is_no_share_is_refused(tmp_path: Path, limit: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        run_suites(str(_shop(tmp_path)), tmp_path, max_quarantined=limit)


def test_unknown_values_break_nothing_but_a_rule_that_asks_for_them(tmp_path: Path) -> None:
    unknown = "sku,name,price,currency,eco,changed\np1,Dress,,,,2026-01-02 03:04:05\n"
    report = run_suites(str(_shop(tmp_path, products=unknown)), tmp_path)
    assert report.success, _printed(report)


def test_a_path_without_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--source"):
        run_suites(None, tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_rules_and_none_names_a_raw_identifier_where_it_is_stored(
    table: str,
) -> None:
    stored = {rule.column for rule in rules_of(table, Stage.STORED)}
    assert len(stored) > 2
    assert not stored & {
        "subject_id",
        "session_id",
        "name_of_customer",
        "email",
        "phone",
        "birth_date",
        "text",
    }
    assert {rule.column for rule in rules_of(table, Stage.RAW)} <= set(TABLES[table].columns)


def test_a_rule_that_cannot_be_asked_is_broken_and_says_so() -> None:
    inquiry = Inquiry(rules_of("inventory", Stage.RAW), ("product_id", "size"))
    inquiry.ask(pd.DataFrame({"product_id": ["p", "p"], "size": ["S", "S"], "quantity": [1, 2]}))
    broken = {result.column: result for result in inquiry.results() if not result.held}
    assert broken["updated_at"].error
    assert broken["product_id, size"].broken == 2
