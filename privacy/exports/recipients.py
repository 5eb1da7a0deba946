"""Who receives data outside the shop, read from `processors.yaml` or the file that the settings name."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from privacy.settings import platform_settings

__all__ = ["NOBODY", "Recipient", "RecipientsError", "recipients", "recipients_of"]

NOBODY = "Nobody outside the shop."
_FILE = Path(__file__).with_name("processors.yaml")


class RecipientsError(ValueError):
    """The file of processors is not readable; says which entry is wrong."""


class Recipient(BaseModel):
    """One recipient of personal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    role: Literal["processor", "recipient"]
    country: str = Field(pattern="^[A-Z]{2}$")
    service: str = Field(min_length=1, description="What they do with it, for the person to read")
    safeguard: str | None = None
    assets: tuple[str, ...] = Field(min_length=1)


_LIST = TypeAdapter(tuple[Recipient, ...])


def recipients() -> tuple[Recipient, ...]:
    """Every recipient; raises RecipientsError."""
    path = platform_settings().processors_file or _FILE
    try:
        return _LIST.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise RecipientsError(f"{path.name} does not list processors: {error}") from error


def recipients_of(asset_key: str, known: tuple[Recipient, ...]) -> list[Recipient]:
    """Those of `known` who receive what the asset holds."""
    return [
        recipient
        for recipient in known
        if any(fnmatchcase(asset_key, pattern) for pattern in recipient.assets)
    ]
