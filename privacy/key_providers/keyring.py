"""What every provider shares: a private file of key versions, each sealed in the provider's own way, and their rotation."""

import fcntl
import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from privacy.keys import (
    KEY_BYTES,
    KEY_NAMES,
    Key,
    KeyFileRefusedError,
    KeyName,
    KeyProviderError,
    UnknownKeyError,
)
from privacy.secret_files import write_private
from privacy.settings import Environment, platform_settings

__all__ = ["KeyRing", "SealedKey"]


_CREATE = "SELVEDGE_ENVIRONMENT=production ./selvedge privacy create-keys"
_MADE_IN = "environment"


class SealedKey(NamedTuple):
    """One version of a key as the file holds it: text that only the provider opens."""

    name: str
    version: int
    sealed: str

    def __repr__(self) -> str:
        return f"SealedKey(name={self.name!r}, version={self.version}, sealed=<hidden>)"


class KeyRing(ABC):
    """Keys in one JSON file (the environment it was made in, and name to version to sealed key), readable by its owner alone.

    The file is made on first use in development and test. In production it is made by `create` alone, and one that was made
    elsewhere is refused. A file that group or others may read is refused in every environment. A change of the file (a rotation by another process) is noticed.
    """

    def __init__(self, path: Path | None = None, environment: Environment | None = None) -> None:
        settings = platform_settings()
        self.path = path or settings.secrets_dir / "keys.json"
        self._environment = environment or settings.environment
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._opened: dict[SealedKey, Key] = {}

    @abstractmethod
    def make(self, name: str, version: int) -> SealedKey:
        """A new random key, sealed for this name and version."""

    @abstractmethod
    def open(self, sealed: SealedKey) -> bytes:
        """The 32 bytes of a sealed key; raises KeyProviderError where it does not open, or not for this name and version."""

    @abstractmethod
    def renew(self, sealed: SealedKey) -> SealedKey:
        """The same key, sealed anew by the service's newest key; itself where nothing seals it."""

    def current(self, name: KeyName) -> Key:
        """The newest version of `name`."""
        return self.versions(name)[0]

    def get(self, name: KeyName, version: int) -> Key:
        """Version `version` of `name`; raises UnknownKeyError."""
        for key in self.versions(name):
            if key.version == version:
                return key
        raise UnknownKeyError(
            f"Key '{name}' has no version {version} in {self.path.name}: restore the key file that made the data."
        )

    def versions(self, name: KeyName) -> tuple[Key, ...]:
        """Every version of `name`, newest first."""
        self._refresh()
        try:
            return self._keys[name]
        except KeyError as error:
            raise UnknownKeyError(f"No key '{name}' in {self.path.name}.") from error

    def rotate(self, name: KeyName) -> Key:
        """Add a version to `name` and make it current; old versions stay for what they made."""
        if name == "source":
            raise KeyProviderError(
                "Key 'source' does not rotate: source keys identify rows, and a new one would ingest each row again."
            )
        self.current(name)  # makes the file where there is none, before the lock is taken
        with self._locked():
            made_in, entries = _parse(self.path)
            made = self.make(name, max(entries[name]) + 1)
            added = {**entries[name], made.version: made.sealed}
            _write(self.path, {**entries, name: added}, made_in)
        return self.current(name)

    def destroy(self, name: KeyName, version: int) -> None:
        """Forget an old version for good; copies of the file elsewhere are for whoever made them to destroy."""
        if self.current(name).version == version:
            raise KeyProviderError(
                f"Version {version} of key '{name}' is the current one: rotate the key before you destroy it."
            )
        self.get(name, version)
        with self._locked():
            made_in, entries = _parse(self.path)
            kept = {number: text for number, text in entries[name].items() if number != version}
            _write(self.path, {**entries, name: kept}, made_in)
        self._opened = {key: value for key, value in self._opened.items() if (key.name, key.version) != (name, version)}  # fmt: skip

    def reseal(self) -> int:
        """Seal every version anew with the service's newest key; returns how many were, 0 where no service seals."""
        if not self.path.exists():
            return 0
        self._refuse_if_open(self.path.stat())
        with self._locked():
            made_in, entries = _parse(self.path)
            renewed = {
                name: {v: self.renew(SealedKey(name, v, text)).sealed for v, text in held.items()}
                for name, held in entries.items()
            }
            changed = sum(
                renewed[name][version] != text
                for name, held in entries.items()
                for version, text in held.items()
            )
            if changed:
                _write(self.path, renewed, made_in)
        return changed

    def create(self) -> bool:
        """Make the file with one version of every key; returns False, and changes nothing, where there is one."""
        with self._locked():
            if self.path.exists():
                return False
            first: dict[str, dict[int, str]] = {
                name: {1: self.make(name, 1).sealed} for name in KEY_NAMES
            }
            _write(self.path, first, self._environment)
            return True

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._create_in_development()
            found = self.path.stat()
        stamp = (found.st_mtime_ns, found.st_ino, found.st_mode)
        if stamp != self._stamp:
            self._refuse_if_open(found)
            made_in, entries = _parse(self.path)
            self._refuse_if_foreign(made_in)
            self._keys = {name: self._ordered(name, held) for name, held in entries.items()}
            self._stamp = stamp

    def _ordered(self, name: str, held: Mapping[int, str]) -> tuple[Key, ...]:
        return tuple(
            self._open_once(SealedKey(name, version, held[version]))
            for version in sorted(held, reverse=True)
        )

    def _open_once(self, sealed: SealedKey) -> Key:
        if sealed not in self._opened:
            material = self.open(sealed)
            if len(material) != KEY_BYTES:
                raise _malformed(self.path)
            self._opened[sealed] = Key(sealed.version, material)
        return self._opened[sealed]

    def _refuse_if_open(self, found: os.stat_result) -> None:
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise KeyFileRefusedError(
                f"{self.path.name} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): "
                f"run 'chmod 600' on it, and rotate its keys if others had access."
            )

    def _refuse_if_foreign(self, made_in: Environment | None) -> None:
        if self._environment is Environment.PRODUCTION and made_in is not Environment.PRODUCTION:
            raise KeyFileRefusedError(
                f"The keys in {self.path.name} were made in {made_in or 'an unknown environment'}, which production refuses: "
                f"move the file away and run '{_CREATE}'. What was encrypted with the old keys does not open with new ones."
            )

    def _create_in_development(self) -> None:
        if self._environment is Environment.PRODUCTION:
            raise KeyFileRefusedError(
                f"No {self.path.name} in the secrets folder. In production keys are never made on the fly: install the key "
                f"file (mode 0600), or run '{_CREATE}' once, for a platform that holds nothing yet."
            )
        self.create()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _write(
    path: Path, entries: Mapping[str, Mapping[int, str]], made_in: Environment | None
) -> None:
    held: dict[str, object] = {
        name: {str(version): text for version, text in versions.items()}
        for name, versions in entries.items()
    }
    if made_in:
        held = {_MADE_IN: made_in.value, **held}
    write_private(path, json.dumps(held, indent=1))


def _parse(path: Path) -> tuple[Environment | None, dict[str, dict[int, str]]]:
    """The environment that the keys were made in (None: the file does not say), and the sealed keys."""
    try:
        held = json.loads(path.read_text())
        made_in = held.pop(_MADE_IN, None)
        environment = Environment(made_in) if made_in else None
        entries = {
            name: {int(version): text for version, text in versions.items()}
            for name, versions in held.items()
        }
    except (ValueError, TypeError, AttributeError):
        # Without its cause: the text of a JSON error may quote the file.
        raise _malformed(path) from None
    texts = [text for versions in entries.values() for text in versions.values() or [None]]
    if not all(isinstance(text, str) for text in texts):
        raise _malformed(path)
    return environment, entries


def _malformed(path: Path) -> KeyFileRefusedError:
    return KeyFileRefusedError(
        f"{path.name} is not a key file of this provider (name to version to sealed key of {KEY_BYTES} bytes): restore it "
        "from its backup, or set SELVEDGE_KEY_PROVIDER to the provider that made it."
    )
