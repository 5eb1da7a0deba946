"""After a restore: who was erased since the backup is erased again, before anything reads what was restored.

Each finished erasure stamps every store with its number (`stamp`). A store whose stamp is older than the journal's count was
restored, and the platform does not start (`refuse_restored`) until `after_restore` has taken up the journal's tombstones,
found by their keyed hashes whom the stores hold again, and erased them everywhere, verified and certified like any erasure.
A folder that held data once and is empty (`privacy.folders`) is refused as well: it is not mounted, or its content was lost. So is a
journal that lacks what the stamps and the database show (`privacy.epochs.whole_journal`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from privacy import audit, folders, registry, requests, tombstone_journal, tombstones
from privacy.database import Role, connect
from privacy.epochs import newest, stamp, stamps, whole_journal
from privacy.folders import Folder
from privacy.registry import Registry
from privacy.requests import PrivacyRequest, RequestStatus
from privacy.stores import handler_for

__all__ = [
    "MissingFolderError",
    "RestoreReport",
    "RestoredError",
    "after_restore",
    "refuse_restored",
    "returned",
]

_ACTOR = "after-restore"
_BATCH = 1_000


class RestoredError(RuntimeError):
    """A store was restored from a backup, and may hold who was erased since; names it and what to do."""


class MissingFolderError(RestoredError):
    """A folder that held data once is empty; names it and what to do."""


@dataclass(frozen=True)
class RestoreReport:
    """What `after_restore` did: tombstones taken up, subjects who had come back, and requests that are not complete.

    `unknown` counts erasures of which no tombstone is left anywhere, for a journal that was begun anew.
    """

    tombstones: int
    returned: int
    incomplete: tuple[PrivacyRequest, ...]
    unknown: int = 0


def refuse_restored() -> None:
    """Raise RestoredError where a store is older than the last finished erasure, or Postgres lacks a tombstone of the journal.

    MissingFolderError where a folder is not there that should be, and LostJournalError where the journal itself lacks erasures.
    Notes which folders hold something now.
    """
    folders.note_used()
    _refuse_missing()
    journal = whole_journal()
    stale = [
        store for store, number in stamps().items() if number is not None and number < journal.epoch
    ]
    if not stale and (lost := tombstones.missing(journal.tombstones)):
        stale = [f"Postgres (tombstones missing: {lost})"]
    if stale:
        raise RestoredError(
            f"Restored from a backup that is older than the last erasure: {', '.join(stale)}. Nothing may read it before "
            "'./selvedge privacy after-restore' has erased again who was erased since (docs/runbooks/restore.md)."
        )


def _refuse_missing() -> None:
    if missing := folders.missing():
        raise MissingFolderError(
            f"Held data once and is empty: {', '.join(missing)}. Whoever is erased now would stay in it. Mount or restore it, "
            "or, where it is gone for good, say so with './selvedge privacy after-restore --lost "
            f"{missing[0]}' (docs/runbooks/restore.md)."
        )


def after_restore(
    journals: Sequence[Path] = (), lost: Sequence[Folder] = (), *, new_journal: bool = False
) -> RestoreReport:
    """Erase again whoever the restored stores hold and a tombstone names.

    `journals` are copies of the journal of tombstones, for where its own was lost, or restored as well; `lost` names folders
    that are gone for good. With `new_journal` what the journal lacks is taken from the database, for where no copy is left.
    May be repeated; what could not be erased is named, and the platform stays refused. Raises JournalError
    and MissingFolderError.
    """
    folders.forget(lost)
    _refuse_missing()
    for path in journals:
        tombstone_journal.replace(tombstone_journal.read(path))
    unknown = _completed() if new_journal else 0
    journal = whole_journal()
    tombstones.take_up(journal.tombstones)
    found = registry.load()
    back = sorted(returned(found))
    incomplete = [request for some in _batches(back) for request in _erased(some)]
    left = tuple(request for request in incomplete if request.status is not RequestStatus.COMPLETED)
    if not left and not returned(found):
        stamp(max(journal.epoch, tombstone_journal.read().epoch))
    return RestoreReport(len(journal.tombstones), len(back), left, unknown)


def _completed() -> int:
    """Add to the journal what the database has and it lacks; returns of how many erasures neither has a tombstone."""
    held, journal = stamps(), tombstone_journal.read()
    number = newest(held)
    # The database holds the tombstones of every erasure that it went through, the journal those of every one that it counts.
    unknown = max(0, number - max(held["Postgres"] or 0, journal.epoch))
    added = tombstones.unknown_to(journal.tombstones)
    tombstone_journal.append([(entry.token, entry.kind, entry.erased_at) for entry in added])
    tombstone_journal.append_epoch(number)
    audit.record(
        _ACTOR, "journal completed", {"tombstones": len(added), "erasures_unknown": unknown}
    )
    return unknown


def returned(found: Registry) -> set[str]:
    """Pseudonyms that a store holds although their subject was erased."""
    held: set[str] = set()
    for contract in found.holding_subjects:
        held |= handler_for(contract).subjects(contract)
    names = sorted(held)
    return {name for name, gone in zip(names, tombstones.is_erased(names), strict=True) if gone}


def _erased(pseudonyms: Sequence[str]) -> list[PrivacyRequest]:
    asked = requests.submit_erasures(pseudonyms, _ACTOR)
    requests.process_open(limit=_open_requests())
    return [requests.get(request.request_id) for request in asked]


def _open_requests() -> int:
    """All of them: a backup may hold open requests that are older than those made here."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute("select count(*) from requests.privacy_requests").fetchone()
    return int(row[0]) if row else 0


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
