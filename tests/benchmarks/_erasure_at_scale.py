"""How long the erasure of many subjects takes on a large lake: requests received, every store erased, searched and certified.

It runs in a process and on a platform of its own (`erasure_at_scale`), so that nothing else is in the way:

python -m tests.benchmarks._erasure_at_scale --subjects 1000 --events 5000000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

__all__ = ["erasure_at_scale"]

_CHUNK = 500_000
_HEX = 32


def erasure_at_scale(subjects: int = 1_000, events: int = 5_000_000) -> dict[str, Any]:
    """Seconds of each part, and whether every request was completed and certified; measured in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="selvedge-bench-") as home:
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("SELVEDGE_")
            },
            "SELVEDGE_ENVIRONMENT": "test",
            "SELVEDGE_HOME": home,
        }
        command = [
            sys.executable,
            "-m",
            __name__,
            "--subjects",
            str(subjects),
            "--events",
            str(events),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the erasure benchmark failed:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(subjects: int, events: int) -> dict[str, Any]:
    from orchestration.contracted import contracts_of
    from orchestration.definitions import defs
    from orchestration.servers.postgres import migrate, start_postgres
    from orchestration.servers.process import stop
    from orchestration.servers.redis import start_redis
    from privacy import registry
    from privacy.settings import platform_settings

    settings = platform_settings()
    start_postgres(settings)
    start_redis(settings)
    try:
        migrate()
        registry.publish(contracts_of(defs))
        pseudonyms = _timed("fill", lambda: _fill(subjects, events))
        return _erase(pseudonyms[:subjects])
    finally:
        stop(settings, "redis")
        stop(settings, "postgres")


def _timed(what: str, work: Callable[[], Any]) -> Any:
    began = time.monotonic()
    result = work()
    sys.stderr.write(f"{what}: {time.monotonic() - began:.1f} s\n")
    return result


def _erase(pseudonyms: list[str]) -> dict[str, Any]:
    from privacy import requests
    from privacy.requests import RequestStatus

    began = time.monotonic()
    requests.submit_erasures(pseudonyms, "benchmark")
    received = time.monotonic()
    done = requests.process_open(limit=len(pseudonyms))
    ended = time.monotonic()
    open_ones = [request for request in done if request.status is not RequestStatus.COMPLETED]
    return {
        "subjects": len(pseudonyms),
        "completed": len(done) - len(open_ones),
        "certified": _certified(),
        "unfinished": list(open_ones[0].unfinished) if open_ones else [],
        "online_seconds": received - began,
        "whole_seconds": ended - began,
        "steps": _seconds_per_step(),
    }


def _certified() -> int:
    """Certificates that hold, checked as anybody checks them: with the public key alone."""
    from privacy import certificates, requests, signing

    public = signing.public_key_pem()
    issued = [certificates.get(request.request_id) for request in requests.listed(open_only=False)]
    return sum(certificates.check(each, public).assets > 0 for each in issued)


def _seconds_per_step() -> dict[str, float]:
    """Seconds between a step's end and the one before, the longest first."""
    from privacy.database import Role, connect

    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select asset_key || ' ' || step, extract(epoch from max(updated)) from requests.steps "
            "where step <> 'online' group by 1 order by 2"
        ).fetchall()
    times = [(name, float(at)) for name, at in rows]
    took = {name: at - before for (_, before), (name, at) in pairwise(times)}
    return {name: round(took[name], 2) for name in sorted(took, key=lambda name: -took[name])[:15]}


def _fill(subjects: int, events: int) -> list[str]:
    """Ten customers for each that is erased, with orders, and events of all of them; returns their pseudonyms."""
    from privacy.vault import CUSTOMER_NUMBER, Vault

    numbers = [f"C-{number:08d}" for number in range(subjects * 10)]
    pseudonyms = [name for name in Vault().resolve(CUSTOMER_NUMBER, numbers, create=True) if name]
    _fill_shop(pseudonyms)
    _fill_redis(pseudonyms)
    _fill_lake(pseudonyms, events)
    return pseudonyms


def _fill_shop(pseudonyms: list[str]) -> None:
    from privacy.database import Role, connect

    now = datetime(2026, 11, 1, tzinfo=UTC)
    with connect(Role.INGEST) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "copy shop.customers (pseudonym, country, source, source_key) from stdin"
        ) as copy:
            for number, name in enumerate(pseudonyms):
                copy.write_row((name, "DE", "bench", f"c{number}"))
        with cursor.copy(
            "copy shop.orders (order_id, pseudonym, ordered_at, currency, country, source, source_key) from stdin"
        ) as copy:
            for number, name in enumerate(pseudonyms * 3):
                copy.write_row((f"o{number}", name, now, "EUR", "DE", "bench", f"o{number}"))
        with cursor.copy(
            "copy shop.order_lines (order_line_id, order_id, pseudonym, product_id, quantity, unit_price, ordered_at, "
            "source, source_key) from stdin"
        ) as copy:
            for number, name in enumerate(pseudonyms * 3):
                copy.write_row(
                    (f"l{number}", f"o{number}", name, "P1", 1, 19.9, now, "bench", f"l{number}")
                )


def _fill_redis(pseudonyms: list[str]) -> None:
    import redis

    from privacy.database import redis_url

    client = redis.Redis.from_url(redis_url())
    with client.pipeline(transaction=False) as pipeline:
        for number, name in enumerate(pseudonyms):
            pipeline.hset(f"sv:consent:{{{name}}}", mapping={"mask": 3, "objections": ""})
            pipeline.lpush(f"sv:session:{{{name}}}", "click\tP1", "page_view\tP2")
            pipeline.xadd("sv:events", {"pseudonym": name, "event_id": f"e{number}"})
        pipeline.execute()
    client.close()


def _fill_lake(pseudonyms: list[str], events: int) -> None:
    from orchestration.ingest.interactions import PATH, SCHEMA
    from privacy import lake

    lake.create_or_open(PATH, SCHEMA)
    random = np.random.default_rng(7)
    names = pa.array(pseudonyms)
    for start in range(0, events, _CHUNK):
        rows = min(_CHUNK, events - start)
        chunk = _events(random, names, rows).cast(SCHEMA)
        write_deltalake(str(lake.table_path(PATH)), chunk, mode="append")


def _events(random: np.random.Generator, names: pa.Array, rows: int) -> pa.Table:
    begin = np.datetime64("2025-11-01T00:00:00", "us")
    seconds = random.integers(0, 365 * 86_400, rows).astype("timedelta64[s]")
    moments = pa.array(begin + seconds).cast(pa.timestamp("us", tz="UTC"))
    nothing = pa.nulls(rows, pa.string())
    return pa.table(
        {
            "pseudonym": names.take(pa.array(random.integers(0, len(names), rows))),
            "session": _digits(random, rows // 8 + 1).take(pa.array(np.arange(rows) // 8)),
            "event_type": pa.array(["page_view", "click", "purchase"]).take(
                pa.array(random.integers(0, 3, rows))
            ),
            "product_id": pa.array([f"SEL-{number:05d}" for number in range(2_000)]).take(
                pa.array(random.integers(0, 2_000, rows))
            ),
            "size": nothing,
            "query": nothing,
            "dwell_seconds": pa.array(random.random(rows, dtype=np.float32)),
            "position": pa.nulls(rows, pa.int32()),
            "touchpoint": nothing,
            "ranking_id": nothing,
            "event_timestamp": moments,
            "source": pa.array(["bench"]).take(pa.array(np.zeros(rows, np.int64))),
            "source_key": _digits(random, rows),
            "created": moments,
        }
    )


def _digits(random: np.random.Generator, count: int) -> pa.Array:
    """`count` texts of 32 random hexadecimal digits."""
    text = random.bytes(count * _HEX // 2).hex().encode()
    offsets = np.arange(0, len(text) + 1, _HEX, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--subjects", type=int, default=1_000)
    arguments.add_argument("--events", type=int, default=5_000_000)
    chosen = arguments.parse_args()
    sys.stdout.write(json.dumps(_measure(chosen.subjects, chosen.events)) + "\n")
