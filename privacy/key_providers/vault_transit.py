"""Keys that the transit engine of HashiCorp Vault encrypts: the file holds ciphertexts, and Vault opens them.

It speaks the engine's HTTP API: ``datakey/plaintext``, ``decrypt`` and ``rewrap``. The transit key must be made with
``derived=true``, so that a key's name and version, sent as the context, bind each ciphertext:
``vault write -f transit/keys/selvedge type=aes256-gcm96 derived=true``.
"""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import httpx

from privacy.key_providers.keyring import KeyRing, SealedKey
from privacy.keys import KeyFileRefusedError, KeyProviderError
from privacy.settings import Environment

__all__ = ["VaultTransitKeyProvider"]

_PREFIX = "vault:v"
_SECONDS = 10.0


class VaultTransitKeyProvider(KeyRing):
    """Each version is the ciphertext in Vault's own form, ``vault:v<number>:…``.

    Parameters
    ----------
    address: URL of Vault; https outside development.
    token: a token with update on ``<mount>/datakey/plaintext/<key>``, ``<mount>/decrypt/<key>`` and ``<mount>/rewrap/<key>``.
    mount, key: where the engine is mounted, and the name of the transit key.
    """

    def __init__(
        self,
        address: str,
        token: str,
        path: Path | None = None,
        environment: Environment | None = None,
        *,
        mount: str = "transit",
        key: str = "selvedge",
    ) -> None:
        super().__init__(path, environment)
        if self._environment is Environment.PRODUCTION and not address.startswith("https://"):
            raise KeyProviderError(
                "SELVEDGE_VAULT_ADDRESS must begin with https:// in production: keys pass over this connection."
            )
        self._mount, self._key = mount, key
        self._client = httpx.Client(
            base_url=address, headers={"X-Vault-Token": token}, timeout=_SECONDS
        )

    def make(self, name: str, version: int) -> SealedKey:
        """A data key that Vault generates and encrypts."""
        answer = self._ask("datakey/plaintext", {"bits": 256, "context": _context(name, version)})
        return SealedKey(name, version, answer["ciphertext"])

    def open(self, sealed: SealedKey) -> bytes:
        """The key that Vault decrypts; raises KeyProviderError."""
        answer = self._ask("decrypt", self._request(sealed))
        try:
            return base64.b64decode(answer["plaintext"], validate=True)
        except (binascii.Error, ValueError):
            raise KeyProviderError("Vault's answer is not a key in base64.") from None

    def renew(self, sealed: SealedKey) -> SealedKey:
        """The key encrypted by the newest version of the transit key; it never leaves Vault in clear."""
        answer = self._ask("rewrap", self._request(sealed))
        return SealedKey(sealed.name, sealed.version, answer["ciphertext"])

    def _request(self, sealed: SealedKey) -> dict[str, str]:
        if not sealed.sealed.startswith(_PREFIX):
            raise KeyFileRefusedError(
                f"Version {sealed.version} of key '{sealed.name}' was not encrypted by Vault: restore {self.path.name} from its "
                "backup, or set SELVEDGE_KEY_PROVIDER to the provider that made it."
            )
        return {"ciphertext": sealed.sealed, "context": _context(sealed.name, sealed.version)}

    def _ask(self, operation: str, body: Mapping[str, object]) -> dict[str, str]:
        path = f"/v1/{self._mount}/{operation}/{self._key}"
        try:
            answer = self._client.post(path, json=body)
            if answer.status_code == HTTPStatus.OK:
                return dict(answer.json()["data"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise KeyProviderError(
                f"Vault does not answer at SELVEDGE_VAULT_ADDRESS ({type(error).__name__}): is it up and unsealed?"
            ) from None
        raise KeyProviderError(
            f"Vault refused '{operation}' (status {answer.status_code}): check SELVEDGE_VAULT_TOKEN and its policy, that the "
            "transit key exists with derived=true, and that the key file is the one that it made."
        )


def _context(name: str, version: int) -> str:
    return base64.b64encode(f"selvedge/{name}/{version}".encode()).decode()
