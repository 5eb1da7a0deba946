"""What a privacy request keeps of its subject: a keyed fingerprint, and the pseudonym encrypted while it is open.

A request never holds the pseudonym itself, so the table of requests is no way from a request to a person, and an erasure can
know until its last step whom it erases without keeping it in clear.
"""

import base64
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.keys import KeyProvider, key_provider

__all__ = [
    "KINDS",
    "SealError",
    "fingerprint",
    "fingerprints",
    "keyed_hash",
    "seal",
    "stand_in",
    "stand_ins",
    "unseal",
]

KINDS = ("access", "portability", "rectification", "erasure", "restriction", "objection")
_EXPORT = "export"
_NONCE = 12


class SealError(RuntimeError):
    """What a request keeps sealed does not open; says what to do."""


def fingerprint(kind: str, pseudonym: str, keys: KeyProvider | None = None) -> bytes:
    """HMAC-SHA256 under the current tombstone key: equal for the same kind of request of the same subject."""
    key = (keys or key_provider()).current("tombstone")
    return _fingerprint(key.material, kind, pseudonym)


def fingerprints(pseudonym: str, keys: KeyProvider | None = None) -> list[bytes]:
    """The fingerprints of every kind of request of one subject, under every version of the key."""
    versions = (keys or key_provider()).versions("tombstone")
    return [_fingerprint(key.material, kind, pseudonym) for key in versions for kind in KINDS]


def stand_in(pseudonym: str, keys: KeyProvider | None = None) -> str:
    """What an export is stored under in place of the pseudonym of somebody whom the platform does not, or no longer, know."""
    return fingerprint(_EXPORT, pseudonym, keys).hex()


def stand_ins(pseudonym: str, keys: KeyProvider | None = None) -> list[str]:
    """`stand_in` under every version of the key."""
    versions = (keys or key_provider()).versions("tombstone")
    return [_fingerprint(key.material, _EXPORT, pseudonym).hex() for key in versions]


def keyed_hash(use: str, value: str, keys: KeyProvider | None = None) -> bytes:
    """HMAC-SHA256 of `value` under the current tombstone key, another one for each `use`; 32 bytes."""
    key = (keys or key_provider()).current("tombstone")
    return hmac.digest(key.material, f"{use}|{value}".encode(), hashlib.sha256)


def _fingerprint(material: bytes, kind: str, pseudonym: str) -> bytes:
    return hmac.digest(material, f"request|{kind}|{pseudonym}".encode(), hashlib.sha256)


def seal(purpose: str, data: bytes, keys: KeyProvider | None = None) -> str:
    """`data` under the key-encryption key, bound to `purpose` (a request's id, say), as text."""
    key, nonce = (keys or key_provider()).current("wrapping"), secrets.token_bytes(_NONCE)
    sealed = nonce + AESGCM(key.material).encrypt(nonce, data, purpose.encode())
    return f"{key.version}.{base64.b64encode(sealed).decode()}"


def unseal(purpose: str, sealed: str, keys: KeyProvider | None = None) -> bytes:
    """What `seal` was given for the same `purpose`; raises SealError."""
    version, _, text = sealed.partition(".")
    try:
        raw = base64.b64decode(text)
        key = (keys or key_provider()).get("wrapping", int(version))
        return AESGCM(key.material).decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())
    except (InvalidTag, ValueError) as error:
        raise SealError(
            "A sealed entry of a privacy request does not open: it was moved or changed, or the key file is another one."
        ) from error
