"""The folders of data: which of them ever held something, so that one which is not mounted is not taken for an empty one.

A search finds nobody in an empty folder. Where data was once written there, that proves nothing: the folder is missing, an
erasure stays incomplete, and the platform does not start.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from privacy.database import Role, connect
from privacy.settings import platform_settings

__all__ = ["Folder", "data_folders", "forget", "missing", "note_used", "note_writing"]


class Folder(StrEnum):
    """A folder of data outside the database."""

    LAKE = "lake"
    MODELS = "models"


def data_folders() -> Mapping[Folder, Path]:
    """Where each folder lies."""
    settings = platform_settings()
    return {Folder.LAKE: settings.lake_dir, Folder.MODELS: settings.models_dir}


def note_writing(path: Path) -> None:
    """Note that data is about to be written at `path`; nothing is noted of a path outside them."""
    _note(name for name, folder in data_folders().items() if path.is_relative_to(folder))


def note_used() -> None:
    """Note every folder that holds something now."""
    _note(name for name, folder in data_folders().items() if not _is_empty(folder))


def missing() -> list[Folder]:
    """Folders that held data once and are empty, or not there."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute("select name from requests.folders order by name").fetchall()
    folders = data_folders()
    return [Folder(name) for (name,) in rows if _is_empty(folders[Folder(name)])]


def forget(folders: Iterable[Folder]) -> None:
    """Note that folders are gone for good with what they held."""
    with connect(Role.PRIVACY) as connection:
        connection.execute("delete from requests.folders where name = any(%s)", [list(folders)])


def _note(names: Iterable[Folder]) -> None:
    if not (used := list(names)):
        return
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "insert into requests.folders (name) select unnest(%s::text[]) on conflict do nothing",
            [used],
        )


def _is_empty(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.iterdir())
