"""DuckDB in memory, for queries over files: what does not fit is encrypted before it touches the disk.

Without this, a database in memory spills to ``.tmp`` in the working folder, in clear. Here each spills to the process's own folder
(`privacy.scratch`) under a key that is nowhere but in the process's memory, so that what a killed one leaves behind is noise. The
cipher is OpenSSL's: DuckDB's own refuses to encrypt, for its random numbers are weak. It comes with the extension ``httpfs``, from a
wheel; what the extension is for, reading from the network, is switched off. Nothing is ever downloaded.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from privacy.scratch import scratch_folder

__all__ = ["duckdb_cursor", "duckdb_in_memory"]

_PURPOSE = "duckdb"
_NETWORK = "HTTPFileSystem,S3FileSystem,HuggingFaceFileSystem"


def duckdb_in_memory(**config: str | int | bool) -> duckdb.DuckDBPyConnection:
    """A new database in memory with DuckDB's settings `config`; loading the cipher takes a tenth of a second."""
    # DuckDB makes this folder when it spills and removes it when it closes; two databases must not share one.
    spill = scratch_folder(_PURPOSE) / secrets.token_hex(8)
    settings = {
        "temp_directory": str(spill),
        "temp_file_encryption": True,
        "enable_external_file_cache": False,  # it would keep what it read of files that are erased since
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config={**settings, **config})
    connection.load_extension(str(_cipher()))
    connection.execute(f"set disabled_filesystems = '{_NETWORK}'")
    return connection


@contextmanager
def duckdb_cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own to this process's one database in memory; what is registered with it, others do not see."""
    with _shared(os.getpid(), scratch_folder(_PURPOSE)).cursor() as cursor:
        yield cursor


@cache
def _shared(process: int, folder: Path) -> duckdb.DuckDBPyConnection:
    """One for each process, for a forked one must not use its parent's, and for each state folder."""
    return duckdb_in_memory()


def _cipher() -> Path:
    version = f"v{duckdb.__version__}"
    extension = (
        files("duckdb_extension_httpfs") / "extensions" / version / "httpfs.duckdb_extension"
    )
    return Path(str(extension))
