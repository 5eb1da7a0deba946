"""Model artefacts: the subjects' rows in Parquet files and in the arrays aligned to them, in every version kept.

A version is a folder with ``manifest.json``, which says by ``subject_arrays`` which ``.npy`` arrays have one row for each row of a
Parquet file of subjects (``{"subjects.parquet": ["subject_vectors.npy"]}``), and by ``files`` the SHA-256 of each file.
A version is rewritten beside the old one and swapped in, so that a reader sees one or the other; the pointer to the live
models is touched, so that serving processes load the new files.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from privacy.contracts import Artifacts, AssetContract
from privacy.settings import platform_settings
from privacy.stores.base import BATCH_ROWS, StoreError, StoreHandler, plain, subject_column

__all__ = ["ArtifactsHandler"]

_MANIFEST = "manifest.json"
_LIVE = "live.json"
# Hidden, so that nobody takes them for a version.
_REWRITTEN, _OLD = ".rewritten-", ".replaced-"


def _root(contract: AssetContract) -> Path:
    if not isinstance(contract.store, Artifacts):
        raise StoreError(f"Asset {contract.key} keeps no artefacts ({contract.store.kind}).")
    return platform_settings().models_dir / contract.store.path


def _subject_files(root: Path, column: str) -> Iterator[Path]:
    """Parquet files under `root` that have the subject column; half-made copies are left out."""
    for path in sorted(root.rglob("*.parquet")) if root.is_dir() else ():
        unfinished = any(part.startswith((_REWRITTEN, _OLD)) for part in path.parts)
        if not unfinished and column in pq.read_schema(path).names:
            yield path


def _mask(path: Path, column: str, pseudonyms: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows of the file belong to the subjects."""
    values = pq.read_table(path, columns=[column]).column(column)
    wanted = pa.array(list(pseudonyms), pa.string())
    return np.asarray(pc.is_in(values, value_set=wanted).to_numpy(zero_copy_only=False), dtype=bool)


def _aligned(path: Path) -> list[Path]:
    """The arrays that have one row for each row of the subject file at `path`."""
    manifest = path.parent / _MANIFEST
    if not manifest.exists():
        return []
    arrays = json.loads(manifest.read_text()).get("subject_arrays") or {}
    return [path.parent / name for name in arrays.get(path.name, ())]


class ArtifactsHandler(StoreHandler):
    """Rows of subjects in a model's files; what is erased is the subject's own row of every array (fold-out)."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Rows per subject over all versions."""
        column, counts = subject_column(contract), dict.fromkeys(pseudonyms, 0)
        for path in _subject_files(_root(contract), column):
            values = pq.read_table(path, columns=[column]).column(column)
            held = values.filter(pc.is_in(values, value_set=pa.array(list(pseudonyms))))
            for name in held.to_pylist():
                counts[name] += 1
        return {name: count for name, count in counts.items() if count}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The subject's row in each file, with its rows in the arrays beside it."""
        root, column, rows = _root(contract), subject_column(contract), []
        for path in _subject_files(root, column):
            mask = _mask(path, column, [pseudonym])
            if not mask.any():
                continue
            found = pq.read_table(path).filter(pa.array(mask)).drop_columns([column])
            arrays = {array.name: np.load(array)[mask] for array in _aligned(path)}
            for position, row in enumerate(found.to_pylist()):
                vectors = {name: plain(values[position]) for name, values in arrays.items()}
                rows.append({"file": str(path.relative_to(root)), **plain(row), **vectors})
        return rows

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Take the subjects' rows out of every version; returns how many rows of files of subjects went."""
        root, column = _root(contract), subject_column(contract)
        _clean_up(root)
        folders = sorted({path.parent for path in _subject_files(root, column)})
        removed = sum(_rewrite(folder, column, pseudonyms) for folder in folders)
        live = platform_settings().models_dir / _LIVE
        if removed and live.exists():
            live.touch()
        return removed

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The subject column of every file of every version."""
        column = subject_column(contract)
        for path in _subject_files(_root(contract), column):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=[column]):
                    yield batch.column(0).cast(pa.string())


def _clean_up(root: Path) -> None:
    """Finish or undo a swap that was cut short."""
    for old in sorted(root.rglob(f"{_OLD}*")) if root.is_dir() else ():
        current = old.with_name(old.name.removeprefix(_OLD))
        if current.exists():
            shutil.rmtree(old)
        else:
            old.rename(current)
    for copy in sorted(root.rglob(f"{_REWRITTEN}*")) if root.is_dir() else ():
        shutil.rmtree(copy)


def _rewrite(folder: Path, column: str, pseudonyms: Sequence[str]) -> int:
    """Rewrite one version without the subjects' rows and swap it in; returns the rows removed."""
    masks = {path.name: _mask(path, column, pseudonyms) for path in _own_files(folder, column)}
    removed = sum(int(mask.sum()) for mask in masks.values())
    if not removed:
        return 0
    copy, old = (folder.with_name(prefix + folder.name) for prefix in (_REWRITTEN, _OLD))
    shutil.copytree(folder, copy)
    for name, mask in masks.items():
        table = pq.read_table(copy / name).filter(pa.array(~mask))
        pq.write_table(table, copy / name, write_statistics=False)
        for array in _aligned(copy / name):
            np.save(array, np.load(array, allow_pickle=False)[~mask])
    _renew_hashes(copy)
    folder.rename(old)
    copy.rename(folder)
    shutil.rmtree(old)
    return removed


def _own_files(folder: Path, column: str) -> list[Path]:
    return [path for path in _subject_files(folder, column) if path.parent == folder]


def _renew_hashes(folder: Path) -> None:
    """Bring the manifest's SHA-256 of each file up to date."""
    path = folder / _MANIFEST
    if not path.exists():
        return
    manifest = json.loads(path.read_text())
    for name in manifest.get("files", {}):
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest, indent=1))
