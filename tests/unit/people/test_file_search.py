"""The byte search finds a pseudonym wherever a file may hide it."""

import gzip
import re
import secrets
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privacy import file_search
from privacy.file_search import needles_of, search_files

NAME = "0123456789abcdef0123456789abcde0"


def found(folder: Path, *names: str) -> set[str]:
    return {path.name for path in search_files(folder, needles_of(names or [NAME])).holding}


def test_it_finds_text_and_raw_bytes_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "text.log").write_text(f"x{NAME}y")
    (tmp_path / "raw.bin").write_bytes(b"\0" + bytes.fromhex(NAME) + b"\0")
    (tmp_path / "other.log").write_text("0" * 200)
    assert found(tmp_path) == {"text.log", "raw.bin"}


def test_it_looks_inside_gzip_and_the_pages_of_parquet(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "old.log.gz", "wb") as file:
        file.write(NAME.encode())
    values = {
        "flat": pa.array([NAME]),
        "nested": pa.array([[{"deep": NAME}]]),
        "dictionary": pa.array([NAME]).dictionary_encode(),
        "binary": pa.array([NAME.encode()]),
        "map": pa.array([[(NAME, 1)]], pa.map_(pa.string(), pa.int64())),
    }
    for name, array in values.items():
        table = pa.table({"column": array})
        pq.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
    assert found(tmp_path) == {"old.log.gz", *(f"{name}.parquet" for name in values)}


def test_it_finds_what_lies_across_two_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_search, "_CHUNK", 64)
    (tmp_path / "split.bin").write_bytes(b"-" * 50 + NAME.encode())
    assert found(tmp_path) == {"split.bin"}


def test_many_are_found_in_one_pass(tmp_path: Path) -> None:
    names = [f"{number:032x}" for number in range(1, 200)]
    (tmp_path / "one.log").write_text(f"ff{names[150]}ff")
    (tmp_path / "none.log").write_text("f" * 64)
    assert found(tmp_path, *names) == {"one.log"}


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "closed.bin"
    path.write_text(NAME)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(file_search, "_pieces", refuse)
    assert search_files(tmp_path, needles_of([NAME])).unreadable == [path]


def test_needles_are_the_digits_and_the_bytes() -> None:
    digits, raw = needles_of([NAME])
    assert re.fullmatch(rb"[0-9a-f]{32}", digits)
    assert len(raw) == 16


def test_many_are_found_at_every_offset_as_text_and_as_bytes(tmp_path: Path) -> None:
    names = [secrets.token_hex(16) for _ in range(1_000)]
    for offset in range(16):
        (tmp_path / f"text-{offset}.log").write_bytes(b"f" * offset + names[offset].encode())
        raw = bytes.fromhex(names[offset + 100])
        (tmp_path / f"raw-{offset}.bin").write_bytes(b"\0" * offset + raw + b"\0")
    (tmp_path / "none.log").write_text("".join(secrets.token_hex(16) for _ in range(5_000)))

    holding = search_files(tmp_path, needles_of(names)).holding

    assert {path.name for path in holding} == {
        f"{kind}-{offset}.{kind.replace('text', 'log').replace('raw', 'bin')}"
        for kind in ("text", "raw")
        for offset in range(16)
    }
    assert set(holding.values()) == {1}


def test_many_short_ones_are_found_as_well(tmp_path: Path) -> None:
    needles = [f"K-{number:04d}".encode() for number in range(100)]
    (tmp_path / "one.csv").write_text("1,K-0042,2")
    assert len(search_files(tmp_path, needles).holding) == 1
