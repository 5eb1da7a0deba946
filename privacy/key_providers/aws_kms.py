"""Keys that AWS KMS encrypts: the file holds ciphertexts, and KMS opens them for who may call it.

Envelope encryption with `GenerateDataKey`, `Decrypt` and `ReEncrypt`; a key's name and version are the encryption context, so that
one version cannot be passed off as another. Credentials and region come from where boto3 finds them. Needs the extra `aws`.
"""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

from privacy.key_providers.keyring import KeyRing, SealedKey
from privacy.keys import KeyFileRefusedError, KeyProviderError
from privacy.settings import Environment

__all__ = ["AwsKmsKeyProvider"]

_PREFIX = "kms:"


class AwsKmsKeyProvider(KeyRing):
    """Each version is ``kms:`` and the base64 of KMS's ciphertext.

    Parameters
    ----------
    key_id: id, ARN or alias of a symmetric KMS key. After a change, `reseal` brings the file to the new key.
    endpoint_url: where KMS is, if not where boto3 looks.
    """

    def __init__(
        self,
        key_id: str,
        path: Path | None = None,
        environment: Environment | None = None,
        *,
        endpoint_url: str | None = None,
    ) -> None:
        super().__init__(path, environment)
        self._key_id = key_id
        self._client = _client(endpoint_url)

    def make(self, name: str, version: int) -> SealedKey:
        """A data key that KMS generates and encrypts."""
        answer = _asked(
            lambda: self._client.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=_context(name, version)
            )
        )
        return _sealed(name, version, answer)

    def open(self, sealed: SealedKey) -> bytes:
        """The key that KMS decrypts; raises KeyProviderError."""
        answer = _asked(
            lambda: self._client.decrypt(
                KeyId=self._key_id,
                CiphertextBlob=self._ciphertext(sealed),
                EncryptionContext=_context(sealed.name, sealed.version),
            )
        )
        return bytes(answer["Plaintext"])

    def renew(self, sealed: SealedKey) -> SealedKey:
        """The key encrypted anew under the configured KMS key; it never leaves KMS in clear."""
        context = _context(sealed.name, sealed.version)
        answer = _asked(
            lambda: self._client.re_encrypt(
                CiphertextBlob=self._ciphertext(sealed),
                SourceEncryptionContext=context,
                DestinationKeyId=self._key_id,
                DestinationEncryptionContext=context,
            )
        )
        return _sealed(sealed.name, sealed.version, answer)

    def _ciphertext(self, sealed: SealedKey) -> bytes:
        try:
            if sealed.sealed.startswith(_PREFIX):
                return base64.b64decode(sealed.sealed.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass  # said below
        raise KeyFileRefusedError(
            f"Version {sealed.version} of key '{sealed.name}' was not encrypted by AWS KMS: restore {self.path.name} from its "
            "backup, or set SELVEDGE_KEY_PROVIDER to the provider that made it."
        )


def _client(endpoint_url: str | None) -> Any:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise KeyProviderError(
            "SELVEDGE_KEY_PROVIDER=aws_kms needs boto3: install the extra 'aws' (pip install 'selvedge[aws]')."
        ) from error
    try:
        return boto3.client("kms", endpoint_url=endpoint_url)
    except (BotoCoreError, ValueError) as error:
        raise KeyProviderError(
            f"AWS KMS cannot be reached as configured ({type(error).__name__}): set AWS_REGION and, if it is elsewhere, "
            "SELVEDGE_AWS_KMS_ENDPOINT_URL."
        ) from error


def _asked(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise KeyProviderError(
            f"AWS KMS refused a key ({code}): check SELVEDGE_AWS_KMS_KEY_ID, the role's right to GenerateDataKey, Decrypt and "
            "ReEncrypt, and that the key file is the one that this KMS key made."
        ) from error
    except BotoCoreError as error:
        raise KeyProviderError(
            f"AWS KMS does not answer ({type(error).__name__}): check credentials, region and network."
        ) from error


def _context(name: str, version: int) -> dict[str, str]:
    return {"selvedge:key": name, "selvedge:version": str(version)}


def _sealed(name: str, version: int, answer: dict[str, Any]) -> SealedKey:
    text = base64.b64encode(answer["CiphertextBlob"]).decode()
    return SealedKey(name, version, _PREFIX + text)
