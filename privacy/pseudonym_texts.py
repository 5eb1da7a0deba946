"""Pseudonyms in texts, where none belongs: 32 hexadecimal digits on their own. A UUID, written with hyphens, is not one."""

import re

__all__ = ["names_somebody", "without_pseudonyms"]

_PSEUDONYM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def names_somebody(text: str) -> bool:
    """Whether `text` holds what looks like a pseudonym."""
    return _PSEUDONYM.search(text) is not None


def without_pseudonyms(text: str) -> str:
    """`text` with ``(pseudonym)`` in the place of each."""
    return _PSEUDONYM.sub("(pseudonym)", text)
