"""Searches the bytes of files: raw, and what compression hides (`privacy.compressed_files` says where)."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from privacy.compressed_files import BrokenFileError, Readable, members, parquet_values

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
    unreadable: files that exist and could not be read, or not what is compressed in them: cut short, damaged, encrypted.
    """

    searched: int = 0
    holding: dict[Path, int] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)


def needles_of(pseudonyms: Sequence[str]) -> list[bytes]:
    """The spellings of each pseudonym that are searched for: 32 hexadecimal digits, and its 16 bytes."""
    return [spelling for name in pseudonyms for spelling in (name.encode(), bytes.fromhex(name))]


def search_files(folder: Path, needles: Sequence[bytes]) -> FileSearch:
    """Look for `needles` in every file under `folder`; files that vanish meanwhile are left out.

    A file that cannot be read is looked at once more at the end: it may have been in the middle of being written. Of more than
    64 needles, only those that are pseudonyms (32 hexadecimal digits) are looked for.
    """
    result, count = FileSearch(), _counter(needles)
    doubtful = [path for path in _files(folder) if not _searched(path, count, result)]
    result.unreadable = [path for path in doubtful if not _searched(path, count, result)]
    return result


def _searched(path: Path, count: "_Needles | _Digits", result: FileSearch) -> bool:
    """Search one file and note in `result` what was found; False where it could not be read to its end."""
    try:
        found = sum(count(chunk) for chunk in _contents(path, count.overlap))
    except FileNotFoundError:
        return True
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
