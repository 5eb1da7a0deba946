"""Nearest items by cosine in Faiss: exact for small catalogues, a graph (HNSW) for large ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recommenders.factor_model import unit_rows

__all__ = ["EXACT_UP_TO", "ItemIndex"]

EXACT_UP_TO = 50_000
_FILE = "items.faiss"
# One query at a time gains nothing from threads, and waits for them where other processes use the cores.
faiss.omp_set_num_threads(1)
_NEIGHBOURS, _EF_CONSTRUCTION, _EF_SEARCH = 32, 200, 128


class ItemIndex:
    """Rows of a catalogue by the direction of their vectors. Items without a vector are never found."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> "ItemIndex":
        """Index item vectors of shape (items, components); similarity is cosine."""
        items, components = vectors.shape
        if items <= EXACT_UP_TO:
            index: Any = faiss.IndexFlatIP(components)
        else:
            index = faiss.IndexHNSWFlat(components, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction, index.hnsw.efSearch = _EF_CONSTRUCTION, _EF_SEARCH
        index.add(np.ascontiguousarray(unit_rows(vectors)))
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def vectors(self, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Unit vectors of `rows`, shape (rows, components)."""
        return np.stack([self._index.reconstruct(int(row)) for row in rows])

    def nearest(
        self, vectors: NDArray[np.float32], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and cosines of the `limit` items nearest to each of `vectors` (n, components), nearest first.

        Both results have shape (n, min(limit, items)).
        """
        cosines, rows = self._index.search(
            np.ascontiguousarray(unit_rows(vectors)), min(limit, len(self))
        )
        return rows, cosines

    def save(self, folder: Path) -> None:
        """Write the index into `folder`."""
        faiss.write_index(self._index, str(folder / _FILE))

    @classmethod
    def load(cls, folder: Path) -> "ItemIndex":
        """Read what `save` wrote; verify the artefact's hashes before."""
        return cls(faiss.read_index(str(folder / _FILE)))
