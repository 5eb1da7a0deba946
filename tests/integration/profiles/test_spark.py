"""Spark reads the lake without a jar and leaves no pseudonym in its own folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import from_arrow_schema

from orchestration.spark import SparkUnavailableError, _find_java, read_delta, to_table
from privacy import lake
from privacy.lake import LakeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("servers")
MARKER = "feedface" * 4
ROWS = pa.table(
    {
        "pseudonym": pa.array([MARKER, None]),
        "sizes": pa.array([["S", "M"], None], pa.list_(pa.string())),
        "event_timestamp": pa.array([1, 1_700_000_000_123_456], pa.timestamp("us", "UTC")),
    }
)
FILLS_SPARKS_FOLDER = """
import sys
import pyarrow as pa
from orchestration.spark import get_spark, stop_spark, to_table
from privacy.scratch import scratch_folder
rows = pa.table({"pseudonym": [sys.argv[1]] * 50_000, "number": list(range(50_000))})
frame = get_spark().createDataFrame(rows)
assert to_table(frame.repartition(3, "number"), rows.schema).num_rows == 50_000
files = [path for path in scratch_folder("spark").rglob("*") if path.is_file()]
assert any(path.name.endswith(".data") for path in files), "nothing was shuffled"
assert not any(sys.argv[1].encode() in path.read_bytes() for path in files)
stop_spark()
"""


def test_a_delta_table_comes_back_as_it_was_written(spark: "SparkSession") -> None:
    lake.replace("try_spark", ROWS)
    rows = to_table(read_delta(spark, "try_spark").orderBy("event_timestamp"), ROWS.schema)
    assert rows.equals(ROWS)


def test_an_empty_delta_table_has_its_columns(spark: "SparkSession") -> None:
    lake.create_or_open("try_spark_empty", ROWS.schema)
    rows = to_table(read_delta(spark, "try_spark_empty"), ROWS.schema)
    assert rows.num_rows == 0
    assert rows.schema == ROWS.schema


def test_a_missing_table_is_named(spark: "SparkSession") -> None:
    with pytest.raises(LakeError, match="No Delta table 'try_missing'"):
        read_delta(spark, "try_missing")


def test_nothing_readable_is_written_while_spark_runs_and_nothing_is_left_after(
    tmp_path: Path,
) -> None:
    environment = {**os.environ, "SELVEDGE_HOME": str(tmp_path / "home")}
    subprocess.run(
        [sys.executable, "-c", FILLS_SPARKS_FOLDER, MARKER],
        env=environment,
        check=True,
        timeout=120,
    )
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_without_java_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SparkUnavailableError, match="apt-get install openjdk-17"):
        _find_java()


def test_a_java_home_without_java_gives_way_to_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java = tmp_path / "java"
    java.write_text("")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    _find_java()
    assert "JAVA_HOME" not in os.environ


@pytest.fixture
def own_table() -> Iterator[str]:
    """A table that goes with the test: nothing that is searched may find a damaged file."""
    yield "test_spark"
    shutil.rmtree(lake.table_path("test_spark"))


@pytest.mark.parametrize("content", [b"PAR1 no parquet at all PAR1", None], ids=["damaged", "gone"])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(
    spark: "SparkSession", own_table: str, content: bytes | None
) -> None:
    lake.replace(own_table, ROWS)
    (file,) = [Path(urlsplit(uri).path) for uri in lake.open_table(own_table).file_uris()]
    rows = read_delta(spark, own_table)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(LakeError, match=rf"lake/{own_table}/{file.name} cannot be read.*backup"):
        to_table(rows.filter("sizes is not null"), ROWS.schema)


def test_a_column_of_another_type_is_named_and_one_that_came_later_is_null(
    spark: "SparkSession", own_table: str
) -> None:
    lake.replace(own_table, ROWS.select(["pseudonym"]))
    schema = pa.schema([("pseudonym", pa.string()), ("later", pa.float64())])
    files = lake.open_table(own_table).file_uris()
    grown = spark.read.schema(from_arrow_schema(schema)).parquet(*files)
    assert to_table(grown, schema)["later"].null_count == ROWS.num_rows
    other = pa.schema([("pseudonym", pa.int64())])
    with pytest.raises(LakeError, match="of other types"):
        to_table(spark.read.schema(from_arrow_schema(other)).parquet(*files), other)
