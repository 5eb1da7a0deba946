"""Keys in clear in a file of mode 0600, for one machine."""

import base64
import binascii
import secrets

from privacy.key_providers.keyring import KeyRing, SealedKey
from privacy.keys import KEY_BYTES, KeyFileRefusedError

__all__ = ["FileKeyProvider"]


class FileKeyProvider(KeyRing):
    """Each version is the base64 of its 32 bytes; the mode of the file is all that protects it."""

    def make(self, name: str, version: int) -> SealedKey:
        """A new random key, in base64."""
        text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        return SealedKey(name, version, text)

    def open(self, sealed: SealedKey) -> bytes:
        """The bytes that the base64 stands for; raises KeyFileRefusedError."""
        try:
            return base64.b64decode(sealed.sealed, validate=True)
        except (binascii.Error, ValueError):
            raise KeyFileRefusedError(
                f"Version {sealed.version} of key '{sealed.name}' is not a key in clear: restore {self.path.name} from its "
                "backup, or set SELVEDGE_KEY_PROVIDER to the provider that made it."
            ) from None

    def renew(self, sealed: SealedKey) -> SealedKey:
        """The key as it is: nothing seals it."""
        return sealed
