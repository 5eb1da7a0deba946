"""What compression hides in a file: gzip, bzip2, xz, zstd, LZ4 frames, zip (``.npz`` among it), and Parquet's pages.

A file is told by its first bytes, whatever its name; by its name as well, so that one whose beginning is damaged counts as
broken and not as something else. Only one layer is opened: a gzip inside a zip is searched as the zip stores it.

Of what the platform runs, these leave compressed files: Delta and Spark (Parquet data and checkpoints), NumPy (``.npz``),
and whoever rotates logs (gzip, zstd). These are kept from it: Redis (`rdbcompression no`), Postgres's WAL (`wal_compression
off`). Two are not searchable here and are dealt with elsewhere: what Spark and DuckDB spill is encrypted, and deleted
(`platform/temporary_files`); Postgres compresses long values within its tables, where `privacy.verification` reads them
row by row, and an erasure rewrites the tables so that no dead row stays. Dagster, Feast and dbt leave nothing compressed.
"""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["BrokenFileError", "Readable", "members", "parquet_values"]

_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
_SUFFIXES = {
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".lz4": "lz4",
    ".zip": "zip",
    ".npz": "zip",
}
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # of the first block, or of the end
_PARQUET = (b"PAR1", b"PARE")  # PARE: the footer is encrypted
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # zipfile's, of an encrypted member; NotImplementedError, of an unknown method
    MemoryError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
)


class BrokenFileError(Exception):
    """A compressed file is cut short, damaged, encrypted, or of a method that nobody here knows."""


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        ...


@contextmanager
def _told_apart() -> Iterator[None]:
    """Any damage as BrokenFileError, a file that is gone as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise BrokenFileError(type(error).__name__) from error


def members(path: Path) -> Iterator[Readable]:
    """Each decompressed content of the file, to be read in pieces; none where it is not compressed.

    Raises BrokenFileError; so does reading, at the place where the damage is.
    """
    kind = _kind(path)
    if kind == "zip":
        yield from _zip_members(path)
    elif kind:
        with _told_apart(), _opened(path, kind) as file:
            yield _Guarded(file)


def _kind(path: Path) -> str | None:
    """How the file is compressed, None where it is not."""
    with path.open("rb") as file:
        head = file.read(10)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic) and (kind != "bzip2" or head[4:].startswith(_BZIP2_BLOCKS)):
            return kind
    return _SUFFIXES.get(path.suffix) if head else None


def _opened(path: Path, kind: str) -> Any:
    match kind:
        case "gzip":
            return gzip.open(path)
        case "bzip2":
            return bz2.open(path)
        case "xz":
            return lzma.open(path)
        case _:
            return pa.CompressedInputStream(pa.OSFile(str(path)), kind)


def _zip_members(path: Path) -> Iterator[Readable]:
    with _told_apart(), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                yield _Guarded(file)


class _Guarded:
    """A stream of which damage is a BrokenFileError."""

    def __init__(self, file: Readable) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`."""
        with _told_apart():
            return self._file.read(size)


def parquet_values(path: Path) -> Iterator[bytes]:
    """Every string and binary value of a Parquet file, whatever it is nested in, one per line; nothing of another file.

    A file is Parquet that begins like one, or is named ``.parquet`` and ends like one. Raises BrokenFileError.
    """
    if not _is_parquet(path):
        return
    with _told_apart(), pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for column in batch.columns:
                for values in _leaves(column):
                    yield _joined(values)


def _joined(values: Any) -> bytes:
    """The values of an array, one per line."""
    kept = values.cast(pa.binary()).drop_null()
    whole = pa.ListArray.from_arrays(pa.array([0, len(kept)], pa.int32()), kept)
    return bytes(pc.binary_join(whole, b"\n")[0].as_buffer())


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) in _PARQUET:
            return True
        size = file.seek(0, 2)
        if path.suffix != ".parquet" or size < 4:
            return False
        file.seek(size - 4)
        return file.read(4) in _PARQUET


def _leaves(array: Any) -> Iterator[Any]:
    """The arrays of bytes that `array` is made of."""
    kind, types = array.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        yield from _leaves(array.storage)
    elif types.is_struct(kind):
        for child in array.flatten():
            yield from _leaves(child)
    elif types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        yield from _leaves(array.flatten())
    elif types.is_dictionary(kind):
        yield from _leaves(array.dictionary)
    elif types.is_fixed_size_binary(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        yield array
    elif types.is_string(kind) or types.is_large_string(kind):
        # As bytes, which need not be the UTF-8 that the file's schema promises.
        yield array.cast(pa.binary() if types.is_string(kind) else pa.large_binary())
