"""What personal data in English, German and French text looks like: the one list of recognisers, Presidio's and our own.

It serves the masking of free text, the scan of stored columns and the benchmark alike. Where Presidio validates a match (a
checksum, a public suffix), validity is not asked for in free text: a mistyped IBAN is as personal as a correct one.
"""

import ipaddress

from privacy.pii.addresses import addresses
from privacy.pii.expressions import Expressions, TriggeredRecognizer, expressions
from privacy.pii.names import names
from privacy.pii.numbers import numbers

__all__ = ["recognizers"]

_DAY, _MONTH = r"\d{1,2}(?:st|nd|rd|th|er|\.)?", r"\p{L}{3,10}\.?"
_DATE = (
    rf"(?:\d{{4}}[./\- ]\d{{1,2}}[./\- ]\d{{1,2}}|\d{{1,2}}[./\- ]\s?\d{{1,2}}[./\- ]\s?\d{{2,4}}"
    rf"|{_DAY}[ \-](?:of[ ])?{_MONTH},?[ \-]\d{{2,4}}|{_MONTH}[ ]{_DAY},?[ ]\d{{4}})"
)
_BIRTH = r"born|birth|birth ?day|birth ?date|d\.?o\.?b\.?|geboren|geb\.|geburtstag|geburtsdatum|née?(?= le)|naissance|anniversaire"
_BIRTH_WORDS = (
    "born",
    "birth",
    "dob",
    "d.o.b",
    "gebor",
    "geb.",
    "geburt",
    "né",
    "naissance",
    "anniversaire",
)
_BETWEEN = r"(?:on|am|ist|is|was|le|the|in|it['\u2019]s|[:.]|\s)"
_IP_TRIGGER = r"(?:[0-9]+\.){3}[0-9]|::|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:"
_IP = (
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)",
    r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]*(?:\.\d{1,3})*(?![\w:])",
)
_TLDS = "com|org|net|eu|de|fr|at|ch|uk|io|info|biz|me|shop|online"
_URL_END = r"[^\s<>\"'.,;:!?)\]]"


class _IpAddresses(Expressions):
    """Addresses of IP version 4 and 6."""

    def accepts(self, text: str, start: int, end: int) -> bool:
        try:
            ipaddress.ip_address(text[start:end])
        except ValueError:
            return False
        return True


def recognizers() -> tuple[TriggeredRecognizer, ...]:
    """Every recogniser, the more telling before the more general (where two match, the first names the mask)."""
    return (
        *_internet(),
        *numbers(),
        expressions(
            "DATE_OF_BIRTH",
            r"[0-9]",
            rf"(?i)\b(?:{_BIRTH})(?!\w){_BETWEEN}{{0,6}}(?P<it>{_DATE})(?!\d)",
            words=_BIRTH_WORDS,
        ),
        *addresses(),
        *names(),
        expressions(
            "OPAQUE_TOKEN",
            r"\d[A-Za-z]|[A-Za-z]\d|-\d|\d{9}",
            r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
            r"(?<![\p{L}\d_])(?=[\p{L}_]*\d[\p{L}_]*[\d\p{L}_]*\d)(?=[\d_]*\p{L})[\p{L}\d_]{10,}(?![\p{L}\d])",
            r"(?<![\w\-])\p{L}{2,40}(?:-[\p{L}\d]{1,40}){0,6}-(?=\p{L}*\d)(?=\d*\p{L})[\p{L}\d]{8,}(?!\w)",
            r"(?<!\d)\d{9,}(?!\d)",
        ),
    )


def _internet() -> tuple[TriggeredRecognizer, ...]:
    return (
        expressions(
            "EMAIL_ADDRESS", "@", r"[\w.!#$%&'*+/=?^`{|}~\-]*[\w+\-]@[\w\-]+(?:\.[\w\-]+)*"
        ),
        expressions(
            "EMAIL_ADDRESS",
            r"(?i)[(\[{]\s?(?:at|ät|arobase)\s?[)\]}]",
            r"(?i)(?<![\w.+\-])[\w.+\-]{1,64}\s?[(\[{]\s?(?:at|ät|arobase)\s?[)\]}]\s?[\w.\-]+(?:\s?(?:\.|[(\[{]\s?(?:dot|punkt|point)\s?[)\]}])\s?\w{2,})?",
        ),
        expressions(
            "URL",
            rf"(?i)https?://|www\.|\.(?:{_TLDS})",
            rf"(?i)\b(?:https?://|www\.)[^\s<>\"']*{_URL_END}/?",
            rf"(?<![\w@.\-])(?:[a-z0-9\-]{{1,63}}\.){{1,8}}(?:{_TLDS})\b(?:/[^\s<>\"']*{_URL_END})?",
        ),
        expressions("SOCIAL_HANDLE", "@", r"(?<![\w@])@[\w.]{3,}"),
        TriggeredRecognizer("IP_ADDRESS", _IP_TRIGGER, _IpAddresses("IP_ADDRESS", *_IP)),
    )
