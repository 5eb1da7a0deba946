"""The stamp of each store: the number of the last finished erasure that it went through."""

from collections.abc import Mapping
from pathlib import Path

from privacy import tombstone_journal
from privacy.database import Role, connect
from privacy.secret_files import write_private
from privacy.settings import platform_settings
from privacy.stores.redis import redis_client

__all__ = ["advance", "stamp", "stamps"]

_FILE = ".epoch"
REDIS_KEY = "sv:epoch"


def advance() -> int:
    """Stamp every store with the next number, then count it in the journal: a crash in between makes no store look old."""
    number = tombstone_journal.read().epoch + 1
    stamp(number)
    tombstone_journal.append_epoch(number)
    return number


def stamp(number: int) -> None:
    """Stamp every store that exists with `number`."""
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "insert into requests.erasure_epoch (number) values (%s) "
            "on conflict (one_row) do update set number = excluded.number",
            [number],
        )
    with redis_client() as client:
        client.set(REDIS_KEY, number)
    for folder in _folders().values():
        if folder.is_dir():
            write_private(folder / _FILE, str(number))


def stamps() -> Mapping[str, int | None]:
    """The stamp of each store by its name; 0 for one that has none, None for one that is empty and can hold nobody."""
    return {
        "Postgres": _postgres(),
        "Redis": _redis(),
        **{name: _folder(folder) for name, folder in _folders().items()},
    }


def _folders() -> dict[str, Path]:
    settings = platform_settings()
    return {"the lake": settings.lake_dir, "the models": settings.models_dir}


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
