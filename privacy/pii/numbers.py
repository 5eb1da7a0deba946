"""Telephone, card and bank account numbers, told apart by their digits, their grouping and the words beside them."""

import regex

from privacy.pii.expressions import Expressions, TriggeredRecognizer, expressions

__all__ = ["is_card", "is_iban", "numbers"]

_CARD_WORDS = regex.compile(
    r"(?i)\b(?:card|cc|visa|master|maestro|amex|(?:kredit|giro|bank)?karte|carte|bancaire)"
)
_PHONE_WORDS = regex.compile(
    r"(?i)\b(?:phone|tel|call|ring|dial|text me|sms|whatsapp|mobile?|cell|fax|office|desk|number|nummer|num[ée]ro|ruf|erreich"
    r"|handy|appel|joindre|portable|contact|answering|messages?)"
)
_OTHER_NUMBERS = regex.compile(
    r"(?i)licen[cs]e|passport|order|bestell|commande|invoice|rechnung|facture|article|artikel|item|style|ssn|social security"
)
_NEAR = 60  # characters before a number in which a word says what it is
_AFTER = 12
# ISO/IEC 7812: the leading digits of the schemes, and how long their numbers are.
_SCHEMES = regex.compile(
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0|[68]\d)\d{11,16}|35\d{14}"
    r"|(?:1800|2131)\d{11}|6(?:011|4|5)\d{12,16}|(?:5[0678]|6)\d{13,17}"
)
_SHORT_SCHEMES = regex.compile(r"(?:5[0678]|6)\d{10,11}|4\d{12}")
# The countries of the IBAN registry (SWIFT) and the length of their account numbers.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE BI", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BY DJ FR GR IT MC MR SM", 28: "AL AZ CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE",
        31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBAN_DIGITS = str.maketrans({chr(65 + n): str(10 + n) for n in range(26)})


def is_card(digits: str) -> bool:
    """Whether `digits` are a card number of a known scheme and length with a right check digit (Luhn, ISO/IEC 7812-1)."""
    known = _SCHEMES.fullmatch(digits) or _SHORT_SCHEMES.fullmatch(digits)
    return bool(known) and _luhn(digits)


def is_iban(text: str) -> bool:
    """Whether `text` is an IBAN with right check digits (ISO 13616: MOD 97-10 of ISO 7064 gives 1)."""
    compact = regex.sub(r"[\s\-]", "", text).upper()
    if len(compact) != _IBAN_LENGTHS.get(compact[:2]) or not regex.fullmatch(r"[A-Z0-9]+", compact):
        return False
    return int((compact[4:] + compact[:4]).translate(_IBAN_DIGITS)) % 97 == 1


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _announced(words: regex.Pattern[str], text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _AFTER]
    return bool(words.search(before) or words.search(after))


class _Cards(Expressions):
    """Card numbers; one without a right check digit too where a word says that it is one, for a mistyped one is as personal."""

    def accepts(self, text: str, start: int, end: int) -> bool:
        digits = regex.sub(r"\D", "", text[start:end])
        if _SCHEMES.fullmatch(digits) and _luhn(digits):
            return True
        return _announced(_CARD_WORDS, text, start, start)


class _Phones(Expressions):
    """Numbers of seven to fifteen digits (ITU-T E.164), grouped as telephone numbers are, where a word announces one."""

    def accepts(self, text: str, start: int, end: int) -> bool:
        digits = sum(character.isdigit() for character in text[start:end])
        if not 7 <= digits <= 15:
            return False
        if _OTHER_NUMBERS.search(text[max(0, start - _NEAR) : start]):
            return False
        alone = not text[:start].strip() and not text[end:].strip()
        return alone or _announced(_PHONE_WORDS, text, start, end)


_PHONE_TRIGGER = r"[0-9](?:[ ()./\-]{0,3}[0-9]){6}"
_DATE_OR_NUMBER = r"(?!\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./](?:19|20)?\d\d(?![./]?\d)|\d{3}-\d\d-\d{4}\b|\d{4}-\d\d-\d{4}\b)"


def numbers() -> tuple[TriggeredRecognizer, ...]:
    """IBAN, card and telephone numbers."""
    return (
        expressions(
            "IBAN_CODE",
            r"(?i)[a-z]{2}\d{2}",
            r"(?i)\b[a-z]{2}\d{2}(?:[ \-]?[a-z0-9]{4}){2,7}(?:[ \-]?[a-z0-9]{1,4})?\b",
        ),
        TriggeredRecognizer(
            "CREDIT_CARD",
            r"[0-9](?:[ \-]?[0-9]){11}",
            _Cards("CREDIT_CARD", r"(?<![\w+]|\d[ \-])\d(?:[ \-]?\d){11,18}(?![ \-]?\d|\w)"),
        ),
        expressions(
            "PHONE_NUMBER",
            _PHONE_TRIGGER,
            # International, or with the leading zero of a national number.
            rf"(?<![\w./\-]|\d,){_DATE_OR_NUMBER}(?:\+[ ]?\d{{1,3}}|\(?0\d?)(?:[ ()./\-]{{0,3}}\d){{6,12}}(?:[ ]?x\d+)?(?!\w)",
            # North American: three, three, four.
            r"(?<![\w\-])(?:\+?1[ .\-])?(?:\(\d{3}\)[ ]?|\d{3}[.\-])\d{3}[.\-]\d{4}(?:[ ]?x\d+)?(?![\w\-])",
            # An area code in parentheses.
            r"(?<!\w)\(\d{2,5}\)[ ]?\d{2,4}(?:[ \-]\d{2,4}){1,3}(?!\w|-\d)",
        ),
        TriggeredRecognizer(
            "PHONE_NUMBER",
            _PHONE_TRIGGER,
            _Phones(
                "PHONE_NUMBER",
                rf"(?<![\w.,/\-]){_DATE_OR_NUMBER}\d{{2,4}}(?:[ .\-]\d{{2,6}}){{1,5}}(?:x\d+)?(?![\w/])",
                r"(?<![\w.,/\-])\d{7,11}(?![\w/\-])",
            ),
        ),
    )
