"""Whether somebody is a subject of the platform: only then may anything be written under their pseudonym.

A subject reference outlives an erasure by its lifetime, and one is issued for unknown people too. What is written for either
would be a trace of somebody of whom nothing is to be kept.
"""

from privacy import tombstones
from privacy.vault import Vault

__all__ = ["is_present"]


def is_present(pseudonym: str) -> bool:
    """Whether the vault knows the subject and no erasure of them was begun.

    Ask inside `tombstones.writing`, and write before leaving it: an erasure waits for that, and finds what was written.
    """
    return pseudonym in Vault().known([pseudonym]) and not tombstones.is_erased([pseudonym])[0]
