"""How each model lies in the files of its artefact, and how it is read back."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recommenders.artifacts import Manifest, load_manifest, version_folder
from recommenders.catalogue import Catalogue
from recommenders.factor_model import FactorModel
from recommenders.item_index import ItemIndex

__all__ = [
    "REPORT",
    "SUBJECT_ARRAYS",
    "load_factor_model",
    "load_item_index",
    "load_item_scores",
    "write_factor_model",
    "write_item_index",
    "write_item_scores",
]

REPORT = "report.json"
SUBJECT_ARRAYS = {"subjects.parquet": ["subject_vectors.npy"]}
_CATALOGUE, _SCORES, _SUBJECTS, _FEATURES = (
    "catalogue.parquet",
    "item_scores.npy",
    "subjects.parquet",
    "features.json",
)
_ARRAYS = ("item_vectors", "item_biases", "fallback", "feature_vectors", "subject_vectors")


def _write_catalogue(catalogue: Catalogue, folder: Path) -> None:
    catalogue.items.write_parquet(folder / _CATALOGUE)


def _read_catalogue(folder: Path) -> Catalogue:
    return Catalogue.from_products(pl.read_parquet(folder / _CATALOGUE))


def _opened(name: str, version: str, root: Path | None) -> tuple[Path, Manifest]:
    folder = version_folder(name, version, root)
    return folder, load_manifest(folder)


def write_item_scores(
    catalogue: Catalogue, scores: NDArray[np.float32] | NDArray[np.float64], folder: Path
) -> None:
    """Write one score per item, in the catalogue's order."""
    _write_catalogue(catalogue, folder)
    np.save(folder / _SCORES, scores.astype(np.float32), allow_pickle=False)


def load_item_scores(
    name: str, version: str, root: Path | None = None
) -> tuple[Catalogue, NDArray[np.float32]]:
    """Catalogue and scores of a popularity-like model; raises ArtifactError where its files are not as hashed."""
    folder, _ = _opened(name, version, root)
    return _read_catalogue(folder), np.load(folder / _SCORES, allow_pickle=False)


def write_item_index(catalogue: Catalogue, index: ItemIndex, folder: Path) -> None:
    """Write the index and the catalogue that its rows mean."""
    _write_catalogue(catalogue, folder)
    index.save(folder)


def load_item_index(version: str, root: Path | None = None) -> tuple[Catalogue, ItemIndex]:
    """Catalogue and index; raises ArtifactError where the files are not as hashed."""
    folder, _ = _opened("item_index", version, root)
    return _read_catalogue(folder), ItemIndex.load(folder)


def write_factor_model(model: FactorModel, folder: Path) -> None:
    """Write a factor model; `SUBJECT_ARRAYS` says which of its arrays have a row per subject."""
    _write_catalogue(model.catalogue, folder)
    # No column statistics: they would repeat pseudonyms outside the rows that an erasure rewrites.
    pq.write_table(model.subjects.to_arrow(), folder / _SUBJECTS, write_statistics=False)
    (folder / _FEATURES).write_text(
        json.dumps(
            {
                "names": model.feature_names,
                "recent_weight": model.recent_weight,
                "fold_in_weight": model.fold_in_weight,
                "smallest_group": model.smallest_group,
            }
        )
    )
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(model, name), allow_pickle=False)


def load_factor_model(
    version: str, root: Path | None = None, *, name: str = "lightfm"
) -> FactorModel:
    """The factor model; raises ArtifactError where the files are not as hashed."""
    folder, _ = _opened(name, version, root)
    features = json.loads((folder / _FEATURES).read_text())
    arrays = {array: np.load(folder / f"{array}.npy", allow_pickle=False) for array in _ARRAYS}
    return FactorModel(
        catalogue=_read_catalogue(folder),
        feature_names=features["names"],
        subjects=pl.read_parquet(folder / _SUBJECTS),
        recent_weight=features["recent_weight"],
        fold_in_weight=features["fold_in_weight"],
        smallest_group=features.get("smallest_group"),
        **arrays,
    )
