"""What retention asks of every kind of store: how much is overdue, and to delete it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from privacy.contracts import AssetContract

__all__ = ["Due", "Expiry", "Overdue"]


@dataclass(frozen=True)
class Due:
    """From when on data is overdue, and whose stays all the same.

    Attributes
    ----------
    before: what is older than this moment (UTC) is overdue.
    held: pseudonyms of the subjects whose data may not be deleted (Art. 18).
    written: when the asset was last materialised; for what has no time of its own. None where that is not known.
    """

    before: datetime
    held: frozenset[str] = frozenset()
    written: datetime | None = None


@dataclass(frozen=True)
class Overdue:
    """How many rows, keys, entries or files are overdue.

    Attributes
    ----------
    found: those that are to be deleted.
    held: those that are kept for a subject under restriction.
    kept: those that stay for another reason.
    why: that reason, or how the age was told; empty where there is nothing to say.
    """

    found: int = 0
    held: int = 0
    kept: int = 0
    why: str = ""


class Expiry(ABC):
    """How one kind of store ages; both operations may be repeated without harm.

    `reports_only`: nothing may be deleted in it by age, and what is overdue stays a fault until somebody sees to it.
    """

    reports_only: ClassVar[bool] = False

    @abstractmethod
    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """What is overdue in the asset now."""

    @abstractmethod
    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete what is overdue; returns how many rows (keys, entries, files) went."""
