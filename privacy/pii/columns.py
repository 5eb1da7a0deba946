"""Whether a stored column holds personal data, judged by a sample of its values.

A text that is masked may lose a word too many; a column that is refused stops the run. So the rules are stricter here: only what
proves itself counts at its first occurrence (an e-mail address, a bank account or grouped card number with right check digits,
an international telephone number, a sentence that introduces a person). What only looks like something (digits that could be
a telephone number, names, streets) counts from a share of the values. Results are counts; no value leaves this module.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import phonenumbers
import polars as pl
import regex

from privacy.contracts import ColumnTag
from privacy.pii.detector import Detector
from privacy.pii.names import introduces, is_full_name
from privacy.pii.numbers import is_card, is_iban

__all__ = ["ALLOWED", "DISTINCT_VALUES", "judge"]

DISTINCT_VALUES = 1_000
"""How many distinct values of a column are searched for streets and, with a model, for names; rules are asked of all."""

_CONTACT = frozenset({"EMAIL_ADDRESS", "PHONE_NUMBER", "STREET_ADDRESS"})
ALLOWED: Mapping[ColumnTag, frozenset[str]] = {
    ColumnTag.MASKED_TEXT: frozenset({"PERSON", "STREET_ADDRESS"}),
    ColumnTag.NAMES_OF_THINGS: frozenset({"PERSON"}),
    ColumnTag.PLACES: frozenset({"STREET_ADDRESS", "PERSON"}),
    ColumnTag.BUSINESS_CONTACT: _CONTACT | {"PERSON"},
    ColumnTag.CODES: frozenset({"PHONE_NUMBER", "CREDIT_CARD", "IP_ADDRESS"}),
}
"""What a tagged column may hold; `encrypted` and `personal` ones are not looked at."""

_REGIONS = ("DE", "FR", "GB", "AT", "CH", "BE", "NL", "US")
_EMAIL = regex.compile(r"(?<![\w.+\-])[\w.+\-]*[\w+\-]@(?:[\w\-]+\.)+\p{L}{2,}")
_IBAN = regex.compile(r"\b[A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]{4}){2,7}(?:[ ]?[A-Za-z0-9]{1,3})?\b")
_GROUPED_CARD = regex.compile(
    r"(?<![\d\-])\d{4}([ \-])(?:\d{4}\1\d{4}\1\d{1,7}|\d{6}\1\d{5})(?![\d\-])"
)
_DIGITS = regex.compile(r"[\d ()./\-]{7,24}")
_INTERNATIONAL = regex.compile(r"(?<![\w+])\+[1-9](?:[ ()./\-]{0,2}\d){7,14}(?!\w)")
_IP = regex.compile(
    r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)|(?:[0-9a-fA-F]{1,4}:){3,7}:?[0-9a-fA-F:]+"
)


class _Rule(NamedTuple):
    """An entity, the values that hold it, and from which share and number of values on it counts."""

    entity: str
    trigger: str
    holds: Callable[[str], bool]
    share: float = 0.0
    least: int = 1


def _has_iban(text: str) -> bool:
    return any(is_iban(match.group()) for match in _IBAN.finditer(text))


def _has_grouped_card(text: str) -> bool:
    return any(
        is_card(regex.sub(r"\D", "", match.group())) for match in _GROUPED_CARD.finditer(text)
    )


def _has_international_phone(text: str) -> bool:
    return any(_valid(match.group(), None) for match in _INTERNATIONAL.finditer(text))


def _is_national_phone(text: str) -> bool:
    written = text.strip()
    if not written.startswith(("0", "(")) or not _DIGITS.fullmatch(written):
        return False
    return any(_valid(written, region) for region in _REGIONS)


def _valid(number: str, region: str | None) -> bool:
    """Whether it is a number that the numbering plan of its country gives out."""
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, region)))
    except phonenumbers.NumberParseException:
        return False


_RULES = (
    _Rule("EMAIL_ADDRESS", "@", lambda text: bool(_EMAIL.search(text))),
    _Rule("IBAN_CODE", r"[A-Za-z]{2}[0-9]{2}", _has_iban),
    _Rule("CREDIT_CARD", r"[0-9]{4}[ \-][0-9]{4}", _has_grouped_card),
    _Rule("CREDIT_CARD", r"^[0-9]{13,19}$", is_card, share=0.3, least=5),
    _Rule("PHONE_NUMBER", r"\+[1-9]", _has_international_phone),
    _Rule("PHONE_NUMBER", r"^\s*[(]?0[0-9 ()./\-]{6,}$", _is_national_phone, share=0.3, least=5),
    _Rule("IP_ADDRESS", r"^[0-9a-fA-F:.]{7,39}$", lambda text: bool(_IP.fullmatch(text)), share=0.3, least=2),
    _Rule("PERSON", r"(?i)name|hei(?:ß|ss)e|appelle", introduces),
    _Rule("PERSON", r"^\p{Lu}\S* \p{Lu}|^\p{Lu}\S* .+ \p{Lu}", is_full_name, share=0.2, least=5),
)  # fmt: skip
_STREET_SHARE, _STREET_LEAST = 0.2, 5


def judge(
    values: Sequence[str], tag: ColumnTag | None, detector: Detector, *, people: bool = False
) -> dict[str, int]:
    """Entity to number of distinct values, for each kind of personal data that the column must not hold.

    Parameters
    ----------
    values: a sample of the column.
    tag: what the column's contract admits.
    people: whether the names found by an installed model count, from a fifth of the values on.
    """
    if tag in (ColumnTag.ENCRYPTED, ColumnTag.PERSONAL):
        return {}
    sample = pl.Series("text", values, pl.String).drop_nulls().unique(maintain_order=True)
    found: dict[str, int] = {}
    for entity, count in (*_by_rule(sample), *_by_detector(sample, detector, people)):
        if entity not in ALLOWED.get(tag, frozenset()) if tag else True:
            found[entity] = max(found.get(entity, 0), count)
    return found


def _by_rule(sample: pl.Series) -> Iterable[tuple[str, int]]:
    for rule in _RULES:
        candidates = sample.filter(sample.str.contains(rule.trigger))
        count = sum(map(rule.holds, candidates.to_list()))
        if count >= max(rule.least, rule.share * len(sample)):
            yield rule.entity, count


def _by_detector(sample: pl.Series, detector: Detector, people: bool) -> Iterable[tuple[str, int]]:
    """Streets that fill most of a value, and with a model people that do."""
    if len(sample) > DISTINCT_VALUES:
        sample = sample.sample(DISTINCT_VALUES, seed=0)
    wanted = {"STREET_ADDRESS", "PERSON"} if people else {"STREET_ADDRESS"}
    counts = dict.fromkeys(wanted, 0)
    for text, spans in zip(sample, detector.find(sample.to_list()), strict=True):
        for entity in {name for start, end, name in spans if 2 * (end - start) >= len(text)}:
            if entity in counts:
                counts[entity] += 1
    for entity, count in counts.items():
        if count >= max(_STREET_LEAST, _STREET_SHARE * len(sample)):
            yield entity, count
