"""Who comes back after an erasure: a row alone brings nobody back, only what a person did themselves.

A shop goes on touching the rows of who left: it marks the account as closed, refunds, runs a nightly update. Such a row is newer than
the erasure and says nothing about the person. So an identifier that was erased leads to somebody again only after a row that
shows that they came back (`Anew`): an agreement, an order, a new account. From then on their other rows that are newer than the
erasure are taken in as well, at the latest by the next ingest of their table; older ones never.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from privacy import tombstones
from privacy.clocks import AHEAD
from privacy.identifiers import canonical, or_none
from privacy.keys import KeyProvider
from privacy.vault import Vault

__all__ = ["Anew", "Readmission"]


@dataclass(frozen=True, slots=True)
class Anew:
    """How a row shows that its person came back by themselves.

    Attributes
    ----------
    time: the column whose time must be later than the erasure (by more than a clock may be ahead).
    only: a column and the value that it must have as well, where not every row shows it.
    """

    time: str
    only: tuple[str, str] | None = None


class Readmission:
    """Says of rows whether they may be stored although their identifier was erased; remembers who was.

    Call `forget` whenever a tombstone was recorded, and hold `tombstones.writing` from there until the rows are written.
    """

    def __init__(self, vault: Vault, keys: KeyProvider) -> None:
        self._vault, self._keys = vault, keys
        self._anybody = True
        self._ends: dict[str, dict[str | None, datetime | None]] = {}

    def forget(self) -> None:
        """Ask anew who was erased."""
        self._anybody = tombstones.any_identifiers()
        self._ends = {}

    def ends(self, identifiers: pa.ChunkedArray, kind: str) -> pa.Array | None:
        """When each identifier was last erased (timestamp, microseconds, UTC), null for never; None where none of them was."""
        if not self._anybody:
            return None
        encoded = identifiers.combine_chunks().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        known = self._ends.setdefault(kind, {})
        new = [text for text in texts if text not in known]
        known |= zip(new, self._erased_at(kind, new), strict=True)
        ends = [known[text] for text in texts]
        if not any(ends):
            return None
        return pa.array(ends, pa.timestamp("us", tz="UTC")).take(encoded.indices)

    def came_back(self, rows: pa.Table, anew: Anew | None, ends: pa.Array) -> pa.Array:
        """Which rows (boolean) show that their person came back after `ends`."""
        if anew is None:
            return pa.repeat(pa.scalar(False), rows.num_rows)
        late = pc.add(ends, pa.scalar(AHEAD, pa.duration("us")))
        shown = pc.greater(rows[anew.time].combine_chunks(), late)
        if anew.only is not None:
            column, value = anew.only
            shown = pc.and_(shown, pc.equal(rows[column].combine_chunks(), value))
        return pc.fill_null(shown, fill_value=False)

    def allowed(
        self, rows: pa.Table, column: str, kind: str, time: str, shown: pa.Array, ends: pa.Array
    ) -> pa.Array:
        """Which rows (boolean) may be stored under the identifiers of `column`.

        Those of identifiers that were never erased, and those newer than the erasure of who has come back: by a row among
        these (`shown`), or earlier, so that the identifier leads to somebody who is not being erased.
        """
        names = rows[column].combine_chunks()
        newer = pc.fill_null(pc.greater(rows[time].combine_chunks(), ends), fill_value=False)
        back = set(pc.unique(names.filter(shown)).to_pylist())
        asked = set(pc.unique(names.filter(newer)).to_pylist()) - back
        back |= self._living(kind, sorted(asked))
        returned = pc.is_in(names, value_set=pa.array(sorted(back), pa.string()))
        return pc.or_(pc.is_null(ends), pc.and_(newer, returned))

    def _erased_at(self, kind: str, texts: Sequence[str | None]) -> Iterable[datetime | None]:
        """When each was last erased; None for one that never was, or is no identifier of the kind."""
        names = [or_none(kind, text) for text in texts]
        distinct = list(dict.fromkeys(name for name in names if name))
        times = tombstones.erased_at([canonical(kind, name) for name in distinct], self._keys)
        ends = dict(zip(distinct, times, strict=True))
        return [ends[name] if name else None for name in names]

    def _living(self, kind: str, texts: Sequence[str]) -> set[str]:
        """Those that lead to a subject of whom no erasure was begun."""
        leading = self._vault.resolve(kind, texts, create=False)
        found = {text: name for text, name in zip(texts, leading, strict=True) if name}
        gone = tombstones.is_erased(list(found.values()), self._keys)
        return {text for text, erased in zip(found, gone, strict=True) if not erased}
