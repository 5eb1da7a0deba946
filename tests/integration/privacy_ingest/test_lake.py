import fcntl
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privacy import lake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events"


def _events(pseudonyms: list[str], **columns: pa.Array) -> pa.Table:
    rows = len(pseudonyms)
    return pa.table(
        {
            "pseudonym": pseudonyms,
            "query": pa.array(["linen"] * rows, pa.string()),
            "sizes": pa.array([["M"]] * rows, pa.list_(pa.string())),
            "event_timestamp": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "source_key": [secrets.token_hex(16) for _ in range(rows)],
            **columns,
        }
    )


def _files_with(folder: Path, text: str) -> list[str]:
    return [f.name for f in folder.rglob("*") if f.is_file() and text.encode() in f.read_bytes()]


def test_rows_are_appended_once_and_a_repeat_makes_no_version(path: Path) -> None:
    rows = _events(["a", "b", "c"])
    assert lake.append_new(path, rows) == 3
    version = lake.open_table(path).version()
    assert lake.append_new(path, rows) == 0
    assert lake.open_table(path).version() == version
    more = pa.concat_tables([rows, _events(["d"])])
    assert lake.append_new(path, more) == 1
    assert lake.count(path) == 4


def test_a_key_twice_in_one_batch_is_appended_once(path: Path) -> None:
    rows = _events(["a"])
    assert lake.append_new(path, pa.concat_tables([rows, rows])) == 1


def test_concurrent_appends_of_the_same_rows_add_each_once(path: Path) -> None:
    rows = _events([secrets.token_hex(16) for _ in range(200)])
    lake.create_or_open(path, rows.schema)
    with ThreadPoolExecutor(3) as pool:
        added = list(pool.map(lambda _: lake.append_new(path, rows), range(3)))
    assert sum(added) == 200
    assert lake.count(path) == 200


def test_no_byte_of_an_erased_pseudonym_is_left(path: Path) -> None:
    doomed, kept = secrets.token_hex(16), secrets.token_hex(16)
    lake.append_new(path, _events([doomed, kept, doomed], query=pa.array(["only mine", "x", "y"])))
    lake.append_new(path, _events([doomed]))
    lake.open_table(path).create_checkpoint()
    assert _files_with(path, doomed)
    assert lake.erase(path, "pseudonym", [doomed, secrets.token_hex(16)]) == 3
    assert _files_with(path, doomed) == []
    assert _files_with(path, "only mine") == []
    assert lake.count(path) == lake.count(path, "pseudonym", kept) == 1
    assert lake.erase(path, "pseudonym", [doomed]) == 0


def test_a_file_that_a_crashed_write_left_is_gone_after_an_erasure(path: Path) -> None:
    doomed, kept = secrets.token_hex(16), secrets.token_hex(16)
    lake.append_new(path, _events([kept]))
    orphan = path / "part-00000-crashed.snappy.parquet"
    pq.write_table(_events([doomed]), orphan)
    assert lake.erase(path, "pseudonym", [doomed]) == 0
    assert not orphan.exists()
    assert _files_with(path, doomed) == []
    assert lake.count(path) == 1


def test_a_replacement_deletes_what_a_write_left_the_day_before_yesterday(path: Path) -> None:
    rows = _events([secrets.token_hex(16)])
    lake.replace(path, rows)
    old, new = path / "old.parquet", path / "new.parquet"
    for orphan in (old, new):
        pq.write_table(rows, orphan)
    two_days_ago = time.time() - 48 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    lake.replace(path, rows)
    assert not old.exists()
    assert new.exists()


def test_an_erasure_takes_no_file_from_a_write_under_way(path: Path) -> None:
    doomed = secrets.token_hex(16)
    batches = [_events([secrets.token_hex(16) for _ in range(50)]) for _ in range(6)]
    lake.append_new(path, _events([doomed]))
    with ThreadPoolExecutor(3) as pool:
        added = [pool.submit(lake.append_new, path, batch) for batch in batches]
        erased = [pool.submit(lake.erase, path, "pseudonym", [doomed]) for _ in range(3)]
    assert sum(future.result() for future in erased) >= 1
    assert sum(future.result() for future in added) == 300
    assert lake.open_table(path).to_pyarrow_table().num_rows == 300


def test_a_vacuum_waits_for_a_writer(path: Path) -> None:
    lake.append_new(path, _events(["a"]))
    with ThreadPoolExecutor(1) as pool:
        with lake._locked(path, fcntl.LOCK_SH):
            erased = pool.submit(lake.erase, path, "pseudonym", ["a"])
            with pytest.raises(TimeoutError):
                erased.result(timeout=0.5)
        assert erased.result(timeout=30) == 1


def test_a_replaced_table_keeps_its_statistics_free_of_identifying_columns(path: Path) -> None:
    first, second = secrets.token_hex(16), secrets.token_hex(16)
    lake.replace(path, _events([first, second]))
    lake.replace(path, _events([second], extra=pa.array([1])))
    assert lake.count(path) == 1
    assert lake.open_table(path).metadata().configuration == {
        "delta.dataSkippingStatsColumns": "event_timestamp,extra"
    }
    lake.erase(path, "pseudonym", [first, second])
    assert _files_with(path, first) + _files_with(path, second) == []


def test_a_missing_table_is_empty_to_count_and_erase_and_an_error_to_open(path: Path) -> None:
    assert lake.count(path) == 0
    assert lake.erase(path, "pseudonym", ["a"]) == 0
    with pytest.raises(lake.LakeError, match="materialise"):
        lake.open_table(path)
