"""Where the platform keeps its state and how it reaches Postgres and Redis."""

from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Environment(StrEnum):
    """Where the platform runs; ``production`` refuses every development key and password."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class KeyProviderKind(StrEnum):
    """Where the platform's keys come from (`privacy.key_providers`)."""

    FILE = "file"
    AWS_KMS = "aws_kms"
    VAULT_TRANSIT = "vault_transit"


class PlatformSettings(BaseSettings):
    """Settings that every package shares: environment, state folder and servers."""

    model_config = SettingsConfigDict(env_prefix="SELVEDGE_", extra="ignore")

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="development, test or production"
    )
    home: Path = Field(
        PROJECT_ROOT / ".selvedge", description="Folder of all local state; `reset` removes it"
    )
    shop_home: Path = Field(
        PROJECT_ROOT / ".shop", description="Folder of the shop's own raw data (the simulator's)"
    )
    postgres_url: SecretStr | None = Field(
        None,
        description="URL of an existing Postgres, as a superuser (it makes roles and grants checkpoints); "
        "unset: the embedded server",
    )
    redis_url: SecretStr | None = Field(
        None, description="URL of an existing Redis; unset: the embedded server"
    )
    postgres_role_secret: SecretStr | None = Field(
        None,
        description="Secret from which the passwords of the platform's Postgres roles are derived; "
        "unset: a random one kept in the secrets folder (development only)",
    )

    tombstones: Path | None = Field(
        None,
        description="Folder of the journal of tombstones, which no backup may take back in time; unset: in the state folder",
    )
    retention_as_of: date | None = Field(
        None,
        description="The day from which the ages of the shop's data are counted, for a historic data set; unset: today "
        "(production refuses any other)",
    )

    controller_file: Path | None = Field(
        None,
        description="YAML of the controller, its officer and its recipients, for the record of processing; unset: "
        "privacy/controller.yaml with placeholders (production refuses those)",
    )
    processors_file: Path | None = Field(
        None,
        description="YAML of who receives data outside the shop, in the form of privacy/exports/processors.yaml; "
        "unset: that file, which names nobody",
    )

    requester_key_file: Path | None = Field(
        None,
        description="The shop's public key for requesters' tokens: PEM (Ed25519 or P-256) or a JWK Set. Unset: a generated "
        "key in the secrets folder (development), or no tokens (production)",
    )
    requester_audience: str = Field(
        "selvedge-privacy", min_length=1, description="Audience that requesters' tokens must name"
    )
    requester_token_lifetime: timedelta = Field(
        timedelta(minutes=10),
        gt=timedelta(0),
        le=timedelta(minutes=10),
        description="Longest time between issue and expiry of a requester's token",
    )
    key_provider: KeyProviderKind = Field(
        KeyProviderKind.FILE, description="What protects the keys: file, aws_kms or vault_transit"
    )
    aws_kms_key_id: str | None = Field(
        None, description="Id, ARN or alias of the symmetric KMS key (aws_kms)"
    )
    aws_kms_endpoint_url: str | None = Field(
        None, description="URL of KMS, where it is not AWS's own (aws_kms)"
    )
    vault_address: str | None = Field(
        None, description="URL of HashiCorp Vault (vault_transit); https in production"
    )
    vault_token: SecretStr | None = Field(None, description="Vault's token (vault_transit)")
    vault_transit_mount: str = Field(
        "transit", description="Where Vault's transit engine is mounted (vault_transit)"
    )
    vault_transit_key: str = Field(
        "selvedge", description="Name of the transit key, made with derived=true (vault_transit)"
    )
    phone_region: str = Field(
        "DE",
        pattern="^[A-Z]{2}$",
        description="Country (ISO 3166) as whose a phone number without a country code is read",
    )

    @field_validator("home", "shop_home")
    @classmethod
    def _from_the_project(cls, path: Path) -> Path:
        """A relative folder is relative to the project, whatever folder a process runs in."""
        return (PROJECT_ROOT / path.expanduser()).resolve()

    @model_validator(mode="after")
    def _today_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.retention_as_of:
            raise ValueError(
                "retention counts from today in production: unset SELVEDGE_RETENTION_AS_OF"
            )
        return self

    @property
    def secrets_dir(self) -> Path:
        """Folder of key files, mode 0700."""
        return self.home / "secrets"

    @property
    def tombstones_dir(self) -> Path:
        """Folder of the journal of tombstones."""
        return self.tombstones or self.home / "tombstones"

    @property
    def lake_dir(self) -> Path:
        """Root of the Delta lake."""
        return self.home / "lake"

    @property
    def models_dir(self) -> Path:
        """Root of trained model artefacts."""
        return self.home / "models"

    @property
    def logs_dir(self) -> Path:
        """Folder of the servers' logs."""
        return self.home / "logs"

    @property
    def run_dir(self) -> Path:
        """Folder of process ids, ports and sockets of the running servers."""
        return self.home / "run"

    @property
    def tmp_dir(self) -> Path:
        """Folder of short-lived files (Spark's shuffle among them)."""
        return self.home / "tmp"


@cache
def platform_settings() -> PlatformSettings:
    """The settings of this process, read once from the environment."""
    return PlatformSettings()
