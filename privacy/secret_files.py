"""Secrets that development generates for itself: one file each, mode 0600, in a folder of mode 0700.

They begin with a mark, so that production can refuse one wherever it was copied to.
"""

import os
import secrets
from pathlib import Path

__all__ = ["generated_secret", "is_generated", "write_private"]

_MARK = "development-"


def is_generated(secret: str) -> bool:
    """Whether development generated `secret` for itself."""
    return secret.startswith(_MARK)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by its owner alone, replacing what is there in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def generated_secret(path: Path) -> str:
    """The secret in `path`, made there (a mark and 256 random bits, hexadecimal) by the first caller."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        candidate = path.with_name(f"{path.name}.{os.getpid()}.candidate")
        write_private(candidate, _MARK + secrets.token_hex(32))
        try:
            os.link(candidate, path)  # atomic, and fails if another process was first
        except FileExistsError:
            return path.read_text()
        finally:
            candidate.unlink()
    return path.read_text()
