"""AES-256-GCM, bound to what it belongs to: data keys wrapped for a subject, values sealed for a subject and a column.

A sealed value is nonce (12 random bytes), ciphertext and tag (16). The associated data names the subject, and for a value its
column as well, so that one that was moved to another row or column does not open.
"""

import secrets
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["DATA_KEY", "EnvelopeError", "open_sealed", "seal", "seal_many"]

DATA_KEY = 32  # bytes: AES-256
_NONCE = 12  # bytes; NIST SP 800-38D, section 8.2.2


class EnvelopeError(RuntimeError):
    """A ciphertext does not open; the message holds nothing of it."""


def seal(cipher: AESGCM, bound_to: str, plaintext: bytes) -> bytes:
    """`plaintext` under `cipher`, bound to `bound_to`."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + cipher.encrypt(nonce, plaintext, bound_to.encode())


def seal_many(
    ciphers: Iterable[AESGCM], bound_to: Iterable[str], plaintexts: Sequence[bytes]
) -> list[bytes]:
    """`seal` for each cipher, binding and plaintext; the nonces are drawn in one call."""
    random = secrets.token_bytes(_NONCE * len(plaintexts))
    nonces = (random[start : start + _NONCE] for start in range(0, len(random), _NONCE))
    return [
        nonce + cipher.encrypt(nonce, plaintext, bound.encode())
        for cipher, bound, plaintext, nonce in zip(
            ciphers, bound_to, plaintexts, nonces, strict=True
        )
    ]


def open_sealed(cipher: AESGCM, bound_to: str, sealed: bytes) -> bytes:
    """What `seal` was given; raises EnvelopeError for another key, another binding, or a changed ciphertext."""
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise EnvelopeError(
            "A ciphertext does not open with the key of its version: the key file is not the one that made the vault, "
            "or the ciphertext was moved or changed."
        ) from error
