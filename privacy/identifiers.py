"""The kinds of identifiers that lead to a subject, and the one form in which each is compared.

==================  ================================================================  ===========================
kind                normalised form                                                   not an identifier
==================  ================================================================  ===========================
``customer_number`` NFKC, white space around it removed; upper and lower case differ  blank
``email``           NFKC, trimmed, casefolded; the domain in its ASCII form (IDNA),   no single ``@`` between two
                    no dot at its end. Dots and ``+tags`` before the ``@`` count:     parts, or white space in it
                    only some providers ignore them, and two people must not
                    become one
``phone``           E.164 (``+493012345678``); a number without country code is read  a number that is not valid
                    as one of ``SELVEDGE_PHONE_REGION`` (``DE``)                      in its country
==================  ================================================================  ===========================

A change of ``SELVEDGE_PHONE_REGION`` changes what national spellings mean from then on; what is stored stays in E.164.
"""

import unicodedata
from functools import partial

import phonenumbers

from privacy.settings import platform_settings

__all__ = [
    "CUSTOMER_NUMBER",
    "EMAIL",
    "KINDS",
    "PHONE",
    "InvalidIdentifierError",
    "canonical",
    "normalise",
    "or_none",
]

CUSTOMER_NUMBER = "customer_number"
EMAIL = "email"
PHONE = "phone"
KINDS = (CUSTOMER_NUMBER, EMAIL, PHONE)


class InvalidIdentifierError(ValueError):
    """A text is no identifier of its kind; the message says the kind and the rule, never the text."""


def normalise(kind: str, raw: str) -> str:
    """The form in which spellings of the same identifier are equal (see the table above); raises InvalidIdentifierError."""
    # ASCII is in NFKC already.
    text = raw.strip() if raw.isascii() else unicodedata.normalize("NFKC", raw).strip()
    if kind == CUSTOMER_NUMBER:
        if not text:
            raise InvalidIdentifierError("A customer number must not be blank.")
        return text
    if kind == EMAIL:
        return _email(text)
    if kind == PHONE:
        return _phone(text)
    raise InvalidIdentifierError(f"There is no such kind of identifier: use {', '.join(KINDS)}.")


def or_none(kind: str, raw: str | None) -> str | None:
    """`normalise`, and None for a null or for what is no identifier of the kind."""
    try:
        return normalise(kind, raw) if raw else None
    except InvalidIdentifierError:
        return None


def canonical(kind: str, normalised: str) -> bytes:
    """The bytes that stand for a normalised identifier wherever one is hashed under a key."""
    return f"{kind}\0{normalised}".encode()


def _email(text: str) -> str:
    local, at, domain = text.casefold().rpartition("@")
    domain = domain.removesuffix(".")
    if not at or not local or not domain or "@" in local or any(map(str.isspace, text)):
        raise InvalidIdentifierError("An e-mail address must have the form name@domain.")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        raise InvalidIdentifierError("The domain of an e-mail address is not valid.") from None


def _phone(text: str) -> str:
    invalid = partial(
        InvalidIdentifierError,
        "A phone number must be valid in its country: write it with its country code, as +49 30 12345678.",
    )
    try:
        number = phonenumbers.parse(text, platform_settings().phone_region)
    except phonenumbers.NumberParseException:
        raise invalid() from None  # the library's own message may quote the number
    if number.extension or not phonenumbers.is_valid_number(number):
        raise invalid()
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
