"""Folders of short-lived files in the platform's temporary folder: one for each process and purpose, gone with the process.

A process that ends removes its own; one that was killed cannot, so the next process removes those of processes that are no more,
and so does every erasure (`platform/temporary_files`). A folder is named ``<purpose>-<process id>``, readable by its owner alone.
"""

import atexit
import os
import re
import shutil
from pathlib import Path

import psutil

from privacy.settings import platform_settings

__all__ = ["in_use", "is_abandoned", "remove_abandoned", "remove_scratch", "scratch_folder"]

_NAME = re.compile(r"[a-z]+-(?P<process>\d+)")
_TOLERANCE = 5.0  # seconds by which a process's start, counted from the machine's, may be off
_made: set[Path] = set()


def scratch_folder(purpose: str) -> Path:
    """This process's folder for `purpose` (lower-case letters), made if it is not there."""
    folder = _own(purpose)
    if folder not in _made:
        remove_abandoned()
        shutil.rmtree(folder, ignore_errors=True)  # of an older process with this number
        _made.add(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def remove_scratch(purpose: str) -> None:
    """Remove this process's folder for `purpose`, where there is one."""
    folder = _own(purpose)
    shutil.rmtree(folder, ignore_errors=True)
    _made.discard(folder)


def remove_abandoned() -> int:
    """Remove the folders of processes that are no more; returns how many there were."""
    parent = platform_settings().tmp_dir
    found = [path for path in parent.iterdir() if is_abandoned(path)] if parent.is_dir() else []
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def is_abandoned(path: Path) -> bool:
    """Whether `path` is the folder of a process that is no more."""
    return _NAME.fullmatch(path.name) is not None and not in_use(path)


def in_use(path: Path) -> bool:
    """Whether `path` is the folder of a process that runs, and not of another one that had the same number before."""
    match = _NAME.fullmatch(path.name)
    try:
        process = psutil.Process(int(match["process"])) if match else None
        return process is not None and process.create_time() <= path.stat().st_mtime + _TOLERANCE
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False


def _own(purpose: str) -> Path:
    return platform_settings().tmp_dir / f"{purpose}-{os.getpid()}"


@atexit.register
def _remove_own() -> None:
    for folder in _made:
        if folder.name.endswith(f"-{os.getpid()}"):  # a forked process leaves its parent's
            shutil.rmtree(folder, ignore_errors=True)
