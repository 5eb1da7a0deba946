"""What who holds a copy of the platform, but not its keys, would try: every identifier of a person, hashed in every usual way.

A digest is looked for by its first half, so that one which was cut short is found as well.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

__all__ = ["checksums", "digests", "spellings", "stored_checksums"]

_ALGORITHMS = (
    *("md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
    *("sha3_256", "sha3_512", "blake2b", "blake2s", "sha512_256", "ripemd160"),
)
_HALF = 16
_CHECKSUM = re.compile(rb"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?![0-9A-Za-z])")


def spellings(identifier: str) -> set[str]:
    """An identifier as shops write it: cased, trimmed, without signs, as digits, as an international number."""
    plain = re.sub(r"[\s\-+.]", "", identifier)
    digits = re.sub(r"\D", "", identifier)
    forms = {identifier, plain, digits, digits.lstrip("0")} if len(digits) >= 8 else {identifier, plain}  # fmt: skip
    forms |= {f"00{digits}", f"+{digits}", f"0{digits[2:]}"} if digits.startswith("49") else set()
    cased = {change(form) for form in forms for change in (str, str.lower, str.upper, str.strip)}
    return {form for form in cased if len(form) >= 6}


def digests(identifiers: Iterable[str]) -> Mapping[bytes, str]:
    """The beginning of every digest of every spelling, raw, hexadecimal and base64, to how it was made (not of what)."""
    found: dict[bytes, str] = {}
    texts = {form for identifier in identifiers for form in spellings(identifier)}
    for text, name in product(sorted(texts), _available()):
        raw = hashlib.new(name, text.encode()).digest()
        for kind, written in _written(raw):
            found[written] = f"{name}, {kind}"
    return found


def _available() -> list[str]:
    return [name for name in _ALGORITHMS if name in hashlib.algorithms_available]


def _written(raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "raw", raw[:_HALF]
    yield "hexadecimal", raw.hex()[:_HALF].encode()
    yield "upper-case hexadecimal", raw.hex()[:_HALF].upper().encode()
    yield "base64", base64.b64encode(raw)[:_HALF]
    yield "base64url", base64.urlsafe_b64encode(raw)[:_HALF]


def checksums(identifiers: Iterable[str]) -> set[bytes]:
    """CRC-32 and Adler-32 of every spelling, eight digits each."""
    texts = {form.encode() for identifier in identifiers for form in spellings(identifier)}
    return {b"%08x" % function(text) for text in texts for function in (zlib.crc32, zlib.adler32)}


def stored_checksums(piece: bytes) -> set[bytes]:
    """Every run of exactly eight hexadecimal digits: what could be such a checksum."""
    return {match.lower() for match in _CHECKSUM.findall(piece)}
