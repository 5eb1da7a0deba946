"""One Spark session per process, and the way between it and the Delta lake without a jar.

Delta is read through the files of its newest snapshot and written through Arrow by delta-rs (`privacy.lake`). What Spark
itself puts on disk (shuffle, spills, cached blocks) is encrypted with a key of the session and lies in a folder of its
own, removed when the session stops; with that encryption on, PySpark also hands Arrow data to the JVM through a socket,
where it would otherwise write a temporary file.
"""

import atexit
import os
import shutil
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from privacy.lake import LakeError, open_table
from privacy.scratch import remove_scratch, scratch_folder
from privacy.settings import platform_settings

__all__ = ["SparkUnavailableError", "get_spark", "read_delta", "stop_spark", "to_table"]

_PURPOSE = "spark"
_UNREADABLE = "FAILED_READ_FILE"  # the class of Spark's errors about a file
_lock = threading.Lock()
_running: list[SparkSession] = []


class SparkUnavailableError(RuntimeError):
    """Spark cannot start; says what is missing and the command that installs it."""


class SparkSettings(BaseSettings):
    """Where Spark runs and what it may use."""

    model_config = SettingsConfigDict(env_prefix="SELVEDGE_SPARK_", extra="ignore")

    master: str = Field("local[*]", description="Spark master; local[*] runs inside this process")
    driver_memory: str = Field(
        "1g", description="Heap of the driver (in local mode, of all of Spark)"
    )
    shuffle_partitions: int = Field(4, ge=1, description="Partitions of a shuffle")


@cache
def spark_settings() -> SparkSettings:
    """The Spark settings of this process."""
    return SparkSettings()


def get_spark() -> SparkSession:
    """The session of this process, started at the first call; `stop_spark` or the process's end stops it.

    Raises SparkUnavailableError where Java is missing.
    """
    with _lock:
        if not _running:
            _running.append(_start())
            atexit.register(stop_spark)
        return _running[0]


def stop_spark() -> None:
    """Stop the session, end its JVM and remove its folder; does nothing where none runs."""
    with _lock:
        if not _running:
            return
        session = _running.pop()
        gateway = session.sparkContext._gateway
        session.stop()
        if gateway is not None and (process := getattr(gateway, "proc", None)):
            gateway.shutdown()
            process.stdin.close()
            process.wait(timeout=30)
        _forget_gateway()
        remove_scratch(_PURPOSE)
        atexit.unregister(stop_spark)


def read_delta(spark: SparkSession, path: str | Path) -> DataFrame:
    """The newest snapshot of the Delta table at `path` (relative to the lake's root), an empty one included.

    Raises LakeError where there is no such table. Flat tables and lists are read; deletion vectors are not.
    """
    table = open_table(path)
    schema = from_arrow_schema(pa.schema(table.schema().to_arrow()))
    files = table.file_uris()
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*files)


def to_table(df: DataFrame, schema: pa.Schema) -> pa.Table:
    """The rows of `df` as an Arrow table of exactly `schema` (columns by name), collected through memory.

    Raises LakeError, naming the file, where one that Spark reads is damaged, gone or of another schema.
    """
    try:
        return df.select(*schema.names).toArrow().cast(schema)
    except Py4JJavaError as error:
        file = _unreadable_file(error)
        if file is None:
            raise
        raise LakeError(
            f"{file} cannot be read: it is damaged, gone, or its columns are of other types than the table's. Put the table back "
            "from a backup (docs/runbooks/restore.md), or ingest it again; what was made of it before stands unchanged."
        ) from error


def _unreadable_file(error: Py4JJavaError) -> str | None:
    """The file of the lake, relative to its root, that an error of Spark is about; None where it is about none."""
    cause = error.java_exception
    while cause is not None:
        if _is_spark(cause) and str(cause.getCondition()).startswith(_UNREADABLE):
            path = unquote(urlsplit(str(cause.getMessageParameters().get("path"))).path)
            root = str(platform_settings().lake_dir)
            return f"lake{path.removeprefix(root)}" if path.startswith(root) else path
        cause = cause.getCause()
    return None


def _is_spark(cause: Any) -> bool:
    return str(cause.getClass().getName()).startswith("org.apache.spark.Spark")


def _start() -> SparkSession:
    _find_java()
    folder = scratch_folder(_PURPOSE)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName("selvedge")
    for name, value in _configuration(folder).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _configuration(folder: Path) -> dict[str, str]:
    settings = spark_settings()
    return {
        "spark.master": settings.master,
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.maxResultSize": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder} -XX:-UsePerfData",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.io.encryption.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # Rows partitioned by subject are joined by subject and time without another shuffle.
        "spark.sql.requireAllClusterKeysForCoPartition": "false",
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    }


def _find_java() -> None:
    """Leave JAVA_HOME as Spark needs it: where it names no Java, the one on PATH is used."""
    home = os.environ.get("JAVA_HOME")
    if home and os.access(Path(home) / "bin" / "java", os.X_OK):
        return
    if shutil.which("java") is None:
        raise SparkUnavailableError(
            "Spark needs Java 17 or newer and found none in JAVA_HOME or PATH; "
            "install it (Debian: apt-get install openjdk-17-jre-headless)."
        )
    os.environ.pop("JAVA_HOME", None)


def _forget_gateway() -> None:
    """Let the next session start a JVM of its own: PySpark keeps the last one in class attributes."""
    from pyspark import SparkContext

    SparkContext._gateway = None
    SparkContext._jvm = None
