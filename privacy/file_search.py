"""Searches the bytes of files: raw, inside gzip, and inside the compressed pages of Parquet."""

import gzip
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["FileSearch", "needles_of", "search_files"]

_CHUNK = 8 * 1024 * 1024
_FEW = 64
_PSEUDONYM = re.compile(rb"[0-9a-f]{32}")


@dataclass
class FileSearch:
    """What a search of a folder found.

    Attributes
    ----------
    searched: number of files read.
    holding: path to the number of occurrences, for files that hold any of what is searched for.
    unreadable: files that exist and could not be read.
    """

    searched: int = 0
    holding: dict[Path, int] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)


def needles_of(pseudonyms: Sequence[str]) -> list[bytes]:
    """The spellings of each pseudonym that are searched for: 32 hexadecimal digits, and its 16 bytes."""
    return [spelling for name in pseudonyms for spelling in (name.encode(), bytes.fromhex(name))]


def search_files(folder: Path, needles: Sequence[bytes]) -> FileSearch:
    """Look for `needles` in every file under `folder`; files that vanish meanwhile are left out.

    Of more than 64 needles, only those that are pseudonyms (32 hexadecimal digits) are looked for.
    """
    result, count = FileSearch(), _counter(needles)
    for path in _files(folder):
        try:
            found = sum(count(chunk) for chunk in _contents(path, count.overlap))
        except FileNotFoundError:
            continue
        except OSError:
            result.unreadable.append(path)
            continue
        result.searched += 1
        if found:
            result.holding[path] = found
    return result


class _Needles:
    """Counts a few needles one by one."""

    def __init__(self, needles: Sequence[bytes]) -> None:
        self._needles = needles
        self.overlap = max((len(needle) for needle in needles), default=1) - 1

    def __call__(self, data: bytes) -> int:
        return sum(data.count(needle) for needle in self._needles)


class _Digits:
    """Counts many pseudonyms in one pass, by looking at runs of hexadecimal digits only."""

    _RUN = re.compile(rb"[0-9a-f]{32,}")
    overlap = 31

    def __init__(self, needles: Sequence[bytes]) -> None:
        self._wanted = {needle for needle in needles if _PSEUDONYM.fullmatch(needle)}

    def __call__(self, data: bytes) -> int:
        return sum(
            run[start : start + 32] in self._wanted
            for run in self._RUN.findall(data)
            for start in range(len(run) - 31)
        )


def _counter(needles: Sequence[bytes]) -> _Needles | _Digits:
    return _Needles(needles) if len(needles) <= _FEW else _Digits(needles)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _contents(path: Path, overlap: int) -> Iterator[bytes]:
    """The bytes of a file in pieces, then what its compression hides."""
    yield from _pieces(path, overlap)
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as file:
            yield file.read()


def _pieces(path: Path, overlap: int) -> Iterator[bytes]:
    """Pieces of which each begins with the end of the one before; an occurrence in both is then counted twice."""
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-overlap:] if overlap else b""


def _parquet(path: Path) -> Iterator[bytes]:
    """Every string and binary value of a Parquet file, whatever it is nested in, one per line."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid:
        return  # cut short or not Parquet: nothing but the bytes already read
    for batch in file.iter_batches():
        for column in batch.columns:
            for values in _leaves(column):
                yield b"\n".join(_bytes(value) for value in values.to_pylist() if value)


def _leaves(array: Any) -> Iterator[Any]:
    kind = array.type
    if pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(array.flatten())
    elif pa.types.is_dictionary(kind):
        yield from _leaves(array.dictionary)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        yield array


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
