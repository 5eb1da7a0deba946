"""Searches files: their names, their bytes, and what compression hides (`privacy.compressed_files` says where)."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from privacy.compressed_files import BrokenFileError, Readable, members, parquet_values
from privacy.file_tree import files_under

__all__ = ["FileSearch", "counter", "needles_of", "search_files"]

_CHUNK = 8 * 1024 * 1024
_FEW, _WORD = 8, 8


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


class _Words:
    """A set of words of 8 bytes, and where they are among the words of data."""

    _BITS = 22
    _BLOCK = 131_072  # words looked up at once: what they need stays in the processor's cache
    _FACTOR = np.uint64(
        0x9E3779B97F4A7C15
    )  # 2^64 divided by the golden ratio: Knuth's multiplicative hash
    _SHIFT = np.uint64(64 - _BITS)

    def __init__(self, words: Iterable[int]) -> None:
        self._words = np.array(sorted(words), np.uint64)
        self._table = np.zeros(1 << self._BITS, bool)
        self._table[(self._words * self._FACTOR) >> self._SHIFT] = True

    def positions(self, data: bytes, first: int) -> Iterator[int]:
        """Where one of them begins, of the positions `first`, `first` + 8, …"""
        count = max(len(data) - first, 0) // _WORD
        if not count or not len(self._words):
            return
        words = np.frombuffer(data, "<u8", count, first)
        for start in range(0, count, self._BLOCK):
            block = words[start : start + self._BLOCK]
            hits = np.flatnonzero(self._table[(block * self._FACTOR) >> self._SHIFT])
            held = hits[np.isin(block[hits], self._words)] if len(hits) else hits
            yield from ((held + start) * _WORD + first).tolist()


class _ManyNeedles:
    """Counts thousands of needles in one pass.

    A needle of 15 bytes or more holds a whole word of 8 bytes that begins at a multiple of 8 of the data, wherever the needle
    lies. So only those words are looked up, in a table of bits first; what passes is compared in full. Of one of 8 bytes or more
    the first word is looked up, at every position: eight times the work, where there are such needles.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        self.overlap = max((len(needle) for needle in needles), default=1) - 1
        self._few = _Needles([needle for needle in needles if len(needle) < _WORD])
        self._aligned: dict[int, list[tuple[int, bytes]]] = {}
        self._first: dict[int, list[tuple[int, bytes]]] = {}
        for needle in {needle for needle in needles if len(needle) >= _WORD}:
            whole = len(needle) >= 2 * _WORD - 1
            for shift in range(_WORD if whole else 1):
                word = int.from_bytes(needle[shift : shift + _WORD], "little")
                by_word = self._aligned if whole else self._first
                by_word.setdefault(word, []).append((shift, needle))
        self._aligned_words, self._first_words = _Words(self._aligned), _Words(self._first)

    def __call__(self, data: bytes) -> int:
        found = self._few(data) + _count(
            data, self._aligned, self._aligned_words.positions(data, 0)
        )
        for first in range(_WORD if self._first else 0):
            found += _count(data, self._first, self._first_words.positions(data, first))
        return found


def _count(
    data: bytes, by_word: Mapping[int, Sequence[tuple[int, bytes]]], positions: Iterable[int]
) -> int:
    """How many needles lie at the positions; each is known by one of its words and how far into it that is."""
    return sum(
        position >= shift and data.startswith(needle, position - shift)
        for position in positions
        for shift, needle in by_word[int.from_bytes(data[position : position + _WORD], "little")]
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
