"""Looks for the e-mail addresses and telephone numbers of who is being erased, which must lie nowhere in clear.

Pseudonyms are searched for when everything is done (`privacy.verification`); identifiers only while the vault can still open them.
So an erasure does this after every other store and before the vault. What is searched for is held in memory alone: no file, row, log
or message of this search has it. Not looked for: names and cities, which belong to others and to products as well; customer numbers,
which are often numbers like any other; what is shorter than eight bytes. The shop's own data, which it comes from, is not searched.
"""

from collections.abc import Iterator, Sequence

from privacy.identifiers import EMAIL, PHONE, or_none
from privacy.stores.scrub import scrub_postgres, scrub_redis, tables_with_bytes
from privacy.vault import Vault
from privacy.verification import Verification, search_postgres, search_redis, search_state

__all__ = ["IdentifiersFoundError", "refuse_identifiers"]

_KINDS = (EMAIL, PHONE)
_SHORTEST = 8
_SHOWN = 5


class IdentifiersFoundError(RuntimeError):
    """Identifiers of who is being erased lie somewhere in clear; says where, never what."""


def refuse_identifiers(pseudonyms: Sequence[str]) -> int:
    """Search Postgres, Redis and the files of the state; returns how many places, 0 where the vault knows nobody of them.

    Raises IdentifiersFoundError, also where a place cannot be searched.
    """
    needles = sorted(set(_needles(pseudonyms)))
    if not needles:
        return 0
    result = _searched(needles)
    if result.findings:  # perhaps only bytes of what was deleted since: those can go
        scrub_redis()
        scrub_postgres(tables_with_bytes(needles))
        result = _searched(needles)
    if result.findings:
        shown = "; ".join(str(finding) for finding in result.findings[:_SHOWN])
        raise IdentifiersFoundError(
            f"e-mail addresses or telephone numbers in clear, or not all searched, in {len(result.findings)} places: "
            + _masked(shown, needles)
        )
    return result.searched


def _searched(needles: Sequence[bytes]) -> Verification:
    result = Verification()
    for search in (search_postgres, search_redis, search_state):
        result.add(search(needles))
    return result


def _needles(pseudonyms: Sequence[str]) -> Iterator[bytes]:
    """Each identifier as the shop writes it, in lower case, and normalised."""
    vault = Vault()
    for canonical in vault.identifiers_of(pseudonyms):
        kind, _, value = canonical.decode().partition("\0")
        if kind in _KINDS:
            yield from _spellings(kind, value)
    for fields in vault.reveal_many(pseudonyms).values():
        for kind in _KINDS:
            if kind in fields:
                yield from _spellings(kind, fields[kind])


def _spellings(kind: str, value: str) -> Iterator[bytes]:
    for text in (value, value.strip(), value.lower(), or_none(kind, value) or ""):
        if len(text.encode()) >= _SHORTEST:
            yield text.encode()


def _masked(text: str, needles: Sequence[bytes]) -> str:
    """`text` without what was searched for: a file may be named after a person."""
    for needle in sorted(needles, key=len, reverse=True):
        text = text.replace(needle.decode(), "(identifier)")
    return text
