"""The journal of tombstones: their copy outside every backup, so that a restore cannot bring back who was erased.

A restored database knows the tombstones of its own day only. So each is appended to a file as well, before it counts: one JSON
object a line, each with the SHA-256 of the line before and the platform's signature. The file holds keyed hashes and times,
leads to nobody, and is only appended to. Keep it out of what is restored with the rest, and copy it elsewhere as it grows.

It also counts erasures (`epoch`): each store is stamped with the count, so that a store with an older stamp was restored, and a
journal that counts fewer than the stamps was lost or cut short.
"""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from privacy import signing
from privacy.settings import platform_settings

__all__ = [
    "Journal",
    "JournalError",
    "LostJournalError",
    "Tombstone",
    "append",
    "append_epoch",
    "journal_path",
    "read",
    "replace",
]

_DOMAIN = b"selvedge/tombstones/1\n"
_GENESIS = hashlib.sha256(_DOMAIN).hexdigest()
_HASH_LENGTH = 64


class JournalError(RuntimeError):
    """The journal was changed, cut or signed by another key; names the line."""


class LostJournalError(JournalError):
    """The journal lacks erasures that the stores went through: it was lost, or cut short; says what to do."""


@dataclass(frozen=True)
class Tombstone:
    """A keyed hash of a pseudonym or of an identifier, and when its subject was erased."""

    token: bytes
    kind: str
    erased_at: datetime


@dataclass(frozen=True)
class Journal:
    """What a journal holds: every tombstone, in order, how many erasures were finished, and its lines."""

    tombstones: tuple[Tombstone, ...] = ()
    epoch: int = 0
    lines: tuple[bytes, ...] = ()


def journal_path() -> Path:
    """Where the journal lies."""
    return platform_settings().tombstones_dir / "journal.jsonl"


def append(tombstones: Sequence[tuple[bytes, str, datetime]]) -> None:
    """Append (token, kind, time of erasure) of each; on disk when this returns."""
    if tombstones:
        entries = [
            [kind, token.hex(), at.astimezone(UTC).isoformat()] for token, kind, at in tombstones
        ]
        with _open() as file:
            _append(file, {"tombstones": entries})


def append_epoch(number: int) -> None:
    """Note that `number` erasures were finished; one that is not beyond the last is left out."""
    with _open() as file:
        if number > read().epoch:
            _append(file, {"epoch": number})


def read(path: Path | None = None) -> Journal:
    """The journal at `path` (the platform's own), checked line by line; empty where there is none.

    A last line without its end, which a crash cut short, never counted and is left out. Raises JournalError.
    """
    path = path or journal_path()
    if not path.exists():
        return Journal()
    public = signing.public_key_pem()
    found: list[Tombstone] = []
    epoch, prev, lines = 0, _GENESIS, _whole_lines(path.read_bytes())
    for number, line in enumerate(lines, 1):
        content = _checked(line, prev, public, f"{path.name}, line {number}")
        found += [_tombstone(*entry) for entry in content.get("tombstones", ())]
        epoch = max(epoch, int(content.get("epoch", 0)))
        prev = hashlib.sha256(line).hexdigest()
    return Journal(tuple(found), epoch, tuple(lines))


def replace(journal: Journal) -> None:
    """Make a copy that holds more the platform's own journal.

    Where its own was begun anew since it was lost, what was added there is added to the copy's.
    """
    own = read()
    if own.lines[: len(journal.lines)] == journal.lines:
        return
    begun_anew = journal.lines[: len(own.lines)] != own.lines
    with _open() as file:
        if begun_anew:
            file.truncate(0)
        file.seek(0, os.SEEK_END)
        for line in journal.lines[0 if begun_anew else len(own.lines) :]:
            file.write(line + b"\n")
        _flush(file)
    if begun_anew:
        held = {(entry.token, entry.erased_at) for entry in journal.tombstones}
        append([(e.token, e.kind, e.erased_at) for e in own.tombstones if (e.token, e.erased_at) not in held])  # fmt: skip
        append_epoch(own.epoch)


def _tombstone(kind: str, token: str, at: str) -> Tombstone:
    return Tombstone(bytes.fromhex(token), kind, datetime.fromisoformat(at))


def _whole_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _checked(line: bytes, prev: str, public: bytes, where: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(line)
        signature = base64.b64decode(content.pop("signature"))
        signing.verify(public, _message(content), signature)
    except (ValueError, KeyError, TypeError, signing.InvalidSignatureError) as error:
        raise JournalError(
            f"{where} is not what was written: restore the journal from another copy of it, and the signing key with it."
        ) from error
    if content["prev"] != prev:
        raise JournalError(
            f"{where} does not follow the line before it: a line was removed or moved; use another copy of the journal."
        )
    return content


def _message(content: dict[str, Any]) -> bytes:
    return _DOMAIN + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@contextmanager
def _open() -> Iterator[Any]:
    """The journal, for appending, alone; what a crash left of a line is cut off."""
    path = journal_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(_end_of_lines(file))
        file.seek(0, os.SEEK_END)
        yield file


def _end_of_lines(file: Any) -> int:
    """Where the last whole line ends."""
    end: int = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        newline: int = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _append(file: Any, content: dict[str, Any]) -> None:
    message = {**content, "prev": _last_hash(file)}
    signature = base64.b64encode(signing.sign(_message(message))).decode()
    file.seek(0, os.SEEK_END)
    file.write(json.dumps({**message, "signature": signature}).encode() + b"\n")
    _flush(file)


def _last_hash(file: Any) -> str:
    """The SHA-256 of the last line."""
    end: int = file.seek(0, os.SEEK_END)
    if end == 0:
        return _GENESIS
    size, data = 65_536, b""
    while True:
        start = max(0, end - size)
        file.seek(start)
        data = file.read(end - start)
        newline = data.rfind(b"\n", 0, len(data) - 1)
        if newline >= 0 or start == 0:
            return hashlib.sha256(data[newline + 1 : -1]).hexdigest()
        size *= 4


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
