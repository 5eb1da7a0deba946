"""What a column must not hold is told from what only looks like it; the real catalogues and the simulated one are clean."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from orchestration.sources.connector import open_source
from orchestration.sources.model import TABLES, Handling
from orchestration.sources.simulator import simulate
from privacy.contracts import ColumnTag, DeltaStore, no_personal_data
from privacy.pii import Detector
from privacy.pii.columns import judge

FILLING = [f"Organic cotton shirt number {number}" for number in range(40)]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(model=False)


@pytest.mark.parametrize(
    ("value", "entity"),
    [
        ("ask anna@shop.test", "EMAIL_ADDRESS"),
        ("to DE89 3704 0044 0532 0130 00", "IBAN_CODE"),
        ("fr7630006000011234567890189", "IBAN_CODE"),
        ("card 4111 1111 1111 1111", "CREDIT_CARD"),
        ("card 3782-822463-10005", "CREDIT_CARD"),
        ("ring +44 20 7946 0958", "PHONE_NUMBER"),
        ("mein Name ist Petra", "PERSON"),
    ],
)
def test_what_proves_itself_counts_at_once(detector: Detector, value: str, entity: str) -> None:
    assert judge([*FILLING, value], None, detector) == {entity: 1}


@pytest.mark.parametrize(
    ("value", "entity"),
    [
        ("192.168.{n}.10", "IP_ADDRESS"),
        ("030 90{n:02d}1820", "PHONE_NUMBER"),
        ("Lindenstraße {n}", "STREET_ADDRESS"),
        ("Sabine Beispiel{n}", "PERSON"),
    ],
)
def test_what_only_looks_personal_counts_by_its_share(
    detector: Detector, value: str, entity: str
) -> None:
    values = [
        value.format(n=number)
        .replace("Beispiel", "Beispiel" + "abcdefghij"[number % 10])
        .rstrip("0123456789")
        if entity == "PERSON"
        else value.format(n=number)
        for number in range(1, 21)
    ]
    assert set(judge(values, None, detector)) == {entity}
    assert judge([*FILLING, values[0]], None, detector) == {}


@pytest.mark.parametrize(
    "value",
    [
        "DE89 3704 0044 0532 0130 01", "4111 1111 1111 1112", "+49 1", "@home", "5901234123457", "1.2.3.4 update",
        "7f3e9c21bb8f3a9cdee54c1a2b3c4d5e", "2026-04-07", "34-26-36", "<EMAIL_ADDRESS>", "Rose Gold", "Levi's Jeans", "", "Size 8",
    ],
)  # fmt: skip
def test_what_is_none_of_it_is_left_alone(detector: Detector, value: str) -> None:
    assert judge([value] * 5 + FILLING, None, detector) == {}


def test_two_thousand_hashes_hold_nothing(detector: Detector) -> None:
    from hashlib import sha256

    assert judge([sha256(b"%d" % n).hexdigest()[:32] for n in range(2_000)], None, detector) == {}


def test_a_personal_column_needs_a_category_that_says_so() -> None:
    with pytest.raises(ValidationError, match=r"lake/x tags note as personal.*mask the column"):
        no_personal_data(
            "lake/x",
            owner="team:test",
            description="x",
            reason="x",
            store=DeltaStore(path="x"),
            columns={"note": ColumnTag.PERSONAL},
        )


def _found(source: str, folder: Path, detector: Detector) -> tuple[int, dict[str, dict[str, int]]]:
    """Columns looked at and what was found, of the columns that are stored as they are."""
    looked, found = 0, {}
    opened = open_source(source, folder)
    for name in opened.tables():
        table = TABLES[name]
        batch = next(iter(opened.read(name)), None)
        if batch is None:
            continue
        for column in table.handled(Handling.KEEP):
            values = pl.Series(batch.rows.column(column))
            values = values.explode() if values.dtype == pl.List else values
            if values.dtype == pl.String and values.drop_nulls().len():
                looked += 1
                if personal := judge(values.to_list(), None, detector):
                    found[f"{name}.{column}"] = personal
    return looked, found


def test_nothing_is_found_in_the_simulated_catalogue(tmp_path: Path, detector: Detector) -> None:
    simulate(tmp_path, customers=200, seed=11, weeks=4, until=date(2026, 3, 1))
    looked, found = _found("simulator", tmp_path, detector)
    assert looked > 10
    assert found == {}


@pytest.mark.parametrize("source", ["renttherunway", "online_retail"])
def test_nothing_is_found_in_the_real_catalogues(
    source: str, shared_data: Path, detector: Detector
) -> None:
    looked, found = _found(source, shared_data, detector)
    assert looked > 3
    assert found == {}
