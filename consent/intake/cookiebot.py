"""The cookie ``CookieConsent`` of Cookiebot, in which a browser keeps what was chosen in its banner.

It looks like JSON and is none: unquoted names, single quotes, and URL encoding around it. Whoever holds the browser can write it, so
its stamp is a reference to the CMP's own log, which is the proof, and not proof itself.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

__all__ = ["CATEGORIES", "CookieError", "CookiebotConsent", "parse"]

CATEGORIES = ("necessary", "preferences", "statistics", "marketing")
_LONGEST = 2_048
_ENTRY = re.compile(r"\s*([A-Za-z]+)\s*:\s*(?:'([^'\\]*)'|([A-Za-z0-9.-]+))\s*")
_STAMP = re.compile(r"[A-Za-z0-9+/=_-]{8,128}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CookieError(ValueError):
    """Not a cookie of Cookiebot's; says which part is wrong, never what stands there."""


@dataclass(frozen=True, slots=True)
class CookiebotConsent:
    """What the cookie says.

    Attributes
    ----------
    stamp: names the entry in the CMP's log; None where the cookie says no more than that all was declined.
    accepted: categories that were accepted.
    explicit: whether the person chose, rather than went on browsing.
    stated_at: when; None where the cookie says no more than that all was declined.
    """

    accepted: frozenset[str]
    explicit: bool
    stamp: str | None = None
    stated_at: datetime | None = None
    version: int | None = None
    region: str | None = None


def parse(cookie: str) -> CookiebotConsent:
    """Read the cookie's value, URL encoded or not; raises CookieError."""
    text = unquote(cookie[: 3 * _LONGEST]).strip().strip('"')
    if text == "0":
        return CookiebotConsent(frozenset(), explicit=True)
    if text == "-1":
        raise CookieError(
            "The cookie says that no consent was asked for in the visitor's region (-1): it states nothing."
        )
    if len(text) > _LONGEST or not (text.startswith("{") and text.endswith("}")):
        raise CookieError("The cookie is not of the form {stamp:'…',necessary:true,…}.")
    values = _entries(text[1:-1])
    return CookiebotConsent(
        frozenset(name for name in CATEGORIES if _flag(values, name)),
        explicit=_needed(values, "method") == "explicit",
        stamp=_stamp(values),
        stated_at=_time(values),
        version=int(values["ver"]) if values.get("ver", "").isdecimal() else None,
        region=values["region"] if re.fullmatch(r"[a-z]{2}", values.get("region", "")) else None,
    )


def _entries(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        entry = _ENTRY.match(text, position)
        if not entry or (entry.end() < len(text) and text[entry.end()] != ","):
            raise CookieError(f"The cookie cannot be read from its entry {len(values) + 1} on.")
        name, quoted, bare = entry.groups()
        if name in values:
            raise CookieError("The cookie names an entry twice.")
        values[name] = bare if quoted is None else quoted
        position = entry.end() + 1
    return values


def _needed(values: dict[str, str], name: str) -> str:
    try:
        return values[name]
    except KeyError:
        raise CookieError(f"The cookie lacks '{name}'.") from None


def _flag(values: dict[str, str], name: str) -> bool:
    value = _needed(values, name)
    if value not in ("true", "false"):
        raise CookieError(f"The cookie's '{name}' is neither true nor false.")
    return value == "true"


def _stamp(values: dict[str, str]) -> str:
    stamp = _needed(values, "stamp")
    if not _STAMP.fullmatch(stamp):
        raise CookieError("The cookie's stamp is none.")
    return stamp


def _time(values: dict[str, str]) -> datetime:
    """``utc``: milliseconds since 1970."""
    text = _needed(values, "utc")
    if not re.fullmatch(r"[0-9]{12,14}", text):
        raise CookieError("The cookie's 'utc' is no time in milliseconds.")
    return _EPOCH + timedelta(milliseconds=int(text))
