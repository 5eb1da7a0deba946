"""Searches files: their names, their bytes, and what compression hides (`privacy.compressed_files` says where)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from privacy.compressed_files import BrokenFileError, Readable, members, parquet_values
from privacy.file_tree import files_under

__all__ = ["FileSearch", "counter", "needles_of", "search_files"]

_CHUNK = 8 * 1024 * 1024
_FEW = 8


@dataclass
class FileSearch:
    """What a search of a folder found.

    Attributes
    ----------
    searched: number of files read.
    holding: path to the number of occurrences, for files that hold any of what is searched for.
    unreadable: what exists and could not be searched: files that could not be read, or not what is compressed in them (cut short,
        damaged, encrypted), folders that could not be listed, links that lead nowhere.
    """

    searched: int = 0
    holding: dict[Path, int] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)


def needles_of(pseudonyms: Sequence[str]) -> list[bytes]:
    """The spellings of each pseudonym that are searched for: 32 hexadecimal digits, and its 16 bytes."""
    return [spelling for name in pseudonyms for spelling in (name.encode(), bytes.fromhex(name))]


def search_files(folder: Path, needles: Sequence[bytes]) -> FileSearch:
    """Look for `needles` in every file under `folder`, links followed; files that vanish meanwhile are left out.

    What cannot be read is looked at once more at the end: it may have been in the middle of being written.
    """
    result, count = FileSearch(), counter(needles)
    unknown: list[Path] = []
    doubtful = [
        path for path in files_under(folder, unknown.append) if not _searched(path, count, result)
    ]
    result.unreadable = [
        path for path in [*doubtful, *unknown] if not _searched(path, count, result)
    ]
    return result


def _searched(path: Path, count: "_Needles | _ManyNeedles", result: FileSearch) -> bool:
    """Search one file and note in `result` what was found; False where it could not be read to its end."""
    try:
        found = count(os.fsencode(path))
        found += sum(count(chunk) for chunk in _contents(path, count.overlap))
    except FileNotFoundError:
        return not path.is_symlink()  # a link that leads nowhere is there all the same
    except (OSError, BrokenFileError):
        return False
    result.searched += 1
    if found:
        result.holding[path] = found
    return True


class _Needles:
    """Counts a few needles one by one."""

    def __init__(self, needles: Sequence[bytes]) -> None:
        self._needles = needles
        self.overlap = max((len(needle) for needle in needles), default=1) - 1

    def __call__(self, data: bytes) -> int:
        return sum(data.count(needle) for needle in self._needles)


class _ManyNeedles:
    """Counts thousands of needles in one pass.

    A needle of 15 bytes or more holds a whole word of 8 bytes that begins at a multiple of 8 of the data, wherever the needle
    lies. So only those words are looked up, in a table of bits first; what passes is compared in full.
    """

    _WORD = 8
    _SHORTEST = 2 * _WORD - 1
    _BITS = 22
    _BLOCK = 131_072  # words looked up at once: what they need stays in the processor's cache
    _FACTOR = np.uint64(
        0x9E3779B97F4A7C15
    )  # 2^64 divided by the golden ratio: Knuth's multiplicative hash
    _SHIFT = np.uint64(64 - _BITS)

    def __init__(self, needles: Sequence[bytes]) -> None:
        self._few = _Needles([needle for needle in needles if len(needle) < self._SHORTEST])
        self._by_word: dict[int, list[tuple[int, bytes]]] = {}
        long = [needle for needle in set(needles) if len(needle) >= self._SHORTEST]
        self.overlap = max((len(needle) for needle in needles), default=1) - 1
        for needle in long:
            for shift in range(self._WORD):
                word = int.from_bytes(needle[shift : shift + self._WORD], "little")
                self._by_word.setdefault(word, []).append((shift, needle))
        self._words = np.array(sorted(self._by_word), np.uint64)
        self._table = np.zeros(1 << self._BITS, bool)
        self._table[(self._words * self._FACTOR) >> self._SHIFT] = True

    def __call__(self, data: bytes) -> int:
        return self._few(data) + sum(self._at(data, position) for position in self._likely(data))

    def _likely(self, data: bytes) -> Iterator[int]:
        """Positions of words that are part of a needle."""
        words = np.frombuffer(data, "<u8", len(data) // self._WORD)
        for start in range(0, len(words) if len(self._words) else 0, self._BLOCK):
            block = words[start : start + self._BLOCK]
            hits = np.flatnonzero(self._table[(block * self._FACTOR) >> self._SHIFT])
            held = hits[np.isin(block[hits], self._words)] if len(hits) else hits
            yield from ((held + start) * self._WORD).tolist()

    def _at(self, data: bytes, position: int) -> int:
        """How many needles have their one aligned word among their first 15 bytes at `position`."""
        word = int.from_bytes(data[position : position + self._WORD], "little")
        return sum(
            position >= shift and data.startswith(needle, position - shift)
            for shift, needle in self._by_word[word]
        )


def counter(needles: Sequence[bytes]) -> _Needles | _ManyNeedles:
    """What counts occurrences of `needles` in bytes; `overlap` is how much two pieces of a whole must share."""
    return _Needles(needles) if len(needles) <= _FEW else _ManyNeedles(needles)


def _contents(path: Path, overlap: int) -> Iterator[bytes]:
    """The bytes of a file in pieces, then what its compression hides."""
    with path.open("rb") as file:
        yield from _pieces(file, overlap)
    for member in members(path):
        yield from _pieces(member, overlap)
    yield from parquet_values(path)


def _pieces(file: Readable, overlap: int) -> Iterator[bytes]:
    """Pieces of which each begins with the end of the one before; an occurrence in both is then counted twice."""
    tail = b""
    while chunk := file.read(_CHUNK):
        yield tail + chunk
        # Streams may give less than asked for, so less than the overlap.
        tail = (tail + chunk)[-overlap:] if overlap else b""
