"""A subject's own identifiers as they may turn up in what the subject writes."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["KnownTerms", "Span"]

Span = tuple[int, int, str]
"""Start, end and entity of a stretch of text."""

_PARTICLES = frozenset(
    {"von", "van", "der", "den", "de", "du", "la", "le", "del", "di", "da", "zu"}
)
_ANYWHERE = 6  # letters from which a term is masked inside a longer word, too
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_ENTITIES = {
    "name": "PERSON",
    "email": "EMAIL_ADDRESS",
    "phone": "PHONE_NUMBER",
    "city": "LOCATION",
    "birth_date": "DATE_OF_BIRTH",
    "subject_id": "CUSTOMER_NUMBER",
}


@dataclass(slots=True)
class KnownTerms:
    """The terms of one subject: what to look for, and as what to mask it."""

    entities: dict[str, str] = field(default_factory=dict)
    phone_digits: str = ""
    _expression: re.Pattern[str] | None = None

    @classmethod
    def of(cls, known: Mapping[str, str | None]) -> "KnownTerms":
        """Terms of the fields name, email, phone, city, birth_date (ISO) and subject_id; others are left out."""
        terms = cls()
        for name, entity in _ENTITIES.items():
            for term in _terms(name, (known.get(name) or "").strip()):
                for variant in _variants(term):
                    terms.entities.setdefault(variant, entity)
        digits = re.sub(r"\D", "", known.get("phone") or "")
        terms.phone_digits = digits[-8:] if len(digits) >= 7 else ""
        return terms

    def spans(self, text: str) -> list[Span]:
        """Where the terms are in `text` (NFC), in any case, with or without accents."""
        lowered = text.lower()
        found: list[Span] = []
        if any(term in lowered for term in self.entities):
            found += [
                (match.start(), match.end(), self._entity(match)) for match in self._finder(text)
            ]
        if self.phone_digits and self.phone_digits in re.sub(r"\D", "", text):
            spaced = r"[\s()./\-]*".join(self.phone_digits)
            pattern = rf"\+?(?:\d[\s()./\-]*){{0,7}}{spaced}"
            found += [(*match.span(), "PHONE_NUMBER") for match in re.finditer(pattern, text)]
        return found

    def _finder(self, text: str) -> Iterator[re.Match[str]]:
        if self._expression is None:
            longest_first = sorted(self.entities, key=len, reverse=True)
            self._expression = re.compile("|".join(map(_bounded, longest_first)), re.IGNORECASE)
        return self._expression.finditer(text)

    def _entity(self, match: re.Match[str]) -> str:
        text = re.sub(r"\s+", " ", match.group().lower())
        longest = max((term for term in self.entities if term in text), key=len, default="")
        return self.entities.get(longest, "PERSON")


def _bounded(term: str) -> str:
    escaped = re.escape(term).replace(r"\ ", r"\s+")
    if len(term) >= _ANYWHERE:
        return rf"\w*{escaped}\w*"
    return rf"(?<!\w){escaped}(?!\w)"


def _terms(name: str, value: str) -> Iterator[str]:
    if not value:
        return
    match name:
        case "name":
            yield value
            yield from _name_parts(value)
        case "email":
            yield value
            local = value.partition("@")[0]
            yield from (part for part in (local, *re.split(r"[^\w]|_|\d+", local)) if len(part) > 3)
        case "city" if len(value) > 2:
            yield value
        case "birth_date":
            yield from _dates(value)
        case "subject_id" if len(value) > 4 or not value.isdigit():
            yield value
        case _:
            return


def _name_parts(value: str) -> Iterator[str]:
    for part in re.split(r"[\s'\u2019\-.,]+", value):
        if len(part) > 2 and part.lower() not in _PARTICLES:
            yield part


def _dates(iso: str) -> Iterator[str]:
    year, month, day = [*iso.split("-"), "", ""][:3]
    if not (year.isdigit() and month.isdigit() and day.isdigit()):
        return
    yield iso
    for separator in "./-":
        for d, m in ((day, month), (str(int(day)), str(int(month)))):
            for y in (year, year[-2:]):
                yield separator.join((d, m, y))
                yield separator.join((m, d, y))


def _variants(term: str) -> Iterator[str]:
    """The term in lower case, with its umlauts spelled out, and without accents."""
    lowered = unicodedata.normalize("NFC", term).lower()
    yield lowered
    yield lowered.translate(_UMLAUTS)
    yield "".join(
        letter
        for letter in unicodedata.normalize("NFD", lowered)
        if not unicodedata.combining(letter)
    )
