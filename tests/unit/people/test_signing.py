"""The platform's signature: who may read its key, and what it refuses to accept as signed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from privacy.secret_files import write_private
from privacy.settings import Environment
from privacy.signing import (
    InvalidSignatureError,
    SigningKeyRefusedError,
    key_id,
    public_key_pem,
    sign,
    signing_key,
    verify,
)

# RFC 8032, section 7.1, test 2: secret key, message, signature.
SECRET = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
MESSAGE = b"\x72"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "signing-key.pem"


def test_signatures_are_those_of_the_standard() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SECRET))
    assert sign(MESSAGE, key).hex() == SIGNATURE
    verify(public_key_pem(key), MESSAGE, bytes.fromhex(SIGNATURE))


def test_development_makes_one_key_that_its_owner_alone_may_read(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: signing_key(path, Environment.DEVELOPMENT), range(16)))
    assert len({public_key_pem(key) for key in keys}) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_production_makes_no_key_but_uses_one_that_is_installed(path: Path) -> None:
    with pytest.raises(SigningKeyRefusedError, match="never made on the fly"):
        signing_key(path, Environment.PRODUCTION)
    assert not path.exists()
    installed = public_key_pem(signing_key(path, Environment.TEST))
    assert public_key_pem(signing_key(path, Environment.PRODUCTION)) == installed


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    signing_key(path, Environment.TEST)
    path.chmod(mode)
    with pytest.raises(SigningKeyRefusedError, match="chmod 600"):
        signing_key(path, Environment.TEST)


def test_a_file_that_is_no_ed25519_key_is_refused_without_quoting_it(path: Path) -> None:
    other = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for text in ("secret-text", other.decode()):
        write_private(path, text)
        with pytest.raises(SigningKeyRefusedError, match="not an Ed25519 private key") as refused:
            signing_key(path, Environment.TEST)
        assert refused.value.__cause__ is None
        assert text not in str(refused.value)


def test_a_changed_message_signature_or_key_does_not_verify(path: Path) -> None:
    key, other = signing_key(path, Environment.TEST), Ed25519PrivateKey.generate()
    signature = sign(b"head", key)
    for public, message, signed in (
        (key, b"heat", signature),
        (key, b"head", signature[:-1] + bytes([signature[-1] ^ 1])),
        (key, b"head", signature[:-1]),
        (other, b"head", signature),
    ):
        with pytest.raises(InvalidSignatureError):
            verify(public_key_pem(public), message, signed)
    with pytest.raises(SigningKeyRefusedError, match="public key"):
        verify(b"-----BEGIN NOTHING-----", b"head", signature)


def test_the_name_of_a_key_is_its_own_and_short() -> None:
    keys = [public_key_pem(Ed25519PrivateKey.generate()) for _ in range(2)]
    assert len({key_id(key) for key in keys}) == 2
    assert all(len(key_id(key)) == 16 for key in keys)
