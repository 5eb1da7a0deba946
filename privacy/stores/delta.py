"""Delta tables of the lake: found and exported with DuckDB over the snapshot's files, erased by `privacy.lake`."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from privacy import lake
from privacy.contracts import AssetContract, DeltaStore
from privacy.duckdb_memory import duckdb_cursor
from privacy.stores.base import BATCH_ROWS, StoreError, StoreHandler, plain, subject_column

__all__ = ["DeltaHandler"]


def _path(contract: AssetContract) -> str:
    if not isinstance(contract.store, DeltaStore):
        raise StoreError(f"Asset {contract.key} does not lie in the lake ({contract.store.kind}).")
    return contract.store.path


def _select(contract: AssetContract, columns: str, rest: str, wanted: Sequence[str]) -> pa.Table:
    """Rows of the newest snapshot whose subject column is one of `wanted`; empty where no table is."""
    path = _path(contract)
    files = list(lake.open_table(path).file_uris()) if lake.exists(path) else []
    if not files:
        return pa.table({})
    subject = '"' + subject_column(contract).replace('"', '""') + '"'
    with duckdb_cursor() as database:
        database.register("wanted", pa.table({"subject": pa.array(list(wanted), pa.string())}))
        return database.execute(
            f"select {columns.format(subject=subject)} from read_parquet(?, union_by_name = true) "  # noqa: S608 (names from the contract, quoted)
            f"where {subject} in (select subject from wanted) {rest}",
            [files],
        ).to_arrow_table()


class DeltaHandler(StoreHandler):
    """Rows of a Delta table whose subject column holds the pseudonym."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Rows per subject in the newest snapshot."""
        rows = _select(
            contract, "{subject} as subject, count(*) as rows", "group by 1", pseudonyms
        ).to_pylist()
        return {row["subject"]: int(row["rows"]) for row in rows}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The subject's rows, every column but the pseudonym."""
        rows = _select(contract, "*", "", [pseudonym]).to_pylist()
        column = subject_column(contract)
        return [
            {name: plain(value) for name, value in row.items() if name != column} for row in rows
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Rewrite the files without the subjects' rows and delete every file no longer in use."""
        return lake.erase(_path(contract), subject_column(contract), pseudonyms)

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The subject column of every row of the newest snapshot."""
        path, column = _path(contract), subject_column(contract)
        if not lake.exists(path):
            return
        rows = lake.open_table(path).to_pyarrow_dataset()
        for batch in rows.to_batches(columns=[column], batch_size=BATCH_ROWS):
            yield batch.column(0).cast(pa.string())
