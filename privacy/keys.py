"""Versioned keys of the vault and of its tokens: their names, and what a provider of them must do.

`SELVEDGE_KEY_PROVIDER` says which provider of `privacy.key_providers` a process uses. Errors: `KeyProviderError` is the parent of
`KeyFileRefusedError` (the file is open to others, malformed, another provider's, or missing or of
another environment in production) and `UnknownKeyError`
(no such name or version).
"""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from privacy.settings import KeyProviderKind, platform_settings

__all__ = [
    "KEY_BYTES",
    "KEY_NAMES",
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
KEY_BYTES = 32  # AES-256, and the block that HMAC-SHA256 recommends (RFC 2104, section 3)


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

    def rotate(self, name: KeyName) -> Key:
        """Add a version to `name` and make it current; old versions stay for what they made.

        Raises KeyProviderError for the key of source keys, which never rotates.
        """
        ...

    def destroy(self, name: KeyName, version: int) -> None:
        """Forget an old version for good; raises KeyProviderError for the current one, UnknownKeyError where there is none."""
        ...

    def reseal(self) -> int:
        """Seal every version anew with the newest key of the service that protects them; returns how many were."""
        ...


def key_provider() -> KeyProvider:
    """The provider of this process, as its settings say."""
    settings = platform_settings()
    return _provider(settings.key_provider, settings.secrets_dir)


@cache
def _provider(_kind: KeyProviderKind, _folder: Path) -> KeyProvider:
    from privacy.key_providers import configured_provider

    return configured_provider()
