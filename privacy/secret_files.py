"""Secrets that development generates for itself: one file each, mode 0600, in a folder of mode 0700."""

import os
import secrets
from pathlib import Path

__all__ = ["generated_secret", "write_private"]


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by its owner alone, replacing what is there in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def generated_secret(path: Path) -> str:
    """The secret in `path`, made there (256 random bits, hexadecimal) by the first caller."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        candidate = path.with_name(f"{path.name}.{os.getpid()}.candidate")
        write_private(candidate, secrets.token_hex(32))
        try:
            os.link(candidate, path)  # atomic, and fails if another process was first
        except FileExistsError:
            return path.read_text()
        finally:
            candidate.unlink()
    return path.read_text()
