"""What the benchmark of the KPIs computes by itself, on rows whose figures can be counted by hand."""

import pandas as pd
import pytest

from tests.benchmarks._kpis import differing, of_the_file


def _rows(changes: list[dict[str, object]]) -> pd.DataFrame:
    sold = {
        "Invoice": "500001",
        "StockCode": "10001",
        "Quantity": 2,
        "InvoiceDate": "2010-06-01 10:00:00",
        "Price": 1.005,
        "Customer ID": 1.0,
    }
    return pd.DataFrame([sold | change for change in changes])


def _ten() -> list[dict[str, object]]:
    return [{"Invoice": f"5{number:05}", "Customer ID": float(number)} for number in range(10)]


def test_what_was_sold_to_ten_is_counted_and_nothing_else() -> None:
    other: list[dict[str, object]] = [
        {"Invoice": "C500001"},
        {"Invoice": "A500001"},
        {"StockCode": "POST"},
        {"Customer ID": None},
        {"Quantity": -1},
        {"Price": -1.0},
        {"Invoice": "500000", "Customer ID": 0.0},  # the same row again
    ]
    [day] = of_the_file(_rows(_ten() + other)).to_dict("records")
    assert day == pytest.approx(
        {"revenue": 20.1, "orders": 10, "items": 20, "average_order_value": 2.01}
    )


def test_days_are_those_of_utc_and_of_nine_customers_nothing_is_told() -> None:
    late = [row | {"InvoiceDate": "2010-06-01 00:30:00"} for row in _ten()[:9]]
    days = of_the_file(_rows(_ten() + late))
    assert [str(day) for day in days.index] == ["2010-05-31", "2010-06-01"]
    assert days["revenue"].isna().tolist() == [True, False]


def test_a_cent_is_a_difference_and_so_is_a_day_that_one_side_lacks() -> None:
    days = of_the_file(_rows(_ten()))
    assert differing(days, days) == 0
    assert differing(days.assign(average_order_value=days["average_order_value"] + 0.01), days) == 1
    assert differing(days.assign(revenue=days["revenue"] + 0.009), days) == 0
    assert differing(days.assign(revenue=days["revenue"] + 0.01), days) == 2
    assert differing(days.iloc[:0], days) == 5
