"""What does not fit into memory is encrypted on the disk, lies in the platform's folder, and goes with the process."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.sources import files
from orchestration.sources.batch import SourceError
from orchestration.sources.files import FileSource
from orchestration.sources.mapping import SourceMapping
from privacy.contracts import NoStore
from privacy.duckdb_memory import duckdb_cursor, duckdb_in_memory
from privacy.registry import PLATFORM_CONTRACTS
from privacy.scratch import in_use, is_abandoned, scratch_folder
from privacy.settings import PROJECT_ROOT, PlatformSettings
from privacy.stores import handler_for

MARK = "quilla.zephyrine@example.org"
SPILLS = f"""
import sys, time
from privacy.duckdb_memory import duckdb_in_memory
database = duckdb_in_memory(memory_limit="40MB", threads=1)
database.execute("create table t as select '{MARK}' || i as mail, repeat(md5(i::varchar), 9) from range(400000) r(i)")
print("spilled", flush=True)
time.sleep(60)
"""


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a process that was killed while its rows were on the disk."""
    environment = {
        **os.environ,
        "SELVEDGE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    work = tmp_path / "work"
    work.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SPILLS], env=environment, cwd=work, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"spilled\n"
        folder = tmp_path / "home" / "tmp" / f"duckdb-{process.pid}"
        assert in_use(folder)
        process.send_signal(signal.SIGKILL)
    assert _files(work) == [], "nothing lies in the working folder"
    return folder


def test_what_a_killed_process_leaves_is_noise_in_a_folder_of_its_own(killed: Path) -> None:
    left = _files(killed)
    assert sum(path.stat().st_size for path in left) > 10_000_000, "it spilled"
    assert not any(MARK.encode() in path.read_bytes() for path in left)
    assert killed.stat().st_mode & 0o777 == 0o700
    assert is_abandoned(killed)


def test_the_next_process_removes_it(
    killed: Path, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "home", killed.parent.parent)
    mine = scratch_folder("duckdb")
    assert (killed.exists(), mine.exists()) == (False, True)


def test_an_erasure_removes_it_at_once_and_leaves_what_is_in_use(
    killed: Path, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "home", killed.parent.parent)
    mine = killed.with_name(f"duckdb-{os.getpid()}")
    mine.mkdir()
    contract = next(c for c in PLATFORM_CONTRACTS if isinstance(c.store, NoStore))
    assert handler_for(contract).erase(contract, []) == 1
    assert (killed.exists(), mine.exists()) == (False, True)


def test_a_folder_older_than_the_process_of_its_number_is_another_ones(tmp_path: Path) -> None:
    folder = tmp_path / f"spark-{os.getpid()}"
    folder.mkdir()
    assert in_use(folder)
    os.utime(folder, (0, time.time() - 10 * 86_400))
    assert (in_use(folder), is_abandoned(folder)) == (False, True)
    assert not is_abandoned(tmp_path / "something")


def test_a_database_spills_to_its_own_folder_which_goes_with_it() -> None:
    with duckdb_in_memory(memory_limit="40MB", threads=1) as first, duckdb_in_memory() as second:
        first.execute("create table t as select repeat(md5(i::varchar), 9) from range(400000) r(i)")
        folders = [
            Path(database.execute("select current_setting('temp_directory')").fetchall()[0][0])
            for database in (first, second)
        ]
        assert folders[0] != folders[1]
        assert [folder.parent for folder in folders] == [scratch_folder("duckdb")] * 2
        assert _files(folders[0])
    assert not folders[0].exists()


def test_the_network_is_out_of_reach() -> None:
    with duckdb_cursor() as database, pytest.raises(Exception, match="disabled by configuration"):
        database.execute("select * from read_parquet('http://127.0.0.1:9/x.parquet')")


def test_what_one_registers_others_do_not_see() -> None:
    found: dict[int, int] = {}

    def count(number: int) -> None:
        for _ in range(20):
            with duckdb_cursor() as database:
                database.register("wanted", pa.table({"n": list(range(number))}))
                row = database.execute("select count(*) from wanted").fetchone()
                found[number] = row[0] if row else -1
                assert found[number] == number

    threads = [threading.Thread(target=count, args=[number]) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(1, 9)}


def _spilled(folder: Path, until: threading.Event, found: dict[Path, bytes]) -> None:
    """Look at what lies on the disk, until told to stop; keeps the longest content of each file."""
    while not until.wait(0.02):
        for path in _files(folder):
            with suppress(FileNotFoundError):
                found[path] = max(found.get(path, b""), path.read_bytes(), key=len)


def test_a_source_writes_no_row_of_the_shop_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row per customer does not fit into so little memory, and may not fit at all."""
    monkeypatch.setattr(files, "MEMORY_LIMIT", "90MB")
    rows = "".join(f"{n},{MARK}{n},2024-01-02 10:00:00\n" for n in range(400_000))
    (tmp_path / "people.csv").write_text("no,mail,changed\n" + rows)
    columns = {"subject_id": "no", "email": "mail", "updated_at": "changed"}
    tables = {"customers": {"files": "people.csv", "columns": columns, "fold": True}}
    source = FileSource(
        SourceMapping.model_validate({"name": "test_shop", "tables": tables}), tmp_path
    )
    found: dict[Path, bytes] = {}
    read = threading.Event()
    watcher = threading.Thread(target=_spilled, args=[scratch_folder("duckdb"), read, found])
    watcher.start()
    with suppress(SourceError):
        assert sum(batch.rows.num_rows for batch in source.read("customers")) == 400_000
    read.set()
    watcher.join()
    assert sum(map(len, found.values())) > 1_000_000, "it spilled"
    assert not any(MARK.encode() in data for data in found.values())
