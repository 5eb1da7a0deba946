"""The byte search finds a pseudonym wherever a file may hide it."""

import bz2
import gzip
import lzma
import os
import random
import re
import secrets
import shutil
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
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
        "fixed": pa.array([bytes.fromhex(NAME)], pa.binary(16)),
        "fixed_list": pa.array([[NAME, ""]], pa.list_(pa.string(), 2)),
        "large": pa.array([NAME], pa.large_string()),
        "uuid": pa.array([bytes.fromhex(NAME)], pa.uuid()),
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


def _text() -> bytes:
    """Bytes that compress badly, with the name somewhere in the middle."""
    noise = random.Random(3).randbytes(40_000).hex().encode()
    return noise[:30_000] + b"\n" + NAME.encode() + b"\n" + noise[30_000:]


def _zipped(text: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.txt", text)


def _arrow(codec: str) -> Callable[[bytes, Path], None]:
    def write(text: bytes, path: Path) -> None:
        with pa.CompressedOutputStream(str(path), codec) as file:
            file.write(text)

    return write


CONTAINERS: dict[str, Callable[[bytes, Path], object]] = {
    "gzip": lambda text, path: path.write_bytes(gzip.compress(text)),
    "bzip2": lambda text, path: path.write_bytes(bz2.compress(text)),
    "xz": lambda text, path: path.write_bytes(lzma.compress(text)),
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
    "zip": lambda text, path: _zipped(text, path),
    "npz": lambda text, path: np.savez_compressed(
        path.open("wb"), names=np.frombuffer(text, np.uint8)
    ),
    "parquet": lambda text, path: pq.write_table(
        pa.table({"text": text.split()}), path, compression="zstd", row_group_size=1
    ),
}


@pytest.mark.parametrize("write", CONTAINERS.values(), ids=CONTAINERS)
def test_a_compressed_file_is_known_by_its_bytes_and_searched(
    tmp_path: Path, write: Callable[[bytes, Path], object]
) -> None:
    write(_text(), tmp_path / "rotated.log.1")
    write(_text().replace(NAME.encode(), b""), tmp_path / "innocent.log.1")
    result = search_files(tmp_path, needles_of([NAME]))
    assert {path.name for path in result.holding} == {"rotated.log.1"}
    assert (result.searched, result.unreadable) == (2, [])


@pytest.mark.parametrize("write", CONTAINERS.values(), ids=CONTAINERS)
def test_a_compressed_file_that_is_cut_short_is_unreadable(
    tmp_path: Path, write: Callable[[bytes, Path], object]
) -> None:
    path = tmp_path / "cut"
    write(_text(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    result = search_files(tmp_path, needles_of([NAME]))
    assert (result.unreadable, result.searched) == ([path], 0)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_damage_in_the_middle_does_not_end_the_search(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "damaged"
    CONTAINERS[kind](_text(), path)
    data, third = bytearray(path.read_bytes()), path.stat().st_size // 3
    data[third : third + 500] = bytes(500)
    path.write_bytes(data)
    (tmp_path / "later.log").write_text(NAME)
    result = search_files(tmp_path, needles_of([NAME]))
    if kind not in ("lz4", "parquet"):  # these have no checksums: the bytes read as others
        assert result.unreadable == [path]
    assert tmp_path / "later.log" in result.holding


@pytest.mark.parametrize("name", ["old.gz", "old.zst", "model.npz", "old.xz"])
def test_a_file_whose_name_alone_says_that_it_is_compressed_is_unreadable(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"something else")
    assert search_files(tmp_path, needles_of([NAME])).unreadable == [tmp_path / name]


def test_parquet_without_its_beginning_is_unreadable_and_what_is_no_parquet_is_not(
    tmp_path: Path,
) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"text": [NAME]}), whole)
    headless = tmp_path / "headless.parquet"
    headless.write_bytes(b"????" + whole.read_bytes()[20:])
    whole.unlink()
    (tmp_path / "named.parquet").write_bytes(b"no Parquet by its head or by its tail")
    (tmp_path / "empty.parquet").touch()
    result = search_files(tmp_path, needles_of([NAME]))
    assert (result.unreadable, result.searched) == ([headless], 2)


class _PlainKms(pe.KmsClient):
    """Wraps no key at all: what counts is that the pages are encrypted."""

    def __init__(self, _: pe.KmsConnectionConfig) -> None:
        pe.KmsClient.__init__(self)

    def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_encrypted_parquet_is_unreadable(tmp_path: Path, plaintext_footer: bool) -> None:
    path = tmp_path / "encrypted.parquet"
    properties = pe.CryptoFactory(_PlainKms).file_encryption_properties(
        pe.KmsConnectionConfig(),
        pe.EncryptionConfiguration(
            footer_key="footer", column_keys={"a": ["text"]}, plaintext_footer=plaintext_footer
        ),
    )
    table = pa.table({"text": [NAME]})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    assert search_files(tmp_path, needles_of([NAME])).unreadable == [path]


def test_an_encrypted_zip_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.zip"
    _zipped(_text(), path)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag "encrypted", of the member and of the directory's entry
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert search_files(tmp_path, needles_of([NAME])).unreadable == [path]


def test_what_was_being_written_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "a.gz", gzip.compress(_text())
    path.write_bytes(whole[:100])
    pieces = file_search._pieces

    def writer(file: object, overlap: int) -> object:
        if getattr(file, "name", None) == str(tmp_path / "b.log"):
            path.write_bytes(whole)
        return pieces(file, overlap)  # type: ignore[arg-type]

    (tmp_path / "b.log").write_text("later than a")
    monkeypatch.setattr(file_search, "_pieces", writer)
    result = search_files(tmp_path, needles_of([NAME]))
    assert (list(result.holding), result.unreadable) == ([path], [])


def test_a_gzip_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_search, "_CHUNK", 64 * 1024)
    with gzip.open(tmp_path / "large.gz", "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1024 * 1024))
        file.write(NAME.encode())
    tracemalloc.start()
    assert found(tmp_path) == {"large.gz"}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


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


def test_many_of_middle_length_are_found_at_every_offset(tmp_path: Path) -> None:
    needles = [f"+49176{number:0{1 + number % 7}d}0".encode() for number in range(1_000)]
    assert {len(needle) for needle in needles} >= set(range(8, 15))
    for offset in range(16):
        (tmp_path / f"{offset}.log").write_bytes(b"1" * offset + needles[500 + offset] + b"1")
    (tmp_path / "none.log").write_text("+4917" * 1_000)
    counted = search_files(tmp_path, sorted(needles)[:9] + needles[500:516]).holding
    assert {path.name for path in counted} == {f"{offset}.log" for offset in range(16)}


def test_many_short_ones_are_found_as_well(tmp_path: Path) -> None:
    needles = [f"K-{number:04d}".encode() for number in range(100)]
    (tmp_path / "one.csv").write_text("1,K-0042,2")
    assert len(search_files(tmp_path, needles).holding) == 1


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another disk."""
    return tmp_path_factory.mktemp("elsewhere")


def test_it_follows_links_to_folders_and_files(tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / "lake").mkdir()
    (elsewhere / "lake" / "part.csv").write_text(NAME)
    (elsewhere / "old.log").write_text(NAME)
    (tmp_path / "lake").symlink_to(elsewhere / "lake")
    (tmp_path / "linked.log").symlink_to(elsewhere / "old.log")
    assert found(tmp_path) == {"part.csv", "linked.log"}


def test_links_in_a_circle_end_and_nothing_is_read_twice(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "one.log").write_text(NAME)
    (inner / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(inner)
    result = search_files(tmp_path, needles_of([NAME]))
    assert (result.searched, [path.name for path in result.holding]) == (1, ["one.log"])


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "lake").symlink_to(elsewhere / "not mounted")
    (tmp_path / "itself").symlink_to("itself")
    unreadable = search_files(tmp_path, needles_of([NAME])).unreadable
    assert unreadable == [tmp_path / "itself", tmp_path / "lake"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with a file in it, while the test runs as a user whom permissions hold back."""
    base = Path(tempfile.mkdtemp(prefix="selvedge-search-", dir="/tmp"))
    folder, root = base / "closed", os.geteuid() == 0
    folder.mkdir()
    (folder / "one.log").write_text(NAME)
    if root:
        for path in (base, folder, folder / "one.log"):
            os.chown(path, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        folder.chmod(0o700)
        if root:
            os.seteuid(0)
        shutil.rmtree(base)


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400])
def test_a_folder_that_cannot_be_listed_or_entered_is_named(closed: Path, mode: int) -> None:
    closed.chmod(mode)
    unreadable = search_files(closed.parent, needles_of([NAME])).unreadable
    assert unreadable == [closed / "one.log" if mode == 0o400 else closed]


def test_a_folder_that_is_not_there_has_nothing_in_it(tmp_path: Path) -> None:
    result = search_files(tmp_path / "never made", needles_of([NAME]))
    assert (result.searched, result.unreadable) == (0, [])


def test_a_pseudonym_in_the_name_of_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / f"pseudonym={NAME}").mkdir()
    (tmp_path / f"pseudonym={NAME}" / "part.csv").write_text("nothing")
    assert found(tmp_path) == {"part.csv"}
