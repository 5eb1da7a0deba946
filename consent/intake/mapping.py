"""From the categories of a CMP and the purposes of the TCF to this platform's purposes, as `mapping.yaml` says."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from consent.intake.cookiebot import CookiebotConsent
from consent.intake.tcf import PublisherRestriction, TcfError, TcString
from consent.ledger import Decision
from consent.purposes import needs_consent
from privacy.contracts import Purpose

__all__ = [
    "ConsentMapping",
    "Decisions",
    "MappingError",
    "consent_mapping",
    "decisions_of_cookie",
    "decisions_of_tc_string",
    "load_mapping",
]

_FILE = Path(__file__).with_name("mapping.yaml")
_DISCLOSURE_SINCE_POLICY = 5
Decisions = dict[Purpose, Decision]
Category = Literal["necessary", "preferences", "statistics", "marketing"]
TcfPurpose = Annotated[int, Field(ge=1, le=24)]


class MappingError(ValueError):
    """`mapping.yaml` cannot be used; names each entry that is wrong."""


def _rest_on_consent(purposes: dict[Purpose, object]) -> None:
    for purpose in purposes:
        if not needs_consent(purpose):
            raise ValueError(f"{purpose.value} does not rest on consent: leave it out")


class TcfMapping(BaseModel):
    """Which purposes of the TCF a purpose needs, and which vendor the shop is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vendor_id: Annotated[int, Field(ge=1, le=0xFFFF)] | None = None
    purposes: dict[Purpose, Annotated[list[TcfPurpose], Field(min_length=1)]]

    @field_validator("purposes")
    @classmethod
    def _known(cls, value: dict[Purpose, list[int]]) -> dict[Purpose, list[int]]:
        _rest_on_consent(dict(value))
        return value


class ConsentMapping(BaseModel):
    """What the choices of each source mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cookiebot: dict[Purpose, Annotated[list[Category], Field(min_length=1)]]
    tcf: TcfMapping

    @field_validator("cookiebot")
    @classmethod
    def _known(cls, value: dict[Purpose, list[Category]]) -> dict[Purpose, list[Category]]:
        _rest_on_consent(dict(value))
        return value


@cache
def consent_mapping() -> ConsentMapping:
    """The mapping in use; raises MappingError."""
    return load_mapping(_FILE)


def load_mapping(path: Path) -> ConsentMapping:
    """The mapping in the file `path`; raises MappingError, which names each wrong entry and says what is accepted."""
    try:
        return ConsentMapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise MappingError(f"{path.name} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'] if part != '[key]') or 'the file'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise MappingError(f"{path.name}: {wrong}.") from error


def decisions_of_cookie(
    consent: CookiebotConsent, mapping: ConsentMapping | None = None
) -> Decisions:
    """What the cookie states; of who only went on browsing it can state refusals, never an agreement (Art. 4(11))."""
    stated = {
        purpose: _decision(set(categories) <= consent.accepted)
        for purpose, categories in (mapping or consent_mapping()).cookiebot.items()
    }
    if consent.explicit:
        return stated
    return {purpose: said for purpose, said in stated.items() if said is Decision.OPT_OUT}


def decisions_of_tc_string(tc: TcString, mapping: ConsentMapping | None = None) -> Decisions:
    """What the TC string states; raises TcfError for one that is not valid for a single shop."""
    if not tc.is_service_specific:
        raise TcfError(
            "The string is not service-specific: consent of a global scope is no longer valid (TCF 2.2)."
        )
    tcf = (mapping or consent_mapping()).tcf
    agreed = _agreed(tc, tcf.vendor_id)
    return {purpose: _decision(set(numbers) <= agreed) for purpose, numbers in tcf.purposes.items()}


def _agreed(tc: TcString, vendor: int | None) -> frozenset[int]:
    """The purposes that the shop has consent for: as the publisher, or as `vendor`."""
    if vendor is None:
        return tc.publisher.purposes_consent if tc.publisher else tc.purposes_consent
    if vendor not in tc.vendors_consent or not _disclosed(tc, vendor):
        return frozenset()
    return tc.purposes_consent - {
        restriction.purpose for restriction in tc.restrictions if _forbids(restriction, vendor)
    }


def _disclosed(tc: TcString, vendor: int) -> bool:
    if tc.disclosed_vendors is None:
        return tc.policy_version < _DISCLOSURE_SINCE_POLICY
    return vendor in tc.disclosed_vendors


def _forbids(restriction: PublisherRestriction, vendor: int) -> bool:
    """Whether the vendor may not process for the purpose on consent: not at all (0), or on legitimate interest alone (2)."""
    return vendor in restriction.vendors and restriction.kind in (0, 2)


def _decision(agreed: bool) -> Decision:
    return Decision.OPT_IN if agreed else Decision.OPT_OUT
