"""What personal data in English, German and French free text looks like, as Presidio recognisers.

Each comes with a trigger, a cheap expression that any text it could match contains, so that the many texts without one are
never analysed. Where Presidio validates a match (a checksum, a public suffix), validity is not asked for here: a mistyped
IBAN is as personal as a correct one.
"""

import re
from dataclasses import dataclass

from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IpRecognizer,
    PhoneRecognizer,
)

__all__ = ["TriggeredRecognizer", "recognizers"]


@dataclass(frozen=True, slots=True)
class TriggeredRecognizer:
    """A recogniser, its entity, and the trigger (in the syntax of Rust's regex, which polars uses)."""

    entity: str
    trigger: str
    recognizer: EntityRecognizer


class _AnyEmailRecognizer(EmailRecognizer):  # type: ignore[misc]
    """Presidio's e-mail pattern for every domain (its own check downloads a list of public suffixes)."""

    def validate_result(self, pattern_text: str) -> bool | None:
        return None


_CAPITALISED = r"\p{Lu}[\p{L}'\u2019\-]+"
_NAME = rf"{_CAPITALISED}(?:[ ](?:(?:von|van|de|du|der|la)[ ])?{_CAPITALISED}){{0,2}}"
_INTRODUCTIONS = r"my name is|my name's|name:|ich hei(?:ß|ss)e|mein name ist|je m['\u2019]appelle|mon nom est|je suis m(?:me|\.)"
_CLOSINGS = (
    r"regards|sincerely|yours truly|yours|cheers|best wishes|many thanks|thanks"
    r"|gr(?:ü|ue)(?:ß|ss)en?|gru(?:ß|ss)|\blg|cordialement|bien à vous|bises|merci d['\u2019]avance"
)
_TITLES = r"\b(?:mr|mrs|ms|miss|herrn?|frau|mme|mlle|madame|monsieur|dr|prof)"
_STREET_EN = r"Street|St\b\.?|Road|Rd\b\.?|Avenue|Ave\b\.?|Lane|Ln\b\.?|Drive|Court|Close|Square|Boulevard|Blvd\b\.?|Way|Terrace|Place"
_STREET_DE = r"stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|damm|ufer"
_STREET_FR = r"rue|avenue|boulevard|bd|place|chemin|allée|impasse|quai|route"
_DATE = r"\d{1,4}[./\- ]\s?(?:\d{1,2}|\p{L}{3,10})[./\- ]\s?\d{2,4}"
_TLDS = "com|org|net|eu|de|fr|at|ch|uk|io|info|biz|me|shop|online"


def recognizers() -> tuple[TriggeredRecognizer, ...]:
    """Every recogniser, the more telling before the more general (where two match, the first names the mask)."""
    return (
        TriggeredRecognizer("EMAIL_ADDRESS", "@", _AnyEmailRecognizer()),
        _patterns("EMAIL_ADDRESS", "@", r"[\w.+\-]+@[\w.\-]+"),
        _patterns(
            "EMAIL_ADDRESS",
            r"(?i)[(\[{]\s?(?:at|ät|arobase)\s?[)\]}]",
            r"(?i)[\w.+\-]+\s?[(\[{]\s?(?:at|ät|arobase)\s?[)\]}]\s?[\w.\-]+(?:\s?(?:\.|[(\[{]\s?(?:dot|punkt|point)\s?[)\]}])\s?\w{2,})?",
        ),
        _patterns(
            "URL",
            r"(?i)https?://|www\.|\.(?:" + _TLDS + ")",
            r"(?i)\b(?:https?://|www\.)[^\s<>\"']+",
            rf"(?<![\w@.])(?:[a-z0-9\-]+\.)+(?:{_TLDS})\b(?:/[^\s<>\"']*)?",
        ),
        _patterns("SOCIAL_HANDLE", "@", r"(?<![\w@])@[\w.]{3,}"),
        _patterns(
            "IBAN_CODE",
            r"(?i)[a-z]{2}\d{2}",
            r"(?i)\b[a-z]{2}\d{2}(?:[ \-]?[a-z0-9]{4}){2,7}[ \-]?[a-z0-9]{1,4}\b",
        ),
        TriggeredRecognizer("CREDIT_CARD", r"\d(?:[ \-]?\d){11}", CreditCardRecognizer()),
        TriggeredRecognizer(
            "IP_ADDRESS", r"(?:\d+\.){3}\d|[0-9A-Fa-f]:[0-9A-Fa-f:]", IpRecognizer()
        ),
        TriggeredRecognizer(
            "PHONE_NUMBER",
            r"\d(?:[ ()./\-]{0,3}\d){6}",
            PhoneRecognizer(supported_regions=("DE", "FR", "GB", "US", "AT", "CH")),
        ),
        _patterns(
            "PHONE_NUMBER",
            r"\d(?:[ ()./\-]{0,3}\d){6}",
            r"(?<!\w)(?:\+|0)\d?(?:[ ()./\-]{0,3}\d){6,14}(?!\w)",
            r"(?<!\w)\(?\d{3,4}\)?[ .\-/]{1,2}\d{2,4}[ .\-/]\d{3,4}(?:x\d+)?(?!\w)",
        ),
        _patterns(
            "DATE_OF_BIRTH",
            r"(?i)born|birth|gebor|geburt|\bn[ée]e? le|naissance|\bdob\b",
            rf"(?i)(?<=(?:born|birth|birthday|geboren|geburtstag|geburtsdatum|n[ée]e? le|naissance|dob)\W{{0,3}}(?:on|am|ist|is|der|le|the)?\W{{0,3}}){_DATE}",
        ),
        *_addresses(),
        *_names(),
        _patterns(
            "OPAQUE_TOKEN",
            r"\d[A-Za-z]|[A-Za-z]\d|-\d|\d{9}",
            r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
            r"(?<![\p{L}\d])(?=[\p{L}_]*\d[\p{L}_]*[\d\p{L}_]*\d)(?=[\d_]*\p{L})[\p{L}\d_]{10,}(?![\p{L}\d])",
            r"(?<!\w)\p{L}{2,}(?:-[\p{L}\d]+)*-(?=\p{L}*\d)(?=\d*\p{L})[\p{L}\d]{8,}(?!\w)",
            r"(?<!\d)\d{9,}(?!\d)",
        ),
    )


def _addresses() -> tuple[TriggeredRecognizer, ...]:
    return (
        _patterns(
            "STREET_ADDRESS",
            rf"(?i)\d.*(?:{_STREET_EN})|\b(?:{_STREET_FR}) |(?:{_STREET_DE}).*\d",
            rf"\b\d{{1,5}}[a-z]?,?\s(?:\p{{Lu}}[\p{{L}}'.\-]*\s){{1,3}}(?:{_STREET_EN})",
            rf"(?i:\b\d{{1,4}}(?:\s?(?:bis|ter))?,?\s(?:{_STREET_FR})\s)(?:(?:de|du|des|la|le|les|l'|d')\s?)*\p{{Lu}}[\p{{L}}'\-]*(?:\s\p{{Lu}}[\p{{L}}'\-]*){{0,2}}",
            rf"\b(?:\p{{Lu}}[\p{{L}}\-]*\s)?(?i:[\p{{L}}\-]*(?:{_STREET_DE}))\s?\d{{1,4}}(?:\s?[a-z]\b)?",
            rf"(?i:\b(?:{_STREET_FR})\s)(?:(?:de|du|des|la|le|les|l'|d')\s?)*\p{{Lu}}[\p{{L}}'\-]*(?:\s\p{{Lu}}[\p{{L}}'\-]*){{0,2}},?\s\d{{1,4}}\b",
        ),
        _patterns(
            "LOCATION",
            r"\b\d{4,5} |[A-Z]\d",
            r"\b\d{5}\s\p{Lu}[\p{L}\-]+(?:\s(?:am|an der|sur|im)\s\p{Lu}[\p{L}\-]+)?",
            r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b",
        ),
    )


def _names() -> tuple[TriggeredRecognizer, ...]:
    """Names that a cue announces: an introduction, a closing, a title."""
    return (
        _patterns(
            "PERSON",
            rf"(?i){_INTRODUCTIONS}|{_CLOSINGS}|{_TITLES}|\bI['\u2019]?\s?a?m ",
            rf"(?<=(?i:\b(?:{_INTRODUCTIONS}))\s{{1,2}}){_NAME}",
            rf"(?<=(?i:(?:{_CLOSINGS}))[\s,!]{{1,3}}){_NAME}(?=[\s.!]*$)",
            rf"(?<=(?i:{_TITLES})\.?\s){_NAME}",
            rf"(?<=\bI(?:['\u2019]m|\sam)\s){_CAPITALISED}[ ]{_CAPITALISED}",
        ),
    )


def _patterns(entity: str, trigger: str, *expressions: str) -> TriggeredRecognizer:
    """A recogniser of these expressions, in which case matters unless they say otherwise."""
    recognizer = PatternRecognizer(
        supported_entity=entity,
        patterns=[
            Pattern(f"{entity.lower()} {position}", expression, 0.6)
            for position, expression in enumerate(expressions)
        ],
        global_regex_flags=int(re.MULTILINE),
    )
    return TriggeredRecognizer(entity, trigger, recognizer)
