"""Stores of the privacy part whose rows say themselves when they end."""

import time

from privacy import duties
from privacy.contracts import AssetContract
from privacy.database import Role, connect
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.scratch import in_use
from privacy.settings import platform_settings
from privacy.stores import handler_for
from privacy.stores.own import last_change

__all__ = ["ExportsExpiry", "RetainedRecordsExpiry", "TemporaryFilesExpiry"]


class ExportsExpiry(Expiry):
    """Exports of access requests, which carry the moment they expire."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Exports that have expired."""
        with connect(Role.PRIVACY) as connection:
            row = connection.execute(
                "select count(*) from requests.exports where expires <= now()"
            ).fetchone()
        return Overdue(int(row[0]) if row else 0)

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete the expired exports."""
        with connect(Role.PRIVACY) as connection:
            return connection.execute(
                "delete from requests.exports where expires <= now()"
            ).rowcount


class RetainedRecordsExpiry(Expiry):
    """Records under a legal duty, each of which says on which day the duty ends."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Records whose duty has ended."""
        return Overdue(duties.ended())

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete them."""
        return duties.release()


class TemporaryFilesExpiry(Expiry):
    """Files and folders of the temporary folder that nobody has changed since the retention began, and that no process uses."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Abandoned files and folders."""
        folder = platform_settings().tmp_dir
        entries = list(folder.iterdir()) if folder.is_dir() else []
        limit = min(due.before.timestamp(), time.time())
        return Overdue(sum(last_change(path) < limit and not in_use(path) for path in entries))

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete them; the store's handler knows what is abandoned, and waits less than the contract allows."""
        return handler_for(contract).erase(contract, [])
