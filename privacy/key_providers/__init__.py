"""Providers of the platform's keys, one module each; all keep a private file of key versions and differ in what protects it.

=================  ====================================================  =================================================
provider           at rest                                               for
=================  ====================================================  =================================================
``file``           in clear, in a file that its owner alone may read     one machine, development
``aws_kms``        each version encrypted by AWS KMS, its name and       production on AWS
                   version as the encryption context
``vault_transit``  each version encrypted by the transit engine of       production with HashiCorp Vault
                   HashiCorp Vault, its name and version as the context
=================  ====================================================  =================================================

With the latter two the file is useless without a call to the service, which can be refused and is logged there. Keys are opened
when a process first needs them and stay in its memory: the service is not asked for each row.
"""

from privacy.key_providers.keyring import KeyRing
from privacy.keys import KeyProviderError
from privacy.settings import KeyProviderKind, PlatformSettings, platform_settings

__all__ = ["configured_provider"]


def configured_provider(settings: PlatformSettings | None = None) -> KeyRing:
    """The provider that the settings name; raises KeyProviderError where a setting of it is missing."""
    settings = settings or platform_settings()
    match settings.key_provider:
        case KeyProviderKind.FILE:
            from privacy.key_providers.file import FileKeyProvider

            return FileKeyProvider()
        case KeyProviderKind.AWS_KMS:
            from privacy.key_providers.aws_kms import AwsKmsKeyProvider

            key_id = _required(settings, settings.aws_kms_key_id, "SELVEDGE_AWS_KMS_KEY_ID")
            return AwsKmsKeyProvider(key_id, endpoint_url=settings.aws_kms_endpoint_url)
        case KeyProviderKind.VAULT_TRANSIT:
            from privacy.key_providers.vault_transit import VaultTransitKeyProvider

            token = settings.vault_token.get_secret_value() if settings.vault_token else None
            return VaultTransitKeyProvider(
                _required(settings, settings.vault_address, "SELVEDGE_VAULT_ADDRESS"),
                _required(settings, token, "SELVEDGE_VAULT_TOKEN"),
                mount=settings.vault_transit_mount,
                key=settings.vault_transit_key,
            )


def _required(settings: PlatformSettings, value: str | None, variable: str) -> str:
    if not value:
        raise KeyProviderError(
            f"{variable} must be set for SELVEDGE_KEY_PROVIDER={settings.key_provider.value}."
        )
    return value
