"""Which source the platform ingests, and how the simulated shop is made."""

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from privacy.secret_files import write_private
from privacy.settings import Environment, platform_settings

__all__ = [
    "OrchestrationSettings",
    "orchestration_settings",
    "remember_source",
    "remembered_source",
]


def _remembered_path() -> Path:
    return platform_settings().home / "source.json"


class _RememberedSource(PydanticBaseSettingsSource):
    """Values that the last `demo` kept, so that every process ingests the same source."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = _remembered_path()
        return json.loads(path.read_text()) if path.exists() else {}


class OrchestrationSettings(BaseSettings):
    """The source of the shop's data."""

    model_config = SettingsConfigDict(env_prefix="SELVEDGE_", extra="ignore")

    source: str = Field(
        "simulator",
        description="simulator, renttherunway, online_retail, or the path of a mapping YAML",
    )
    source_path: Path | None = Field(
        None, description="Folder of the source's files; unset: the simulated shop's folder"
    )
    assume_consent: bool = Field(
        False,
        description="For a source without consents: record an assumed opt-in to every purpose, marked as such",
    )
    customers: int = Field(5_000, ge=1_000, le=1_000_000, description="Size of the simulated shop")
    seed: int = Field(7, description="Seed of the simulated shop")
    until: date | None = Field(
        None,
        description="The simulated history ends when this day begins (UTC); unset: the day it was first made",
    )

    alert_webhook: SecretStr | None = Field(
        None,
        exclude=True,  # A secret: no demo keeps it.
        description="URL that takes alerts of failed runs and late assets as JSON (https in production); unset: they stand in "
        "the ticks of the sensor `alerts` alone",
    )

    @field_validator("alert_webhook")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        production = platform_settings().environment is Environment.PRODUCTION
        allowed = ("https://",) if production else ("https://", "http://")
        if url is not None and not url.get_secret_value().startswith(allowed):
            raise ValueError(f"must begin with {' or '.join(allowed)}")
        return url

    @property
    def identity(self) -> tuple[str, ...]:
        """What must not change while data is kept: the source, and of a simulated shop its size and seed."""
        simulated = self.source == "simulator" and self.source_path is None
        size = (str(self.customers), str(self.seed)) if simulated else ()
        return (self.source, str(self.source_path or ""), *size)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment before what the last demo kept."""
        return init_settings, env_settings, _RememberedSource(settings_cls)


@cache
def orchestration_settings() -> OrchestrationSettings:
    """The settings of this process, read once."""
    return OrchestrationSettings()


def remembered_source() -> OrchestrationSettings | None:
    """What the last demo kept, None before the first; the environment has no say in it."""
    path = _remembered_path()
    if not path.exists():
        return None
    return OrchestrationSettings.model_validate_json(path.read_text())


def remember_source(settings: OrchestrationSettings) -> None:
    """Keep `settings` in the state folder for the processes and days that follow."""
    write_private(_remembered_path(), settings.model_dump_json())
