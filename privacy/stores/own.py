"""Stores of the privacy part itself: the vault, exports, privacy requests, and short-lived files."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from privacy.contracts import AssetContract
from privacy.corrections import corrections_of
from privacy.database import Role, connect
from privacy.fingerprints import SealError, fingerprints, stand_ins, unseal
from privacy.keys import KeyProviderError
from privacy.scratch import in_use, is_abandoned
from privacy.settings import platform_settings
from privacy.stores.base import StoreHandler
from privacy.stores.postgres import PostgresHandler
from privacy.vault import Vault

__all__ = [
    "ExportsHandler",
    "RectificationsHandler",
    "RequestsHandler",
    "RetainedRecordsHandler",
    "TemporaryFilesHandler",
    "VaultHandler",
    "last_change",
]


class VaultHandler(PostgresHandler):
    """The vault: direct identifiers are exported in clear to their owner; erasing destroys the data key as well."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """1 for each subject that the vault knows."""
        return dict.fromkeys(sorted(Vault().known(pseudonyms)), 1)

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Each direct identifier, decrypted."""
        revealed = Vault().reveal(pseudonym)
        return [{"field": field, "value": value} for field, value in sorted(revealed.items())]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the subjects with keys, lookups and direct identifiers."""
        return Vault().erase(pseudonyms)

    def tables(self, contract: AssetContract) -> tuple[tuple[str, str], ...]:
        """The vault's three tables."""
        return (("vault", "subjects"), ("vault", "identifiers"), ("vault", "direct_identifiers"))


class ExportsHandler(PostgresHandler):
    """Exports made for earlier access requests: encrypted, so an export names them but does not repeat them.

    They are found by the pseudonym, or by the keyed stand-in under which they are kept for who is not a subject.
    """

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Exports per subject."""
        whose = {name: subject for subject in pseudonyms for name in _names(subject)}
        counts: dict[str, int] = {}
        for name, count in super().find(contract, list(whose)).items():
            counts[whose[name]] = counts.get(whose[name], 0) + count
        return counts

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the subjects' exports; returns how many there were."""
        return super().erase(contract, [name for subject in pseudonyms for name in _names(subject)])

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Each export's request and the time it expires."""
        rows = [
            row
            for name in _names(pseudonym)
            for row in super(ExportsHandler, self).export(contract, name)
        ]
        return [{name: row[name] for name in ("request_id", "expires")} for row in rows]


def _names(pseudonym: str) -> list[str]:
    return [pseudonym, *stand_ins(pseudonym)]


class RectificationsHandler(PostgresHandler):
    """What a subject corrected: encrypted, and exported in clear to its owner."""

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Each corrected value with its place and its time."""
        return [
            {
                "asset": correction.asset_key,
                "row": correction.row_key or None,
                "field": correction.column,
                "value": correction.value,
                "rectified_at": at.isoformat(),
            }
            for correction, at in corrections_of([pseudonym]).get(pseudonym, ())
        ]


class RequestsHandler(StoreHandler):
    """A subject's privacy requests, found by their keyed fingerprint.

    While a request is open, it holds the subject's pseudonym, encrypted. An erasure takes it out of every other request; its
    own goes when it completes.
    """

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Open requests per subject, open erasures aside."""
        whose = {token: name for name in pseudonyms for token in fingerprints(name)}
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(
                "select fingerprint from requests.privacy_requests "
                "where fingerprint = any(%s) and kind <> 'erasure' and detail ? 'subject'",
                [list(whose)],
            ).fetchall()
        return dict(Counter(whose[bytes(row[0])] for row in rows))

    def subjects(self, contract: AssetContract) -> set[str]:
        """Those whom open requests are about, as far as their seals open."""
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(
                "select request_id, detail ->> 'subject' from requests.privacy_requests where detail ? 'subject'"
            ).fetchall()
        found: set[str] = set()
        for request_id, sealed in rows:
            with suppress(SealError, KeyProviderError):  # such a request is incomplete, and says so
                found.add(unseal(f"privacy request|{request_id}", sealed).decode())
        return found

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Every request of the subject that is known: kind, status and times."""
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(
                "select kind, status, created, completed from requests.privacy_requests "
                "where fingerprint = any(%s) order by created",
                [fingerprints(pseudonym)],
            ).fetchall()
        return [
            {
                "kind": kind,
                "status": status,
                "created": created.isoformat(),
                "completed": completed.isoformat() if completed else None,
            }
            for kind, status, created, completed in rows
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Cancel the subjects' other open requests and take the encrypted pseudonym out of them."""
        wanted = [token for name in pseudonyms for token in fingerprints(name)]
        with connect(Role.PRIVACY) as connection:
            return connection.execute(
                "update requests.privacy_requests set status = 'cancelled', completed = now(), "
                "detail = (detail - 'subject' - 'corrections') || '{\"reason\": \"the subject was erased\"}' "
                "where fingerprint = any(%s) and kind <> 'erasure' and detail ? 'subject'",
                [wanted],
            ).rowcount

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """Nothing: the requests hold no pseudonym that can be read."""
        yield from ()

    def tables(self, contract: AssetContract) -> tuple[tuple[str, str], ...]:
        """The table of requests."""
        return (("requests", "privacy_requests"),)


class RetainedRecordsHandler(StoreHandler):
    """Records under a legal duty: without a pseudonym, so that nobody is found in them (`privacy.duties`)."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Nobody: what leads to a subject was left behind."""
        return {}

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """Nothing: see `find`."""
        yield from ()

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Nothing: while they led to a subject, the records were exported with the asset they come from."""
        return []

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Nothing: the law keeps them, until `privacy.duties.release`."""
        return 0

    def tables(self, contract: AssetContract) -> tuple[tuple[str, str], ...]:
        """The table of retained records."""
        return (("requests", "retained_records"),)


class TemporaryFilesHandler(StoreHandler):
    """Files of the temporary folder, such as what a run of Spark or DuckDB that crashed left behind (encrypted, so not searchable)."""

    ABANDONED_AFTER = timedelta(hours=1)

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Nobody can be found in a temporary file; see `erase`."""
        return {}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Nothing: these are passing copies of what the other assets hold."""
        return []

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """Nothing: see `find`."""
        yield from ()

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete what ended processes left behind, and what no one has changed for an hour; returns how many files and folders.

        The folder of a process that runs stays: what lies in it is encrypted, and goes with the process.
        """
        folder, removed = platform_settings().tmp_dir, 0
        limit = time.time() - self.ABANDONED_AFTER.total_seconds()
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if in_use(path) or (last_change(path) >= limit and not is_abandoned(path)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            removed += 1
        return removed


def last_change(path: Path) -> float:
    """Unix time of the newest change of `path` or of anything in it."""
    return max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))
