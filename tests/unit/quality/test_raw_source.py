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


def test_refused_rows_are_counted_and_a_source_of_mostly_refused_rows_fails(tmp_path: Path) -> None:
    some = CUSTOMERS + "c99,old@example.org,299,2026-01-02 03:04:05\n"
    report = run_suites(str(_shop(tmp_path, customers=some)), tmp_path)
    assert report.success
    assert report.tables[0].quarantined == {"impossible_age": 1}

    most = CUSTOMERS.replace(",2026-01", ",1806-01")
    report = run_suites(str(_shop(tmp_path, customers=most)), tmp_path)
    assert not report.success
    assert "more than half of it is refused" in _printed(report)


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
