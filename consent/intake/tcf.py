"""Transparency and consent strings of the IAB TCF, version 2 (policies 2 to 5): every segment, decoded bit by bit.

Written from IAB Tech Lab's "Consent string and vendor list formats v2" and tested on published strings, since the library on PyPI
(iab-tcf) had its last release before TCF 2.2.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["PublisherRestriction", "PublisherTc", "TcString", "TcfError", "decode"]

_FORM = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LONGEST = 16_384
_MOST_VENDORS = 200_000
"""Vendors that the ranges of one segment may name in all: a short string could name millions, over and over."""
_VERSION = 2
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECISECOND = timedelta(milliseconds=100)


class TcfError(ValueError):
    """Not a TC string of version 2; says what is wrong, never the string."""


@dataclass(frozen=True, slots=True)
class PublisherRestriction:
    """What the publisher forbids some vendors: 0 the purpose, 1 any basis but consent, 2 any but legitimate interest."""

    purpose: int
    kind: int
    vendors: frozenset[int]


@dataclass(frozen=True, slots=True)
class PublisherTc:
    """What the person agreed to for the publisher's own use of data."""

    purposes_consent: frozenset[int]
    purposes_legitimate_interest: frozenset[int]
    custom_purposes_consent: frozenset[int]
    custom_purposes_legitimate_interest: frozenset[int]


@dataclass(frozen=True, slots=True)
class TcString:
    """A decoded string. Purposes, features and vendors are numbers from 1; times are UTC (since TCF 2.2 to the day).

    Attributes
    ----------
    disclosed_vendors, allowed_vendors, publisher: None where the string lacks that segment.
    """

    created: datetime
    last_updated: datetime
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int
    is_service_specific: bool
    use_non_standard_texts: bool
    special_features: frozenset[int]
    purposes_consent: frozenset[int]
    purposes_legitimate_interest: frozenset[int]
    purpose_one_treatment: bool
    publisher_country: str
    vendors_consent: frozenset[int]
    vendors_legitimate_interest: frozenset[int]
    restrictions: tuple[PublisherRestriction, ...]
    disclosed_vendors: frozenset[int] | None = None
    allowed_vendors: frozenset[int] | None = None
    publisher: PublisherTc | None = None


class _Bits:
    """Reads a segment from its first bit on."""

    def __init__(self, segment: str, name: str) -> None:
        try:
            raw = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_")
        except (binascii.Error, ValueError):
            raise TcfError(f"The {name} segment is not base64url.") from None
        self._value = int.from_bytes(raw)
        self._left = len(raw) * 8
        self._vendors = 0
        self._name = name

    def number(self, bits: int) -> int:
        """The next `bits` bits, most significant first."""
        if bits > self._left:
            raise TcfError(f"The {self._name} segment ends too early: it was cut off.")
        self._left -= bits
        return (self._value >> self._left) & ((1 << bits) - 1)

    def flag(self) -> bool:
        return bool(self.number(1))

    def time(self) -> datetime:
        return _EPOCH + self.number(36) * _DECISECOND

    def letters(self) -> str:
        """Two letters of 6 bits each, a = 0."""
        codes = self.number(6), self.number(6)
        if max(codes) > 25:
            raise TcfError(f"The {self._name} segment has a code of two letters that is none.")
        return "".join(chr(ord("A") + code) for code in codes)

    def members(self, count: int) -> frozenset[int]:
        """The numbers from 1 whose bit is set, of `count` bits."""
        field = self.number(count)
        return frozenset(n for n in range(1, count + 1) if field >> (count - n) & 1)

    def vendors(self) -> frozenset[int]:
        """A set of vendors: their highest number, then one bit for each, or ranges."""
        highest = self.number(16)
        if not self.flag():
            return self.members(highest)
        return self.ranges(highest)

    def ranges(self, highest: int = 0xFFFF) -> frozenset[int]:
        found: set[int] = set()
        for _ in range(self.number(12)):
            several, first = self.flag(), self.number(16)
            last = self.number(16) if several else first
            if not 1 <= first <= last <= highest:
                raise TcfError(f"The {self._name} segment has a range of vendors that is none.")
            self._vendors += last - first + 1
            if self._vendors > _MOST_VENDORS:
                raise TcfError(f"The {self._name} segment names too many vendors.")
            found.update(range(first, last + 1))
        return frozenset(found)


def decode(tc_string: str) -> TcString:
    """The content of a TC string of version 2; raises TcfError for anything else."""
    if len(tc_string) > _LONGEST or not _FORM.fullmatch(tc_string):
        raise TcfError("Not a TC string: segments of base64url, joined by dots, are expected.")
    core, *others = tc_string.split(".")
    segments: dict[int, frozenset[int] | PublisherTc] = {}
    fields = _core(_Bits(core, "core"))
    for segment in others:
        kind, content = _optional(segment)
        if kind in segments:
            raise TcfError("The string has two segments of one kind.")
        segments[kind] = content
    return TcString(
        **fields,  # type: ignore[arg-type]
        disclosed_vendors=segments.get(_DISCLOSED),  # type: ignore[arg-type]
        allowed_vendors=segments.get(_ALLOWED),  # type: ignore[arg-type]
        publisher=segments.get(_PUBLISHER),  # type: ignore[arg-type]
    )


def _core(bits: _Bits) -> dict[str, object]:
    version = bits.number(6)
    if version != _VERSION:
        raise TcfError(f"The string has version {version}; only version {_VERSION} is accepted.")
    return {
        "created": bits.time(),
        "last_updated": bits.time(),
        "cmp_id": bits.number(12),
        "cmp_version": bits.number(12),
        "consent_screen": bits.number(6),
        "consent_language": bits.letters(),
        "vendor_list_version": bits.number(12),
        "policy_version": bits.number(6),
        "is_service_specific": bits.flag(),
        "use_non_standard_texts": bits.flag(),
        "special_features": bits.members(12),
        "purposes_consent": bits.members(24),
        "purposes_legitimate_interest": bits.members(24),
        "purpose_one_treatment": bits.flag(),
        "publisher_country": bits.letters(),
        "vendors_consent": bits.vendors(),
        "vendors_legitimate_interest": bits.vendors(),
        "restrictions": tuple(_restriction(bits) for _ in range(bits.number(12))),
    }


def _restriction(bits: _Bits) -> PublisherRestriction:
    return PublisherRestriction(bits.number(6), bits.number(2), bits.ranges())


def _optional(segment: str) -> tuple[int, frozenset[int] | PublisherTc]:
    """The kind and the content of a segment after the first; they come in any order."""
    kind = _Bits(segment, "second").number(3)
    names = {_DISCLOSED: "disclosed vendors", _ALLOWED: "allowed vendors", _PUBLISHER: "publisher"}
    if kind not in names:
        raise TcfError(f"The string has a segment of the unknown kind {kind}.")
    bits = _Bits(segment, names[kind])
    bits.number(3)
    return kind, _publisher(bits) if kind == _PUBLISHER else bits.vendors()


def _publisher(bits: _Bits) -> PublisherTc:
    consent, interest, count = bits.members(24), bits.members(24), bits.number(6)
    return PublisherTc(consent, interest, bits.members(count), bits.members(count))
