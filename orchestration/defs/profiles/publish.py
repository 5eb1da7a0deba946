"""Writing a result to the lake, with a last look at who may be in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from consent.agreements import is_permitted
from orchestration.lineage.columns import ColumnLineage, lineage_metadata
from privacy import lake
from privacy.contracts import AssetContract, DeltaStore, Purpose

__all__ = ["Published", "publish", "publish_of_subjects"]

_MAY_BE_UNNAMED = frozenset({"session"})


@dataclass(frozen=True, slots=True)
class Published:
    """What was written: rows, the Delta version, and whether each row's key is there and there once."""

    rows: int
    version: int
    keys_hold: bool

    def result(
        self, check_name: str, lineage: ColumnLineage, **metadata: int | str
    ) -> dg.MaterializeResult[None]:
        """The asset's result: counts, what its columns are made of, and the outcome of its key check."""
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": self.rows,
                "delta_version": self.version,
                **lineage_metadata(lineage),
                **metadata,
            },
            check_results=[dg.AssetCheckResult(check_name=check_name, passed=self.keys_hold)],
        )


def publish(contract: AssetContract, rows: pa.Table, key: Sequence[str]) -> Published:
    """Make `rows` the whole content of the contract's Delta table; `key` names the columns that identify a row."""
    assert isinstance(contract.store, DeltaStore)
    version = lake.replace(contract.store.path, rows)
    return Published(rows.num_rows, version, _keys_hold(rows, key))


def publish_of_subjects(
    contract: AssetContract, rows: pa.Table, key: Sequence[str], purpose: Purpose
) -> Published:
    """Publish `rows` without the subjects who withdrew, objected or were erased since they were read.

    The ledger is asked before the write, and once more after it: whoever left in between is erased from the table.
    """
    assert isinstance(contract.store, DeltaStore)
    kept = rows.filter(is_permitted(rows["pseudonym"], purpose, contract.key))
    published = publish(contract, kept, key)
    left = pc.invert(is_permitted(kept["pseudonym"], purpose, contract.key))
    gone = pc.unique(kept["pseudonym"].filter(left)).to_pylist()
    if gone:
        lake.erase(contract.store.path, "pseudonym", gone)
    return Published(
        lake.count(contract.store.path) if gone else published.rows,
        published.version,
        published.keys_hold,
    )


def _keys_hold(rows: pa.Table, key: Sequence[str]) -> bool:
    keys = rows.select(list(key))
    return bool(
        keys.group_by(list(key)).aggregate([]).num_rows == rows.num_rows
        and all(keys[name].null_count == 0 for name in key if name not in _MAY_BE_UNNAMED)
    )
