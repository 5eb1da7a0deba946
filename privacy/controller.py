"""The controller, its officer and its recipients: what no contract can tell, from a YAML file.

The record of processing and the exports read the one list of recipients.
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from privacy.contracts import AssetContract, Purpose
from privacy.settings import Environment, platform_settings

__all__ = ["Contact", "Controller", "ControllerError", "Recipient", "load_controller"]

_FILE = Path(__file__).with_name("controller.yaml")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
_COUNTRY = re.compile("[A-Z]{2}")
# The EEA, where no transfer to a third country takes place (Art. 44).
EEA = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IS",
        "IT",
        "LI",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "NO",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)


class ControllerError(ValueError):
    """The controller's file is not valid or not filled in; says what is missing."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Contact(_Strict):
    """A person or company that can be reached."""

    name: str
    address: str | None = None
    contact: str


class Recipient(_Strict):
    """Somebody to whom data goes: a processor (Art. 28) or another recipient.

    Attributes
    ----------
    service: what they do with it, for the person to read.
    purposes, assets: what they receive; an asset's data whose key one of the patterns matches and which serves one of the purposes.
    """

    name: str = Field(min_length=1)
    role: Literal["processor", "joint controller", "recipient"]
    service: str = Field(min_length=1)
    purposes: tuple[Purpose, ...] = Field(alias="for", min_length=1)
    assets: tuple[str, ...] = Field(("*",), min_length=1)
    country: str
    safeguard: str | None = None

    @field_validator("country")
    @classmethod
    def _is_country(cls, value: str) -> str:
        if not (_PLACEHOLDER.fullmatch(value) or _COUNTRY.fullmatch(value)):
            raise ValueError("Input should be an ISO 3166-1 alpha-2 code")
        return value

    @property
    def third_country(self) -> bool:
        """Whether data leaves the EEA; unknown while the country is a placeholder."""
        return not _PLACEHOLDER.fullmatch(self.country) and self.country not in EEA

    def receives(self, contract: AssetContract) -> bool:
        """Whether what the asset holds about people goes to them."""
        return (
            contract.holds_subjects
            and not set(self.purposes).isdisjoint(contract.purposes)
            and any(fnmatchcase(contract.key, pattern) for pattern in self.assets)
        )


class Controller(_Strict):
    """Art. 30(1)(a), (c), (d) and (e)."""

    controller: Contact
    data_protection_officer: Contact
    representative: Contact | None = None
    supervisory_authority: str
    categories_of_subjects: tuple[str, ...]
    recipients: tuple[Recipient, ...] = ()

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Texts that nobody has replaced yet."""
        return tuple(_PLACEHOLDER.findall(self.model_dump_json()))


def load_controller(file: Path | None = None) -> Controller:
    """The controller of `file` (else of the settings, else the shipped placeholders).

    Raises ControllerError where the file is not valid, where a transfer out of the EEA names no safeguard, and in production where
    a placeholder is left.
    """
    path = file or platform_settings().controller_file or _FILE
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = Controller.model_validate(raw)
    except (OSError, yaml.YAMLError) as error:
        raise ControllerError(f"{path.name} cannot be read ({type(error).__name__}).") from error
    except ValidationError as error:
        places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise ControllerError(
            f"{path.name} is not valid at {places}: see privacy/controller.yaml."
        ) from error
    for recipient in found.recipients:
        if recipient.third_country and not recipient.safeguard:
            raise ControllerError(
                f"{path.name}: data for '{recipient.name}' leaves the EEA ({recipient.country}): name the safeguard of Art. 46."
            )
    if platform_settings().environment is Environment.PRODUCTION and found.placeholders:
        raise ControllerError(
            f"{path.name} still has placeholders ({', '.join(found.placeholders[:3])} …): fill it in, or set "
            "SELVEDGE_CONTROLLER_FILE to a file that is."
        )
    return found
