"""What the file connector makes of good, dirty and broken files."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.sources.connector import Batch, QuarantinedRow, SourceError, open_source
from orchestration.sources.files import FileSource
from orchestration.sources.mapping import SourceMapping
from orchestration.sources.model import TABLES

CUSTOMERS: dict[str, Any] = {
    "subject_id": "no",
    "email": "mail",
    "birth_date": {"from": "born", "format": "%d.%m.%Y"},
    "height_cm": {"from": "inches", "scale": 2.54, "null_if": ["-1"]},
    "preferred_sizes": {"from": "sizes", "split": "/"},
    "updated_at": "changed",
}
HEADER = "no,mail,born,inches,sizes,changed\n"
CLEAN = "7,a@example.com,03.04.1990,70,S/ M ,2024-01-02T10:00:00+02:00\n"


def _source(
    folder: Path, table: str, columns: dict[str, Any], file: str, **more: Any
) -> FileSource:
    mapping = {"name": "test_shop", "tables": {table: {"files": file, "columns": columns} | more}}
    return FileSource(SourceMapping.model_validate(mapping), folder)


def _customers(folder: Path, text: str, **more: Any) -> FileSource:
    (folder / "people.csv").write_text(text)
    return _source(folder, "customers", CUSTOMERS, "people.csv", **more)


def _read(
    source: FileSource, table: str, batch_rows: int = 50_000
) -> tuple[list[Any], list[QuarantinedRow]]:
    batches = list(source.read(table, batch_rows=batch_rows))
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    return rows, [row for batch in batches for row in batch.quarantined]


def _reasons(rows: list[QuarantinedRow]) -> dict[int, str]:
    return {row.row_number: row.reason for row in rows}


def test_a_row_arrives_in_the_canonical_schema(tmp_path: Path) -> None:
    [batch] = _customers(tmp_path, HEADER + CLEAN).read("customers")
    assert isinstance(batch, Batch)
    assert batch.rows.schema.equals(TABLES["customers"].schema)
    [row] = batch.rows.to_pylist()
    assert row["subject_id"] == "7"
    assert row["birth_date"] == date(1990, 4, 3)
    assert row["height_cm"] == pytest.approx(177.8)
    assert row["preferred_sizes"] == ["S", "M"]
    assert row["updated_at"] == datetime(2024, 1, 2, 8, 0, tzinfo=UTC)


def test_what_the_source_lacks_stays_null(tmp_path: Path) -> None:
    rows, _ = _read(_customers(tmp_path, HEADER + "7,,,-1,,2024-01-02\n"), "customers")
    assert {name for name, value in rows[0].items() if value is not None} == {
        "subject_id",
        "updated_at",
    }


def test_dirty_rows_are_quarantined_with_their_reason_and_the_others_pass(tmp_path: Path) -> None:
    text = HEADER + "".join(
        f"{row}\n"
        for row in (
            "1,x,03.04.1990,70,S,2024-01-02",
            "2,x,03.04.1890,70,S,2024-01-02",
            "3,x,03.04.2030,70,S,2024-01-02",
            "4,x,31.02.1990,70,S,2024-01-02",
            ",x,03.04.1990,70,S,2024-01-02",
            "6,x,03.04.1990,tall,S,2024-01-02",
            "7,x,03.04.1990,70,S,",
            "8,x,03.04.1990,7,S,2024-01-02",
            "1,x,03.04.1990,70,S,2024-01-02",
            "1,y,03.04.1990,70,S,2024-01-02",
            "9,x,03.04.1990,70,S,1970-01-01",
            f"10,x,03.04.1990,70,S,{datetime.now(UTC) + timedelta(days=400):%Y-%m-%d}",
        )
    )
    rows, refused = _read(_customers(tmp_path, text), "customers")
    assert [row["subject_id"] for row in rows] == ["1"]
    assert _reasons(refused) == {
        2: "impossible_age",
        3: "impossible_age",
        4: "unparsable:birth_date",
        5: "missing_customer",
        6: "unparsable:height_cm",
        7: "missing:updated_at",
        8: "impossible_height",
        9: "exact_duplicate",
        10: "repeated_key",
        11: "impossible_time",
        12: "time_in_future",
    }
    assert {(row.table, row.file_name) for row in refused} == {("customers", "people.csv")}


def test_a_clock_may_be_minutes_ahead_and_not_hours(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    text = HEADER + "".join(
        f"{number},x,03.04.1990,70,S,{now + ahead:%Y-%m-%d %H:%M:%S}\n"
        for number, ahead in enumerate((timedelta(minutes=4), timedelta(minutes=10)))
    )
    rows, refused = _read(_customers(tmp_path, text), "customers")
    assert [row["subject_id"] for row in rows] == ["0"]
    assert _reasons(refused) == {2: "time_in_future"}


def test_a_refused_row_does_not_make_a_later_clean_row_with_its_key_a_repetition(
    tmp_path: Path,
) -> None:
    text = HEADER + "7,x,03.04.1890,70,S,2024-01-02\n" + CLEAN
    rows, refused = _read(_customers(tmp_path, text), "customers")
    assert len(rows) == 1
    assert _reasons(refused) == {1: "impossible_age"}


def test_repetitions_are_found_over_batches_and_files_and_order_is_kept(tmp_path: Path) -> None:
    for part, keys in enumerate((range(5_000), range(4_990, 9_000))):
        at = [datetime(2024, 1, 1)] * len(keys)
        table = pa.table({"sku": [f"P{key}" for key in keys], "size": ["M"] * len(keys), "at": at})
        pq.write_table(table, tmp_path / f"stock-{part}.parquet")
    columns = {"product_id": "sku", "size": "size", "updated_at": "at"}
    source = _source(tmp_path, "inventory", columns, "stock-*.parquet")
    rows, refused = _read(source, "inventory", batch_rows=777)
    assert [row["product_id"] for row in rows] == [f"P{key}" for key in range(9_000)]
    assert {(row.file_name, row.row_number, row.reason) for row in refused} == {
        ("stock-1.parquet", number, "exact_duplicate") for number in range(1, 11)
    }
    assert all(batch.read_rows <= 777 for batch in source.read("inventory", batch_rows=777))


def test_folding_takes_the_latest_known_value_and_the_commonest_sizes(tmp_path: Path) -> None:
    rentals = [
        ("1", 30, "8", "2024-01-01"),
        ("1", 31, "8", "2024-03-01"),
        ("2", 140, "4", "2024-01-01"),
        ("1", None, "10", "2024-02-01"),
        ("3", None, "6", "2024-01-01"),
        ("1", None, "12", "2024-04-01"),
    ]
    lines = [",".join("" if value is None else str(value) for value in row) for row in rentals]
    (tmp_path / "rentals.csv").write_text("\n".join(["who,age,size,day", *lines]) + "\n")
    columns = {
        "subject_id": "who",
        "age": "age",
        "preferred_sizes": {"from": "size", "gather": "most_frequent"},
        "updated_at": "day",
    }
    source = _source(tmp_path, "customers", columns, "rentals.csv", fold=True)
    rows, refused = _read(source, "customers")
    assert [(row["subject_id"], row["age"], row["preferred_sizes"][0]) for row in rows] == [
        ("1", 31, "8"),
        ("3", None, "6"),
    ]
    assert rows[0]["updated_at"] == datetime(2024, 4, 1, tzinfo=UTC)
    assert _reasons(refused) == {3: "impossible_age"}
    assert sum(batch.read_rows for batch in source.read("customers")) == len(rentals)


def test_conditions_zones_values_and_row_numbers(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(
        "inv,who,code,what,n,when\n"
        "1,13085.0,a1,bought,2,2010-07-01 10:00\n"
        "C2,13085.0,a1,bought,-2,2010-07-01 10:00\n"
        "3,13085.0,a1,stole,1,2010-07-01 10:00\n"
        "4,13085.0,a2,bought,1,2010-07-01 10:00\n"
        "5,13085.0,a2,bought,1,2010-07-01 10:00\n"
    )
    columns = {
        "event_id": {"template": "{inv}-{#row}"},
        "subject_id": {"from": "who", "integer": True},
        "event_type": {"from": "what", "values": {"bought": "purchase"}},
        "product_id": {"from": "code", "case": "upper"},
        "event_timestamp": {"from": "when", "timezone": "Europe/London"},
    }
    only = [{"column": "inv", "not_matches": "^C"}, {"column": "n", "above": 0}]
    rows, refused = _read(
        _source(tmp_path, "interactions", columns, "sales.csv", only=only), "interactions"
    )
    assert [(row["event_id"], row["subject_id"], row["product_id"]) for row in rows] == [
        ("1-1", "13085", "A1"),
        ("4-4", "13085", "A2"),
        ("5-5", "13085", "A2"),
    ]
    assert rows[0]["event_timestamp"] == datetime(2010, 7, 1, 9, 0, tzinfo=UTC)
    assert _reasons(refused) == {3: "unparsable:event_type"}


def test_quoted_line_breaks_do_not_shift_row_numbers(tmp_path: Path) -> None:
    text = (
        HEADER
        + '7,"a\nb",03.04.1990,70,S,2024-01-02\n'
        + "8,x,03.04.1990,70,S,2024-01-02\n"
        + ",x,,70,S,2024-01-02\n"
    )
    rows, refused = _read(_customers(tmp_path, text), "customers")
    assert rows[0]["email"] == "a\nb"
    assert _reasons(refused) == {3: "missing_customer"}


def test_a_mapped_column_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"people.csv, row 0 \(header\): the column 'inches'.*customers"
    ):
        _customers(tmp_path, HEADER.replace("inches", "height") + CLEAN)


def test_a_column_that_is_unparsable_throughout_is_an_error_of_the_mapping(tmp_path: Path) -> None:
    text = HEADER + CLEAN.replace("03.04.1990", "1990-04-03") * 3
    with pytest.raises(
        SourceError, match=r"people.csv, row 1, column 'born': is no valid customers.birth_date"
    ):
        _read(_customers(tmp_path, text), "customers")


def test_a_dirty_row_that_ends_alone_in_the_last_batch_is_no_error_of_the_mapping(
    tmp_path: Path,
) -> None:
    rows = [CLEAN.replace("7,", f"{number},", 1) for number in range(4_095)]
    text = HEADER + "".join(rows) + CLEAN.replace("03.04.1990", "soon") * 2
    _, refused = _read(_customers(tmp_path, text), "customers", batch_rows=2_048)
    assert _reasons(refused) == {4_096: "unparsable:birth_date", 4_097: "unparsable:birth_date"}


def test_a_column_of_another_kind_is_an_error_of_the_mapping_too(tmp_path: Path) -> None:
    table = pa.table({"sku": [1, 2, 3], "at": [datetime(2024, 1, 1)] * 3, "no": [7, 8, 9]})
    pq.write_table(table, tmp_path / "stock.parquet")
    for updated, quantity, wrong in (("no", "no", "no"), ("at", "at", "at")):
        columns = {"product_id": "sku", "size": "sku", "quantity": quantity, "updated_at": updated}
        source = _source(tmp_path, "inventory", columns, "stock.parquet")
        with pytest.raises(SourceError, match=f"stock.parquet, row 1, column '{wrong}'"):
            _read(source, "inventory")


def test_a_broken_csv_row_is_named_by_its_line_and_never_quoted(tmp_path: Path) -> None:
    source = _customers(tmp_path, HEADER + CLEAN + "8,marker@example.com,x\n")
    with pytest.raises(SourceError, match=r"people.csv, line 3") as caught:
        _read(source, "customers")
    assert "marker" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_file_that_is_no_parquet_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "stock.parquet").write_text("marker")
    columns = {"product_id": "sku", "size": "size", "updated_at": "at"}
    with pytest.raises(SourceError, match=r"stock.parquet: cannot be read as parquet"):
        _source(tmp_path, "inventory", columns, "stock.parquet")


def test_names_and_values_of_a_mapping_are_never_sql(tmp_path: Path) -> None:
    evil = 'x" from y; drop table z; --'
    (tmp_path / "stock.csv").write_text('sku,"x"" from y; drop table z; --",at\nA,M,2024-01-01\n')
    columns = {
        "product_id": {"template": "{sku}'; drop table z; --"},
        "size": evil,
        "updated_at": "at",
    }
    rows, _ = _read(_source(tmp_path, "inventory", columns, "stock.csv"), "inventory")
    assert rows[0]["product_id"] == "A'; drop table z; --"
    assert rows[0]["size"] == "M"


def test_a_table_that_is_not_mapped_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no table 'orders'; it has customers"):
        next(_customers(tmp_path, HEADER + CLEAN).read("orders"))


def test_an_empty_file_with_a_header_yields_no_rows(tmp_path: Path) -> None:
    rows, refused = _read(_customers(tmp_path, HEADER), "customers")
    assert (rows, refused) == ([], [])


@pytest.mark.parametrize("name", ["renttherunway", "online_retail"])
def test_the_real_files_are_read_whole_and_nothing_is_lost(shared_data: Path, name: str) -> None:
    source = open_source(name, shared_data)
    for table in source.tables():
        accepted = read = 0
        reasons: Counter[str] = Counter()
        for batch in source.read(table):
            accepted += batch.rows.num_rows
            read += batch.read_rows
            reasons.update(row.reason for row in batch.quarantined)
        assert (accepted, dict(reasons)) == REAL[name][table]
        if table not in FOLDED[name]:
            assert accepted + reasons.total() == read


_TWICE = {"exact_duplicate": 148}
REAL: dict[str, dict[str, tuple[int, dict[str, int]]]] = {
    "renttherunway": {
        "customers": (89_470, {"impossible_age": 56}),
        "products": (4_083, {}),
        "orders": (153_885, _TWICE),
        "order_lines": (153_885, _TWICE),
        "interactions": (153_885, _TWICE),
        "feedback": (153_885, _TWICE),
    },
    "online_retail": {
        "customers": (4_383, {}),
        "products": (4_082, {}),
        "orders": (18_966, {"missing_customer": 106_574}),
        "order_lines": (
            399_596,
            {"quantity_not_positive": 2_119, "missing_customer": 104_455, "exact_duplicate": 6_743},
        ),
        "returns": (9_373, {"missing_customer": 187, "exact_duplicate": 22}),
        "interactions": (399_596, {"missing_customer": 104_455, "exact_duplicate": 6_743}),
    },
}
FOLDED = {
    "renttherunway": {"customers", "products"},
    "online_retail": {"customers", "products", "orders"},
}


def test_a_summer_invoice_of_the_british_shop_is_an_hour_earlier_in_utc(shared_data: Path) -> None:
    rows = next(iter(open_source("online_retail", shared_data).read("order_lines"))).rows
    raw = pq.read_table(
        next(shared_data.glob("online_retail_*.parquet")), columns=["Invoice", "InvoiceDate"]
    )
    first = {row["order_id"]: row["ordered_at"] for row in rows.to_pylist()}
    summer = next(
        row
        for row in raw.to_pylist()
        if row["InvoiceDate"].startswith("2010-0") and row["Invoice"] in first
    )
    local = datetime.fromisoformat(summer["InvoiceDate"]).replace(tzinfo=UTC)
    assert local - first[summer["Invoice"]] in (timedelta(0), timedelta(hours=1))
