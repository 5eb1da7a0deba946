"""Subject references: short-lived tokens that stand for a pseudonym outside the platform.

A token is AES-256-GCM under the serving key over the time it expires and the pseudonym, so that who holds it learns neither,
cannot change it, and cannot tell two tokens of one subject from tokens of two. Layout, before base64url: key version
(2 bytes), nonce (12), ciphertext of expiry in Unix seconds (8) and pseudonym (16), tag (16).
"""

import base64
import binascii
import re
import secrets
import struct
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.keys import KeyProvider, UnknownKeyError, key_provider

__all__ = [
    "DEFAULT_LIFETIME",
    "ExpiredSubjectReferenceError",
    "InvalidSubjectReferenceError",
    "issue",
    "open_reference",
]

DEFAULT_LIFETIME = timedelta(hours=12)
_NONCE = 12
_HEAD = struct.Struct(">H")
_BODY = struct.Struct(">Q16s")
_LENGTH = _HEAD.size + _NONCE + _BODY.size + 16
_PURPOSE = b"selvedge/subject-reference/1"
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")


class InvalidSubjectReferenceError(ValueError):
    """Not a reference that this platform issued, or one that was changed."""


class ExpiredSubjectReferenceError(InvalidSubjectReferenceError):
    """A reference past its lifetime: ask for a new one."""


def issue(
    pseudonym: str, ttl: timedelta = DEFAULT_LIFETIME, *, keys: KeyProvider | None = None
) -> str:
    """A token for `pseudonym` (32 hexadecimal digits) that opens for `ttl`; ValueError for anything else."""
    if not _PSEUDONYM.fullmatch(pseudonym):
        raise ValueError("A reference is issued for a pseudonym of 32 hexadecimal digits.")
    key = (keys or key_provider()).current("serving")
    head, nonce = _HEAD.pack(key.version), secrets.token_bytes(_NONCE)
    expires = int((datetime.now(UTC) + ttl).timestamp())
    body = _BODY.pack(expires, bytes.fromhex(pseudonym))
    sealed = AESGCM(key.material).encrypt(nonce, body, _PURPOSE + head)
    return base64.urlsafe_b64encode(head + nonce + sealed).decode().rstrip("=")


def open_reference(token: str, *, keys: KeyProvider | None = None) -> str:
    """The pseudonym in `token`; raises InvalidSubjectReferenceError or ExpiredSubjectReferenceError."""
    raw = _decoded(token)
    head, nonce, sealed = raw[: _HEAD.size], raw[_HEAD.size :][:_NONCE], raw[_HEAD.size + _NONCE :]
    try:
        key = (keys or key_provider()).get("serving", _HEAD.unpack(head)[0])
        body = AESGCM(key.material).decrypt(nonce, sealed, _PURPOSE + head)
    except (InvalidTag, UnknownKeyError) as error:
        raise _invalid() from error
    expires, pseudonym = _BODY.unpack(body)
    if expires <= datetime.now(UTC).timestamp():
        raise ExpiredSubjectReferenceError(
            "The subject reference has expired: ask POST /v1/subjects/reference for a new one."
        )
    return str(pseudonym.hex())


def _decoded(token: str) -> bytes:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if len(raw) != _LENGTH:
        raise _invalid()
    return raw


def _invalid() -> InvalidSubjectReferenceError:
    return InvalidSubjectReferenceError(
        "Not a valid subject reference: use the one that POST /v1/subjects/reference returned."
    )
