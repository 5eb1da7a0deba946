"""A mapping is checked before a row is read, and its errors say where to look."""

from pathlib import Path

import pytest

from orchestration.sources.connector import MappingError, SourceError, open_source
from orchestration.sources.mapping import load_mapping, shipped_mappings

GOOD = """\
name: my_shop
tables:
  inventory:
    files: stock.csv
    columns:
      product_id: sku
      size: size
      quantity: {from: count}
      updated_at: counted
"""


def _mapping_file(folder: Path, text: str) -> Path:
    file = folder / "my_shop.yaml"
    file.write_text(text)
    return file


def test_every_shipped_mapping_is_valid() -> None:
    assert set(shipped_mappings()) == {"simulator", "renttherunway", "online_retail"}
    for name, file in shipped_mappings().items():
        assert load_mapping(file).name == name


def test_only_the_simulator_declares_consents() -> None:
    declaring = {n for n, f in shipped_mappings().items() if "consents" in load_mapping(f).tables}
    assert declaring == {"simulator"}


@pytest.mark.parametrize(
    ("old", "new", "line", "place", "words"),
    [
        ("{from: count}", "{form: count}", 8, "tables.inventory.columns.quantity.form", "Extra"),
        ("quantity:", "quantitty:", 8, "tables.inventory.columns.quantitty", "no such column"),
        ("  inventory:", "  stock:", 3, "tables.stock", "no canonical table"),
        (
            "      updated_at: counted\n",
            "",
            5,
            "tables.inventory.columns",
            "updated_at is not mapped",
        ),
        ("stock.csv", "../stock.csv", 4, "tables.inventory.files", "inside the source's folder"),
        ("stock.csv", "stock.xlsx", 4, "tables.inventory.files", ".csv or .parquet"),
        (
            "{from: count}",
            "{from: count, constant: 3}",
            8,
            "tables.inventory.columns.quantity",
            "exactly one",
        ),
        ("{from: count}", "{from: count, timezone: Mars}", 8, "quantity.timezone", "no time zone"),
    ],
)
def test_an_error_names_the_mapping_file_its_line_and_its_path(
    tmp_path: Path, old: str, new: str, line: int, place: str, words: str
) -> None:
    file = _mapping_file(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(MappingError) as caught:
        load_mapping(file)
    message = str(caught.value)
    assert message.startswith(f"my_shop.yaml, line {line}, ")
    assert place in message
    assert words in message


def test_broken_yaml_is_reported_with_its_line(tmp_path: Path) -> None:
    file = _mapping_file(tmp_path, GOOD + "  - : {\n")
    with pytest.raises(MappingError, match=r"my_shop.yaml, line \d+: no valid YAML"):
        load_mapping(file)


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MappingError, match="line 1, the whole file"):
        load_mapping(_mapping_file(tmp_path, text))


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(SourceError, match="online_retail, renttherunway, simulator"):
        open_source("rent_the_runway", None)


def test_a_shipped_mapping_of_real_files_asks_for_their_folder() -> None:
    with pytest.raises(SourceError, match="--path"):
        open_source("renttherunway", None)


def test_a_source_without_its_files_says_which_one_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no file renttherunway_\*.parquet in .* for the table customers"
    ):
        open_source("renttherunway", tmp_path)


def test_a_mapping_of_ones_own_is_read_beside_its_files(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("sku,size,count,counted\nA,M,3,2024-02-01 10:00:00\n")
    source = open_source(str(_mapping_file(tmp_path, GOOD)))
    [batch] = source.read("inventory")
    assert batch.rows.num_rows == 1
    assert source.name == "my_shop"
    assert not source.declares_consent
