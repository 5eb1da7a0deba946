"""How long pseudonymising an event file takes, beside copying the same Parquet through Arrow."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.bench import Figure, Goal
from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import stop
from orchestration.sources.model import EVENT_TYPES, TABLES
from privacy import tombstones
from privacy.lake import IDENTIFYING_COLUMNS
from privacy.pseudonymise import Pseudonymiser
from privacy.settings import platform_settings

ROWS, SUBJECTS = 5_000_000, 500_000
QUICK_ROWS, QUICK_SUBJECTS = 200_000, 20_000
ROUNDS = 3
BATCH_ROWS = 500_000
_DICTIONARY_BYTES = 16 * 1024 * 1024
_SESSION = 8  # events
_TABLE = TABLES["interactions"]
_GOAL = Goal("<=", 3.0, of="ratio")


def figures(quick: bool) -> list[Figure]:
    """Seconds for the file when every subject is new to the vault, and when all are known; the baseline is the copy.

    Copies and runs alternate, and each time is the best of its rounds, but for the first file, which can be new only once.
    Needs a running Postgres (`own_server` starts one); the vault keeps the subjects.
    """
    rows, subjects = (QUICK_ROWS, QUICK_SUBJECTS) if quick else (ROWS, SUBJECTS)
    title = f"pseudonymise {rows:,} events of {subjects:,} subjects"
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        source, target = Path(folder, "events.parquet"), Path(folder, "out.parquet")
        write_events(source, rows, subjects)
        copies, known = [_seconds(lambda: copy(source, target))], []
        new = _seconds(lambda: pseudonymise(source, target))
        for _ in range(ROUNDS):
            copies.append(_seconds(lambda: copy(source, target)))
            known.append(_seconds(lambda: pseudonymise(source, target)))
    baseline = min(copies)
    return [
        Figure(f"{title}, all new to the vault", new, "s", baseline, _GOAL),
        Figure(f"{title}, all known", min(known), "s", baseline, _GOAL),
    ]


@contextmanager
def own_server() -> Iterator[None]:
    """A Postgres of its own in a folder of its own while the block runs."""
    with tempfile.TemporaryDirectory() as home:
        before = os.environ.get("SELVEDGE_HOME")
        os.environ["SELVEDGE_HOME"] = home
        platform_settings.cache_clear()
        settings = platform_settings()
        try:
            start_postgres(settings)
            migrate()
            yield
        finally:
            stop(settings, "postgres")
            os.environ.pop("SELVEDGE_HOME")
            if before is not None:
                os.environ["SELVEDGE_HOME"] = before
            platform_settings.cache_clear()


def copy(source: Path, target: Path) -> None:
    """The file read and written batch by batch, nothing changed."""
    file = pq.ParquetFile(source)
    with pq.ParquetWriter(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            writer.write_batch(batch)


def pseudonymise(source: Path, target: Path) -> None:
    """The file read, pseudonymised as the ingest does it, and written, batch by batch."""
    pseudonymiser, writer = Pseudonymiser(), None
    try:
        for batch in pq.ParquetFile(source).iter_batches(batch_size=BATCH_ROWS):
            with tombstones.writing():
                rows = pseudonymiser.apply(batch, _TABLE, "bench").rows
            writer = writer or _writer(target, rows.schema)
            writer.write_table(rows)
    finally:
        if writer:
            writer.close()


def write_events(path: Path, rows: int, subjects: int, seed: int = 7) -> None:
    """Events in the canonical schema, in the order of their time; every subject occurs, sessions have eight events each.

    They hold no search queries: masking free text has a benchmark of its own.
    """
    rng = np.random.default_rng(seed)
    with pq.ParquetWriter(path, _TABLE.schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            count = min(BATCH_ROWS, rows - start)
            writer.write_batch(_events(rng, start, count, subjects))


def _events(rng: np.random.Generator, start: int, count: int, subjects: int) -> pa.RecordBatch:
    number = np.arange(start, start + count)
    sessions = rng.permutation(number // _SESSION)
    subject = sessions * 7_919 % subjects  # a prime: consecutive sessions are of different subjects
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
    columns = {
        "event_id": _texts("E", number, 9),
        "subject_id": _texts("C", subject, 8),
        "session_id": _texts("S", sessions, 10),
        "event_type": pa.array(EVENT_TYPES).take(pa.array(rng.integers(0, len(EVENT_TYPES), count))),
        "product_id": _texts("SEL-", rng.integers(0, 20_000, count), 5),
        "size": pa.array(["S", "M", "L", None]).take(pa.array(rng.integers(0, 4, count))),
        "query": pa.nulls(count, pa.string()),
        "dwell_seconds": pa.array(rng.random(count, np.float32) * 60),
        "position": pa.array(rng.integers(1, 60, count).astype(np.int32)),
        "touchpoint": pa.array(["homepage", "search", "email"]).take(pa.array(rng.integers(0, 3, count))),
        "ranking_id": pa.nulls(count, pa.string()),
        "event_timestamp": pa.array(begin + number * 1_000_000, pa.timestamp("us", tz="UTC")),
    }  # fmt: skip
    return pa.RecordBatch.from_pydict(columns, schema=_TABLE.schema)


def _texts(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    return pa.array([f"{prefix}{number:0{digits}d}" for number in numbers.tolist()], pa.string())


def _writer(target: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A file as the lake keeps it: no statistics of what finds a person, one dictionary for a batch's pseudonyms."""
    return pq.ParquetWriter(
        target,
        schema,
        use_dictionary=[name for name in schema.names if name != "source_key"],  # they never repeat
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        write_statistics=[name for name in schema.names if name not in IDENTIFYING_COLUMNS],
    )


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _scratch() -> str | None:
    return str(platform_settings().tmp_dir) if platform_settings().tmp_dir.is_dir() else None
