"""The purposes of processing, read from `purposes.yaml`: text, legal basis and bit of the mask."""

from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from privacy.contracts import LegalBasis, Purpose

__all__ = ["PurposeDefinition", "needs_consent", "purpose_definitions", "purpose_mask"]

_FILE = Path(__file__).with_name("purposes.yaml")
LANGUAGES = frozenset({"de", "en", "fr"})


class PurposesError(ValueError):
    """`purposes.yaml` does not define every purpose once; says what is missing or doubled."""


class PurposeDefinition(BaseModel):
    """One purpose: what a person is told, why it is lawful, and its bit in the mask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bit: int = Field(ge=0, lt=53, description="Bit of the Redis mask; exact in Lua's doubles")
    legal_basis: LegalBasis
    valid_for_days: int | None = Field(
        None, ge=1, description="How long an agreement holds before it must be given again"
    )
    text: dict[str, str] = Field(description="What the person is asked, by language")

    @property
    def valid_for(self) -> timedelta | None:
        """How long an agreement holds; None where none is asked for."""
        return timedelta(days=self.valid_for_days) if self.valid_for_days else None


@cache
def purpose_definitions() -> dict[Purpose, PurposeDefinition]:
    """Every purpose's definition; raises PurposesError where the file and `Purpose` disagree."""
    raw = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    definitions = {
        Purpose(name): PurposeDefinition.model_validate(entry) for name, entry in raw.items()
    }
    if missing := set(Purpose) - definitions.keys():
        raise PurposesError(f"{_FILE.name} lacks {', '.join(sorted(missing))}: define them.")
    if len({definition.bit for definition in definitions.values()}) < len(definitions):
        raise PurposesError(f"{_FILE.name} gives one bit to two purposes: make them differ.")
    for purpose, definition in definitions.items():
        if untold := LANGUAGES - definition.text.keys():
            raise PurposesError(f"{_FILE.name}: {purpose} has no text in {sorted(untold)}.")
        if (definition.legal_basis is LegalBasis.CONSENT) != (definition.valid_for is not None):
            raise PurposesError(
                f"{_FILE.name}: {purpose} needs valid_for_days exactly if it rests on consent: add or remove it."
            )
    return definitions


def needs_consent(purpose: Purpose) -> bool:
    """Whether `purpose` rests on consent; the others (a contract) need no agreement in the ledger."""
    return purpose_definitions()[purpose].legal_basis is LegalBasis.CONSENT


def purpose_mask(purposes: Iterable[Purpose]) -> int:
    """The bits of `purposes`, as one integer."""
    definitions = purpose_definitions()
    mask = 0
    for purpose in purposes:
        mask |= 1 << definitions[purpose].bit
    return mask
