"""The stamp of each store: the number of the last finished erasure that it went through."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from privacy import folders, tombstone_journal
from privacy.database import Role, connect
from privacy.secret_files import write_private
from privacy.stores.redis import redis_client

__all__ = ["advance", "stamp", "stamps"]

_FILE = ".epoch"
_POSTGRES, _REDIS = "Postgres", "Redis"
REDIS_KEY = "sv:epoch"


def advance() -> int:
    """Count one more finished erasure; stamps what is current, then notes it in the journal.

    In this order a crash makes no store look old. A store that was restored keeps its old stamp: `privacy.restore` alone may
    say that it is current again.
    """
    epoch = tombstone_journal.read().epoch
    current = [name for name, held in stamps().items() if held is None or held >= epoch]
    _stamp(current, epoch + 1)
    tombstone_journal.append_epoch(epoch + 1)
    return epoch + 1


def stamp(number: int) -> None:
    """Stamp every store with `number`."""
    _stamp(stamps(), number)


def _stamp(names: Iterable[str], number: int) -> None:
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
