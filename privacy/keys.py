"""Versioned keys of the vault and of its tokens, from a `KeyProvider`; here, a private file for one machine.

The file names the environment that its keys were made in. What development or test made is refused in production, where keys
are made on purpose: ``SELVEDGE_ENVIRONMENT=production ./selvedge make-keys``.

Errors: `KeyProviderError` is the parent of `KeyFileRefusedError` (the file is open to others, malformed, or missing or of
another environment in production) and `UnknownKeyError` (no such name or version).
"""

import base64
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from privacy.secret_files import write_private
from privacy.settings import Environment, platform_settings

__all__ = [
    "KEY_NAMES",
    "FileKeyProvider",
    "Key",
    "KeyFileRefusedError",
    "KeyName",
    "KeyProvider",
    "KeyProviderError",
    "UnknownKeyError",
    "key_provider",
]

KeyName = Literal["lookup", "wrapping", "serving", "tombstone", "session", "source"]
KEY_NAMES: tuple[KeyName, ...] = (
    "lookup",
    "wrapping",
    "serving",
    "tombstone",
    "session",
    "source",
)
MAKE_KEYS = "SELVEDGE_ENVIRONMENT=production ./selvedge make-keys"
_MADE_IN = "environment"
_BYTES = 32  # AES-256, and the block that HMAC-SHA256 recommends (RFC 2104, section 3)


class KeyProviderError(RuntimeError):
    """Keys cannot be had; the message never holds key material."""


class KeyFileRefusedError(KeyProviderError):
    """The key file is missing, malformed or readable by others; says what to do."""


class UnknownKeyError(KeyProviderError):
    """A key name or version that the provider does not hold."""


class Key(NamedTuple):
    """One version of a key: 32 random bytes."""

    version: int
    material: bytes

    def __repr__(self) -> str:
        return f"Key(version={self.version}, material=<hidden>)"


class KeyProvider(Protocol):
    """Where keys come from. Old versions stay available until nothing needs them any more."""

    def current(self, name: KeyName) -> Key:
        """The version with which new values are made."""
        ...

    def get(self, name: KeyName, version: int) -> Key:
        """One version; raises UnknownKeyError."""
        ...

    def versions(self, name: KeyName) -> tuple[Key, ...]:
        """Every version held, the current one first."""
        ...


class FileKeyProvider:
    """Keys in one JSON file, readable by its owner alone.

    The file is made on first use in development and test. In production it is made by `make` alone, and one that was made
    elsewhere is refused. A file that group or others may read is refused in every environment. A change of the file (a rotation by another process) is noticed.
    """

    def __init__(self, path: Path | None = None, environment: Environment | None = None) -> None:
        settings = platform_settings()
        self.path = path or settings.secrets_dir / "keys.json"
        self._environment = environment or settings.environment
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._made_in: Environment | None = None

    def make(self) -> None:
        """Make the key file with the first version of every key; raises KeyFileRefusedError where there is one."""
        with self._locked():
            if self.path.exists():
                raise KeyFileRefusedError(
                    f"There is a {self.path.name} in the secrets folder already. Without it what it encrypted is lost: "
                    "move it away only if nothing was, or choose another SELVEDGE_HOME."
                )
            self._write_first()

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
            newest = self.current(name)
            key = Key(newest.version + 1, secrets.token_bytes(_BYTES))
            self._write({**self._keys, name: (key, *self._keys[name])}, self._made_in)
        return key

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._create()
            found = self.path.stat()
        stamp = (found.st_mtime_ns, found.st_ino, found.st_mode)
        if stamp != self._stamp:
            self._refuse_if_open(found)
            made_in, keys = _parse(self.path)
            self._refuse_if_foreign(made_in)
            self._made_in, self._keys, self._stamp = made_in, keys, stamp

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
                f"move the file away and run '{MAKE_KEYS}'. What was encrypted with the old keys does not open with new ones."
            )

    def _create(self) -> None:
        if self._environment is Environment.PRODUCTION:
            raise KeyFileRefusedError(
                f"No {self.path.name} in the secrets folder. In production keys are never made on the fly: "
                f"install the key file (mode 0600), or run '{MAKE_KEYS}' where none was made before."
            )
        with self._locked():
            if not self.path.exists():
                self._write_first()

    def _write_first(self) -> None:
        keys: dict[str, tuple[Key, ...]] = {
            name: (Key(1, secrets.token_bytes(_BYTES)),) for name in KEY_NAMES
        }
        self._write(keys, self._environment)

    def _write(self, keys: dict[str, tuple[Key, ...]], made_in: Environment | None) -> None:
        entries: dict[str, Any] = {
            name: {str(key.version): base64.b64encode(key.material).decode() for key in versions}
            for name, versions in keys.items()
        }
        if made_in:
            entries = {_MADE_IN: made_in.value, **entries}
        write_private(self.path, json.dumps(entries, indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _parse(path: Path) -> tuple[Environment | None, dict[str, tuple[Key, ...]]]:
    """The environment that the keys were made in (None: older files do not say), and the keys."""
    try:
        entries: dict[str, Any] = json.loads(path.read_text())
        made_in = entries.pop(_MADE_IN, None)
        keys = {name: _versions(entry) for name, entry in entries.items()}
        return Environment(made_in) if made_in else None, keys
    except (ValueError, TypeError, AttributeError):
        # Without its cause: the text of a JSON error may quote the file.
        raise KeyFileRefusedError(
            f"{path.name} is not a key file (environment, and name to version to base64 of {_BYTES} bytes): restore it from its backup."
        ) from None


def _versions(entry: dict[str, Any]) -> tuple[Key, ...]:
    keys = [
        Key(int(version), base64.b64decode(text, validate=True)) for version, text in entry.items()
    ]
    if not keys or any(len(key.material) != _BYTES for key in keys):
        raise ValueError("a key of the wrong length")
    return tuple(sorted(keys, key=lambda key: key.version, reverse=True))


@cache
def _file_provider(path: Path) -> FileKeyProvider:
    return FileKeyProvider(path)


def key_provider() -> KeyProvider:
    """The provider of this process, as its settings say."""
    return _file_provider(platform_settings().secrets_dir / "keys.json")
