"""The platform's Ed25519 signature (RFC 8032): on the heads of the consent ledger and on certificates of erasure.

Whoever holds the public key checks them without the platform. A signed message begins with a line that says what it is
(``selvedge/consent-head/1``), so that no signature on one kind of message can pass for one on another.

SigningError                 parent of
    SigningKeyRefusedError   the key file is missing in production, malformed or readable by others
    InvalidSignatureError    a signature is not that of this key over this message
"""

import hashlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from privacy.secret_files import write_private
from privacy.settings import Environment, platform_settings

__all__ = [
    "InvalidSignatureError",
    "SigningError",
    "SigningKeyRefusedError",
    "key_id",
    "public_key_pem",
    "sign",
    "signing_key",
    "verify",
]

FILE_NAME = "signing-key.pem"


class SigningError(RuntimeError):
    """Something cannot be signed or checked; the message never holds key material."""


class SigningKeyRefusedError(SigningError):
    """The key file is missing, malformed or readable by others; says what to do."""


class InvalidSignatureError(SigningError):
    """The message was changed, or another key signed it."""


def signing_key(
    path: Path | None = None, environment: Environment | None = None
) -> Ed25519PrivateKey:
    """The private key of the file `path` (``secrets/signing-key.pem``), PKCS 8 in PEM, mode 0600.

    Made on first use in development and test, never in production. Raises SigningKeyRefusedError.
    """
    settings = platform_settings()
    path = path or settings.secrets_dir / FILE_NAME
    if not path.exists():
        _create(path, environment or settings.environment)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SigningKeyRefusedError(
            f"{path.name} can be read by others (mode {mode:04o}): run 'chmod 600' on it, and replace the key if others "
            "had access."
        )
    return _parsed(path)


def sign(message: bytes, key: Ed25519PrivateKey | None = None) -> bytes:
    """The signature of `message`, 64 bytes; the same message has the same signature."""
    return (key or signing_key()).sign(message)


def public_key_pem(key: Ed25519PrivateKey | None = None) -> bytes:
    """The public key (SubjectPublicKeyInfo in PEM) with which anybody checks what `sign` signed."""
    public = (key or signing_key()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verify(public_pem: bytes, message: bytes, signature: bytes) -> None:
    """Return where `signature` is that of the key over `message`; raises InvalidSignatureError or SigningKeyRefusedError."""
    try:
        _public(public_pem).verify(signature, message)
    except InvalidSignature as error:
        raise InvalidSignatureError(
            "The signature does not fit: what was signed has changed, or another key signed it."
        ) from error


def key_id(public_pem: bytes) -> str:
    """A short name of a public key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    raw = _public(public_pem).public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def _create(path: Path, environment: Environment) -> None:
    if environment is Environment.PRODUCTION:
        raise SigningKeyRefusedError(
            f"No {path.name} in the secrets folder. In production a signing key is never made on the fly: install one "
            "(openssl genpkey -algorithm ed25519, mode 0600), and give its public key to who checks."
        )
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    candidate = path.with_name(f"{path.name}.{secrets.token_hex(8)}.candidate")
    write_private(candidate, pem.decode())
    try:
        os.link(candidate, path)  # atomic, and fails if another process was first
    except FileExistsError:
        pass  # theirs is the key
    finally:
        candidate.unlink()


def _parsed(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: the text of a parser's error may quote the file.
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyRefusedError(
            f"{path.name} is not an Ed25519 private key in PEM without a password: restore it from its backup."
        )
    return key


def _public(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyRefusedError(
            "Not an Ed25519 public key in PEM: use the one that the platform exported."
        )
    return key
