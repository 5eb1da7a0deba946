"""Rows of Delta tables, by the contract's column; the files that held them are deleted at once."""

from privacy import lake
from privacy.contracts import AssetContract, DeltaStore
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.stores.base import StoreError

__all__ = ["DeltaExpiry"]


class DeltaExpiry(Expiry):
    """Rows older than the contract's column allows; null times are not overdue."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Rows of the newest version past the retention; older versions are gone a day after it."""
        path, column = _place(contract)
        if not lake.exists(path):
            return Overdue(why="no such table yet")
        found, held = lake.overdue(path, column, due.before, contract.subject, sorted(due.held))
        return Overdue(found, held)

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete the rows by a merge that writes no subject into the log, and every file no longer in use."""
        path, column = _place(contract)
        return lake.expire(path, column, due.before, contract.subject, sorted(due.held))


def _place(contract: AssetContract) -> tuple[str, str]:
    if not isinstance(contract.store, DeltaStore) or not contract.retention:
        raise StoreError(f"Asset {contract.key} is no Delta table with a retention.")
    if contract.retention.column is None:
        raise StoreError(
            f"Asset {contract.key} lies in the lake and its retention names no column: say from which time it is counted."
        )
    return contract.store.path, contract.retention.column
