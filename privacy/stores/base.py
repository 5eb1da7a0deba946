"""What every store handler does for the subjects of an asset: find, export, erase and verify.

StoreError             an operation on a store failed; parent of
    StoreLockedError   somebody else holds the store; trying again later helps
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privacy.contracts import AssetContract

__all__ = [
    "BATCH_ROWS",
    "StoreError",
    "StoreHandler",
    "StoreLockedError",
    "plain",
    "subject_column",
]

# So many rows (keys, entries) are looked at before the next are read.
BATCH_ROWS = 5_000


class StoreError(RuntimeError):
    """A store did not do what was asked; names the asset and what to do, never a subject."""


class StoreLockedError(StoreError):
    """A store is in use by somebody else; the same call may work later."""


class StoreHandler(ABC):
    """The operations that one kind of store offers; every one may be repeated without harm."""

    @abstractmethod
    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """How many rows (keys, entries) each subject has; subjects without any are left out."""

    @abstractmethod
    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """Everything held about one subject, as JSON-ready rows without the pseudonym."""

    @abstractmethod
    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Remove everything about these subjects; returns how many rows (keys, entries) went."""

    @abstractmethod
    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """What stands in the pseudonym's place of every row (key, entry), as batches of texts; null where a row has no subject.

        Memory stays at a batch, whatever the store holds. Redis may name a key twice while keys come and go.
        """

    def subjects(self, contract: AssetContract) -> set[str]:
        """Every subject that the store holds."""
        return {
            name for batch in self.held(contract) for name in pc.unique(batch).to_pylist() if name
        }

    def verify(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """How many rows (keys, entries) of these subjects the store still answers with."""
        return sum(self.find(contract, pseudonyms).values())

    def tables(self, contract: AssetContract) -> tuple[tuple[str, str], ...]:
        """The Postgres tables, (schema, table), that must be rewritten after an erasure; other stores have none."""
        return ()


def subject_column(contract: AssetContract) -> str:
    """The column or key field that finds a person; raises StoreError where the contract names none."""
    if contract.subject is None:
        raise StoreError(f"Asset {contract.key} names no subject: nobody can be found in it.")
    return contract.subject


def plain(value: Any) -> Any:
    """`value` in types that JSON knows: times as ISO 8601, decimals as strings, bytes as base64."""
    match value:
        case np.ndarray():
            return [plain(item) for item in value.tolist()]
        case np.generic():
            return plain(value.item())
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal() | UUID():
            return str(value)
        case bytes() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return value
