"""What lies under a folder, links followed: state that was moved to another disk and linked back is the same state.

Each folder is entered once, however many links lead to it, so that a link to a folder above ends. What cannot be listed or
looked at, and links that lead nowhere (a disk that is not mounted), are given to the caller to report: they exist, and nobody knows
what is in them. What vanishes meanwhile is left out.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["files_under", "walk"]

Report = Callable[[Path], None]


def walk(folder: Path, unknown: Report) -> Iterator[tuple[Path, list[str], list[str]]]:
    """``(folder, names of folders, names of others)`` for each folder, top down; may remove names of folders to skip them.

    `unknown` is called with each folder that cannot be listed.
    """
    entered: set[tuple[int, int]] = set()

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            unknown(Path(error.filename))

    if not _is_new(folder, entered, unknown):
        return
    for root, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        here = Path(root)
        # A folder is known by its own name rather than by a link's.
        ordered = sorted(folders, key=lambda name: ((here / name).is_symlink(), name))
        folders[:] = [name for name in ordered if _is_new(here / name, entered, unknown)]
        yield here, folders, sorted(names)


def files_under(folder: Path, unknown: Report) -> Iterator[Path]:
    """Every file under `folder`; sockets, pipes and devices hold nothing and are left out.

    `unknown` is called with each folder that cannot be listed, and each entry of which nobody can say what it is.
    """
    for root, _, names in walk(folder, unknown):
        for name in names:
            path = root / name
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield path
            except FileNotFoundError:
                if path.is_symlink():  # it leads nowhere
                    unknown(path)
            except OSError:
                unknown(path)


def _is_new(folder: Path, entered: set[tuple[int, int]], unknown: Report) -> bool:
    """Whether `folder` is there and was not entered yet; it counts as entered from now on."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    except OSError:
        unknown(folder)
        return False
    identity = (found.st_dev, found.st_ino)
    if identity in entered:
        return False
    entered.add(identity)
    return True
