"""The same profile code on a Spark cluster: a master and two workers in processes of their own give what one process gives."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyspark
import pytest

from privacy import lake
from privacy.settings import PlatformSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NEWEST = datetime(2026, 6, 1, 12, tzinfo=UTC)
TABLE = "clustered_interactions"
PEOPLE, PRODUCTS = 30, 5
WORKERS = 2
START = 60  # seconds that a cluster may take to come up

# Run in a process of its own: a session of a cluster and the run's local one cannot share a process.
ON_THE_CLUSTER = """
import json, sys
from tests.integration.profiles.test_spark_cluster import computed
from orchestration.spark import get_spark, stop_spark
spark = get_spark()
cores = spark.sparkContext.defaultParallelism
print(json.dumps({"master": spark.sparkContext.master, "cores": cores, "computed": computed(spark)}))
stop_spark()
"""


def computed(spark: "SparkSession") -> dict[str, list[str]]:
    """Sessions, popularity and the matrix of the table, each as its rows in order."""
    from orchestration.defs.profiles import interaction_matrix, product_popularity, sessions
    from orchestration.defs.profiles.snapshots import data_clock
    from orchestration.spark import read_delta, to_table

    events = read_delta(spark, TABLE)
    clock = data_clock(events)
    made = {
        "sessions": to_table(sessions.sessions(events), sessions.SCHEMA),
        "popularity": to_table(
            product_popularity.product_popularity(events, clock), product_popularity.SCHEMA
        ).drop_columns("created"),
        "matrix": to_table(
            interaction_matrix.interaction_matrix(events, clock), interaction_matrix.SCHEMA
        ),
    }
    spark.catalog.clearCache()
    return {name: sorted(map(_told, rows.to_pylist())) for name, rows in made.items()}


def _told(row: dict[str, Any]) -> str:
    """A row as text; a sum of floating-point numbers depends in its last digits on their order, which is the cluster's."""
    return str({name: f"{value:.12g}" if isinstance(value, float) else value for name, value in row.items()})  # fmt: skip


@pytest.fixture
def interactions(servers: PlatformSettings) -> Iterator[None]:
    from orchestration.ingest.interactions import SCHEMA

    rows = [
        {
            "pseudonym": f"{person:032x}",
            "event_type": kind,
            "product_id": f"P{(person + step) % PRODUCTS}",
            "dwell_seconds": 2.5 if kind == "page_view" else None,
            "event_timestamp": NEWEST - timedelta(days=step * 3, minutes=person),
            "source": "test",
            "source_key": f"{person}-{step}-{kind}",
        }
        for person in range(PEOPLE)
        for step in range(8)
        for kind in ("page_view", "add_to_cart", "purchase")[: 1 + (person + step) % 3]
    ]
    lake.replace(TABLE, pa.Table.from_pylist(rows, schema=SCHEMA))
    yield
    shutil.rmtree(lake.table_path(TABLE))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Address of a master with two workers of one core each, stopped after the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master, log = f"spark://127.0.0.1:{port}", tmp_path / "master.log"
    environment = {**os.environ, "SPARK_HOME": pyspark.__path__[0], "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}  # fmt: skip
    run = [str(Path(pyspark.__path__[0]) / "bin" / "spark-class")]
    place = ["--host", "127.0.0.1", "--webui-port", "0"]
    commands = [["org.apache.spark.deploy.master.Master", *place, "--port", str(port)]]
    commands += [
        ["org.apache.spark.deploy.worker.Worker", *place, "--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / f"worker{number}"), master]
        for number in range(WORKERS)
    ]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("wb") as written:
            for command in commands:
                process = subprocess.Popen(
                    [*run, *command], env=environment, stdout=written, stderr=written
                )
                started.append(process)
        _wait_for_workers(log)
        yield master
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def _wait_for_workers(log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if log.read_text(errors="replace").count("Registering worker") >= WORKERS:
            return
        time.sleep(0.2)
    pytest.fail(
        f"no {WORKERS} workers within {START} s:\n{log.read_text(errors='replace')[-3000:]}"
    )


@pytest.mark.usefixtures("interactions")
def test_a_cluster_computes_what_one_process_computes(
    spark: "SparkSession", cluster: str, servers: PlatformSettings
) -> None:
    environment = {
        **os.environ,
        "SELVEDGE_HOME": str(servers.home),
        "SELVEDGE_SPARK_MASTER": cluster,
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_CLUSTER],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["master"] == cluster
    assert answer["cores"] == WORKERS
    expected = computed(spark)
    assert all(expected.values())
    assert answer["computed"] == expected
