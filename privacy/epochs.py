"""The stamp of each store: the number of the last finished erasure that it went through."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from privacy import folders, tombstone_journal, tombstones
from privacy.database import Role, connect
from privacy.secret_files import write_private
from privacy.stores.redis import redis_client
from privacy.tombstone_journal import Journal, LostJournalError

__all__ = ["advance", "newest", "stamp", "stamps", "whole_journal"]

_FILE = ".epoch"
_POSTGRES, _REDIS = "Postgres", "Redis"
REDIS_KEY = "sv:epoch"


def advance() -> int:
    """Count one more finished erasure; stamps what is current, then notes it in the journal.

    In this order a crash makes no store look old. A store that was restored keeps its old stamp: `privacy.restore` alone may
    say that it is current again. Raises LostJournalError: counting on from a journal that was cut short would hide that.
    """
    epoch = whole_journal().epoch
    current = [name for name, held in stamps().items() if held is None or held >= epoch]
    _stamp(current, epoch + 1)
    tombstone_journal.append_epoch(epoch + 1)
    return epoch + 1


def whole_journal() -> Journal:
    """The journal of tombstones, as its own lines, the stores and the database agree on it.

    Raises JournalError, and LostJournalError where a store went through an erasure that it does not count, or the database
    has a tombstone that it does not: without it a restored store could not be told whom it may not bring back. Not to be
    called within `tombstones.writing`, which it holds itself, so that nobody is buried between two looks.
    """
    with tombstones.writing():
        held = stamps()  # before the journal, which runs ahead of them
        journal = tombstone_journal.read()
        unknown = len(tombstones.unknown_to(journal.tombstones))
    if wrong := _ahead(held, journal.epoch):
        raise _lost(f"{wrong}, and the journal counts {journal.epoch}")
    if unknown:
        raise _lost(f"{unknown} tombstones of the database are not in it")
    return journal


def newest(held: Mapping[str, int | None]) -> int:
    """The number of the last erasure that any store went through."""
    return max(number or 0 for number in held.values())


def _ahead(held: Mapping[str, int | None], epoch: int) -> str:
    """Which stores went through more erasures than the journal counts, with their number; empty where none did.

    A crash between the stamps and the journal's line leaves stores one ahead, Postgres first.
    """
    allowed = epoch + 1 if (held[_POSTGRES] or 0) > epoch else epoch
    return ", ".join(
        f"{name} went through {number} erasures"
        for name, number in held.items()
        if number is not None and number > allowed
    )


def _lost(why: str) -> LostJournalError:
    return LostJournalError(
        f"The journal of tombstones was lost or cut short: {why}. Give a copy of it with './selvedge privacy after-restore "
        "--tombstones FILE'; where there is none, begin it anew with '--new-journal' (docs/runbooks/restore.md)."
    )


def stamp(number: int) -> None:
    """Stamp every store with `number`."""
    _stamp(stamps(), number)


def _stamp(names: Iterable[str], number: int) -> None:
    """Stamp these stores, in the order of `stamps`: Postgres first."""
    for name in names:
        if name == _POSTGRES:
            _stamp_postgres(number)
        elif name == _REDIS:
            with redis_client() as client:
                client.set(REDIS_KEY, number)
        else:
            # An empty folder is made and stamped, for what is written into it later is newer than this erasure.
            folder = _folders()[name]
            folders.note_writing(folder)
            write_private(folder / _FILE, str(number))


def _stamp_postgres(number: int) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "insert into requests.erasure_epoch (number) values (%s) "
            "on conflict (one_row) do update set number = excluded.number",
            [number],
        )


def stamps() -> Mapping[str, int | None]:
    """The stamp of each store by its name; 0 for one that has none, None for one that is empty and can hold nobody."""
    return {
        _POSTGRES: _postgres(),
        _REDIS: _redis(),
        **{name: _folder(folder) for name, folder in _folders().items()},
    }


def _folders() -> dict[str, Path]:
    return {f"the {name}": folder for name, folder in folders.data_folders().items()}


def _postgres() -> int:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute("select number from requests.erasure_epoch").fetchone()
    return int(row[0]) if row else 0


def _redis() -> int | None:
    with redis_client() as client:
        number = client.get(REDIS_KEY)
        return int(number) if number is not None else (0 if client.dbsize() else None)


def _folder(folder: Path) -> int | None:
    path = folder / _FILE
    if path.exists():
        return int(path.read_text())
    return 0 if folder.is_dir() and any(folder.iterdir()) else None
