"""From a source's rows with raw identifiers to rows that may be stored.

What happens to each column is said by its handling (plain words, so that this package needs no knowledge of sources): kept,
replaced by the pseudonym, encrypted in the vault, masked, hashed under a key, or coarsened to a band. Rows of erased subjects
are dropped. Hold `privacy.tombstones.writing` from before the call until the rows are written.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from privacy import tombstones
from privacy.coarsening import age_bands, ages_at, born_at_latest, height_bands
from privacy.keys import Key, KeyProvider, key_provider
from privacy.pii import FreeTextMasker, shared_masker
from privacy.vault import CUSTOMER_NUMBER, Vault

__all__ = [
    "PseudonymisedBatch",
    "Pseudonymiser",
    "RowsOf",
    "pseudonymise",
    "session_hash",
    "source_keys",
]

_HASH_DIGITS = 32  # 128 bits: no collision to be expected among 10^12 rows
_TEXT_FIELDS = ("name", "email", "phone", "city", "birth_date")


class RowsOf(Protocol):
    """A table of a source: its name, columns (name to type, handling, required), key columns and time column."""

    @property
    def name(self) -> str:
        """Name of the table."""
        ...

    @property
    def columns(self) -> Mapping[str, tuple[pa.DataType, str, bool]]:
        """Column name to (Arrow type, handling, required)."""
        ...

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row in its source."""
        ...

    @property
    def time(self) -> str:
        """Column that says when the row happened or was last changed."""
        ...


@dataclass(frozen=True, slots=True)
class PseudonymisedBatch:
    """Rows that may be stored: ``pseudonym``, the columns of the table, ``source`` and ``source_key``.

    Attributes
    ----------
    rows: without raw identifiers; in the order of the batch.
    tombstoned: rows dropped because their subject is erased.
    identifiers_changed: direct identifiers that the vault took up or changed.
    born: of each row its subject's date of birth (the latest possible where only an age is known; null: unknown), to be
        looked at and not stored; None where the table says nothing of ages.
    """

    rows: pa.Table
    tombstoned: int
    identifiers_changed: int
    born: pa.Array | None = field(default=None, repr=False)


def pseudonymise(batch: pa.RecordBatch, table: RowsOf, source: str) -> PseudonymisedBatch:
    """`batch` of `table`, pseudonymised with the keys, vault and masker of this process."""
    return Pseudonymiser().apply(batch, table, source)


def session_hash(session_id: str, keys: KeyProvider | None = None) -> str:
    """The keyed hash that stands for a session id (32 hexadecimal digits)."""
    return _digest((keys or key_provider()).current("session"), session_id)


def source_keys(
    source: str, table: str, keys: Sequence[Sequence[str]], provider: KeyProvider | None = None
) -> list[str]:
    """The keyed hash that names each row of a source's table for good, from its key columns.

    It is made with a key of its own, which never rotates: a changed source key would ingest every row again.
    """
    key = (provider or key_provider()).current("source")
    return [_digest(key, "\0".join((source, table, *parts))) for parts in keys]


class Pseudonymiser:
    """Pseudonymises batches with one vault, one key provider and one masker."""

    def __init__(
        self,
        vault: Vault | None = None,
        keys: KeyProvider | None = None,
        masker: FreeTextMasker | None = None,
    ) -> None:
        self._keys = keys or key_provider()
        self._vault = vault or Vault(self._keys)
        self._masker = masker or shared_masker()

    def apply(self, batch: pa.RecordBatch, table: RowsOf, source: str) -> PseudonymisedBatch:
        """The rows of `batch` (the table's schema, raw identifiers) that may be stored, pseudonymised."""
        raw = pa.Table.from_batches([batch])
        subject = _column(table, "subject_id")
        if subject is None:
            return PseudonymisedBatch(self._stored(raw, table, source, None), 0, 0)
        alive = self._not_erased(raw, table, subject)
        pseudonyms = self._pseudonyms(alive[subject])
        returning = pc.invert(_in(pseudonyms, self._tombstoned(pseudonyms)))
        alive, pseudonyms = alive.filter(returning), pseudonyms.filter(returning)
        changed = self._keep_direct(alive, table, pseudonyms)
        rows = self._stored(alive, table, source, pseudonyms)
        return PseudonymisedBatch(
            rows, raw.num_rows - rows.num_rows, changed, self._born(alive, table)
        )

    def _not_erased(self, raw: pa.Table, table: RowsOf, subject: str) -> pa.Table:
        """Rows of subjects never erased, or newer than their erasure."""
        distinct = [text for text in pc.unique(raw[subject]).to_pylist() if text]
        times = tombstones.erased_at(self._vault.lookups(CUSTOMER_NUMBER, distinct), self._keys)
        erased = {text: at for text, at in zip(distinct, times, strict=True) if at is not None}
        if not erased:
            return raw
        ends = pa.array(
            [erased.get(text) for text in raw[subject].to_pylist()], raw[table.time].type
        )
        return raw.filter(pc.fill_null(pc.greater(raw[table.time], ends), fill_value=True))

    def _pseudonyms(self, subjects: pa.ChunkedArray) -> pa.Array:
        encoded = subjects.combine_chunks().dictionary_encode()
        resolved = self._vault.resolve(CUSTOMER_NUMBER, encoded.dictionary, create=True)
        return pa.array(resolved, pa.string()).take(encoded.indices)

    def _tombstoned(self, pseudonyms: pa.Array) -> list[str]:
        """Those whose erasure is under way: the vault still knows them, and nothing of them is stored."""
        distinct = [text for text in pc.unique(pseudonyms).to_pylist() if text]
        erased = tombstones.is_erased(distinct, self._keys)
        return [text for text, gone in zip(distinct, erased, strict=True) if gone]

    def _keep_direct(self, raw: pa.Table, table: RowsOf, pseudonyms: pa.Array) -> int:
        """Encrypt names, e-mail addresses and dates of birth in the vault; returns how many changed."""
        names = [*_columns(table, "direct"), *_columns(table, "birth_date")]
        if not names or not raw.num_rows:
            return 0
        known = pc.is_valid(pseudonyms)
        raw, pseudonyms = raw.filter(known), pseudonyms.filter(known)
        fields = {name: raw[name].cast(pa.string()).to_pylist() for name in names}
        times = raw[table.time].to_pylist()
        return self._vault.store_direct(pseudonyms.to_pylist(), fields, times)

    def _stored(
        self, raw: pa.Table, table: RowsOf, source: str, pseudonyms: pa.Array | None
    ) -> pa.Table:
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        if pseudonyms is not None:
            columns["pseudonym"] = pseudonyms
        columns |= {name: raw[name] for name in _columns(table, "keep")}
        columns |= self._bands(raw, table)
        for name in _columns(table, "session_id"):
            columns["session"] = self._sessions(raw[name])
        texts = _columns(table, "free_text")
        if texts:
            authors = self._authors(raw, table, pseudonyms, texts)
            for name in texts:
                masked = self._masker.mask(raw[name].to_pylist(), authors)
                columns["text_masked" if name == "text" else name] = pa.array(masked, pa.string())
        columns["source"] = pa.array([source] * raw.num_rows, pa.string())
        columns["source_key"] = pa.array(self._source_keys(raw, table, source), pa.string())
        return pa.table(columns)

    def _bands(self, raw: pa.Table, table: RowsOf) -> dict[str, pa.Array]:
        bands: dict[str, pa.Array] = {}
        ages = [raw[name].combine_chunks() for name in _columns(table, "age")]
        moments = raw[table.time].combine_chunks()
        ages = [
            *(
                ages_at(raw[name].combine_chunks(), moments)
                for name in _columns(table, "birth_date")
            ),
            *ages,
        ]
        if ages:
            bands["age_band"] = age_bands(pc.coalesce(*ages))
        for name in _columns(table, "height_cm"):
            bands["height_band"] = height_bands(raw[name].combine_chunks())
        return bands

    def _born(self, raw: pa.Table, table: RowsOf) -> pa.Array | None:
        moments = raw[table.time].combine_chunks()
        days = [raw[name].combine_chunks() for name in _columns(table, "birth_date")]
        days += [
            born_at_latest(raw[name].combine_chunks(), moments) for name in _columns(table, "age")
        ]
        return pc.coalesce(*days) if days else None

    def _sessions(self, ids: pa.ChunkedArray) -> pa.Array:
        key = self._keys.current("session")
        encoded = ids.combine_chunks().dictionary_encode()
        hashed = [_digest(key, text) if text else None for text in encoded.dictionary.to_pylist()]
        return pa.array(hashed, pa.string()).take(encoded.indices)

    def _authors(
        self, raw: pa.Table, table: RowsOf, pseudonyms: pa.Array | None, texts: Sequence[str]
    ) -> list[dict[str, str | None] | None]:
        """What is known of each row's author, for the rows that have a text; one mapping for each subject."""
        subject = _column(table, "subject_id")
        if pseudonyms is None or subject is None:
            return [None] * raw.num_rows
        written = pc.is_valid(pc.coalesce(*(raw[name] for name in texts)))
        ids = pc.if_else(written, pseudonyms, pa.scalar(None, pa.string())).to_pylist()
        revealed = self._vault.reveal_many(sorted({text for text in ids if text}))
        known: dict[str, dict[str, str | None]] = {}
        for pseudonym, number in zip(ids, raw[subject].to_pylist(), strict=True):
            if pseudonym and pseudonym not in known:
                held = revealed.get(pseudonym, {})
                known[pseudonym] = {name: held.get(name) for name in _TEXT_FIELDS} | {
                    "subject_id": number
                }
        return [known.get(pseudonym) if pseudonym else None for pseudonym in ids]

    def _source_keys(self, raw: pa.Table, table: RowsOf, source: str) -> list[str]:
        parts = [raw[name].cast(pa.string()).to_pylist() for name in table.key]
        return source_keys(source, table.name, list(zip(*parts, strict=True)), self._keys)


def _columns(table: RowsOf, handling: str) -> list[str]:
    return [name for name, (_, how, _) in table.columns.items() if how == handling]


def _column(table: RowsOf, handling: str) -> str | None:
    return next(iter(_columns(table, handling)), None)


def _in(values: pa.Array, wanted: Sequence[str]) -> pa.Array:
    return pc.is_in(values, value_set=pa.array(wanted, pa.string()))


def _digest(key: Key, text: str) -> str:
    return hmac.digest(key.material, text.encode(), hashlib.sha256).hex()[:_HASH_DIGITS]
