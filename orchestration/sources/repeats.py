"""Rows whose key an earlier row already has."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Repeats"]


class Repeats:
    """Keys that occur more than once in a table: 24 bytes for each, and nothing for the others."""

    def __init__(self, found: pa.Table) -> None:
        """Take the rows of `query.duplicate_keys`: `_key`, `first_position` and `first_content`."""
        found = found.sort_by("_key")
        self._keys = found["_key"].to_numpy()
        self._positions = found["first_position"].to_numpy()
        self._contents = found["first_content"].to_numpy()

    def judge(self, block: pa.RecordBatch) -> pa.Array:
        """The reason of each row of `block`: its own, else that of a repetition, else null."""
        reasons = block["_reason"]
        if not len(self._keys) or not block.num_rows:
            return reasons
        keys = block["_key"].to_numpy()
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        later = self._positions[place] != block["_position"].to_numpy()
        repeated = (self._keys[place] == keys) & later
        same = self._contents[place] == block["_content"].to_numpy()
        words: Any = np.where(same, "exact_duplicate", "repeated_key").astype(object)
        return pc.coalesce(reasons, pa.array(np.where(repeated, words, None), pa.string()))
