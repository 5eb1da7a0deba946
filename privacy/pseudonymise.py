"""From a source's rows with raw identifiers to rows that may be stored.

What happens to each column is said by its handling (plain words, so that this package needs no knowledge of sources): kept,
replaced by the pseudonym, encrypted in the vault, masked, hashed under a key, or coarsened to a band. Rows of erased subjects
are dropped, but for what is newer than the erasure of somebody who came back by themselves (`privacy.readmission`). Hold
`privacy.tombstones.writing` from before the call until the rows are written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from privacy import tombstones
from privacy.coarsening import age_bands, ages_at, born_at_latest, height_bands
from privacy.collector import uncollected
from privacy.corrections import VAULT, corrected_at
from privacy.identifiers import CUSTOMER_NUMBER, EMAIL, PHONE, or_none
from privacy.keyed_hashes import cmac_hex, cmac_hex_of
from privacy.keys import KeyProvider, key_provider
from privacy.pii import FreeTextMasker, shared_masker
from privacy.readmission import Anew, Readmission
from privacy.vault import Vault

__all__ = [
    "PseudonymisedBatch",
    "Pseudonymiser",
    "RowsOf",
    "pseudonymise",
    "row_keys",
    "session_hash",
    "source_keys",
]

_REMEMBERED = 1_000_000  # subjects; some 200 MB
_LINKED = {"email": EMAIL, "phone": PHONE}
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

    @property
    def anew(self) -> Anew | None:
        """How a row shows that a person who was erased came back by themselves; None: no row of the table does."""
        ...


@dataclass(frozen=True, slots=True)
class PseudonymisedBatch:
    """Rows that may be stored: ``pseudonym``, the columns of the table, ``source`` and ``source_key``.

    Attributes
    ----------
    rows: without raw identifiers; in the order of the batch.
    tombstoned: rows dropped because their subject is erased.
    identifiers_changed: direct identifiers that the vault took up or changed.
    contested: e-mail addresses and phone numbers that became contested, because another subject has them too.
    born: of each row its subject's date of birth (the latest possible where only an age is known; null: unknown), to be
        looked at and not stored; None where the table says nothing of ages.
    """

    rows: pa.Table
    tombstoned: int
    identifiers_changed: int
    contested: int = 0
    born: pa.Array | None = field(default=None, repr=False)


def pseudonymise(batch: pa.RecordBatch, table: RowsOf, source: str) -> PseudonymisedBatch:
    """`batch` of `table`, pseudonymised with the keys, vault and masker of this process."""
    return Pseudonymiser().apply(batch, table, source)


def session_hash(session_id: str, keys: KeyProvider | None = None) -> str:
    """The keyed hash (AES-CMAC) that stands for a session id (32 hexadecimal digits)."""
    return cmac_hex_of((keys or key_provider()).current("session").material, session_id)


def source_keys(
    source: str, table: str, keys: Sequence[pa.Array], provider: KeyProvider | None = None
) -> pa.Array:
    """The keyed hash (AES-CMAC, 32 hexadecimal digits) that names each row of a source's table for good.

    `keys` are the key columns, as strings. It is made with a key of its own, which never rotates: a changed source key would
    ingest every row again. Raises ValueError where a part of a key is null.
    """
    named = pc.binary_join_element_wise(source, table, *keys, "\0")
    if named.null_count:
        raise ValueError(f"{named.null_count} rows of '{table}' lack a part of their key.")
    return cmac_hex((provider or key_provider()).current("source").material, named)


def row_keys(source: str, table: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """`source_keys` of a few rows, each given by the parts of its key."""
    columns = [pa.array(parts, pa.string()) for parts in zip(*rows, strict=True)]
    return [str(key) for key in source_keys(source, table, columns).to_pylist()] if rows else []


class Pseudonymiser:
    """Pseudonymises batches with one vault, one key provider and one masker.

    It remembers the subjects of earlier batches (at most a million) until a tombstone is recorded, so that a file asks the
    vault once for each of them.
    """

    def __init__(
        self,
        vault: Vault | None = None,
        keys: KeyProvider | None = None,
        masker: FreeTextMasker | None = None,
        subject_kind: str = CUSTOMER_NUMBER,
    ) -> None:
        self._keys = keys or key_provider()
        self._vault = vault or Vault(self._keys)
        self._masker = masker or shared_masker()
        self._kind = subject_kind
        self._state = -1
        self._readmission = Readmission(self._vault, self._keys)
        self._found: dict[str, str | None] = {}
        self._gone: set[str] = set()

    def apply(
        self, batch: pa.RecordBatch, table: RowsOf, source: str, *, known_only: bool = False
    ) -> PseudonymisedBatch:
        """The rows of `batch` (the table's schema, raw identifiers) that may be stored, pseudonymised.

        With `known_only`, those alone of subjects whom the vault holds already: nobody is added to it.
        """
        raw = pa.Table.from_batches([batch])
        subject = _column(table, "subject_id")
        if subject is None:
            return PseudonymisedBatch(self._stored(raw, table, source, None), 0, 0)
        self._forget_if_changed()
        alive, returned = self._not_erased(raw, table, subject)
        pseudonyms = self._pseudonyms(alive[subject], create=not known_only)
        if known_only:
            known = pc.is_valid(pseudonyms)
            alive, pseudonyms = alive.filter(known), pseudonyms.filter(known)
            returned = returned.filter(known) if returned is not None else None
        if self._gone:
            staying = pc.invert(_in(pseudonyms, sorted(self._gone)))
            alive, pseudonyms = alive.filter(staying), pseudonyms.filter(staying)
            returned = returned.filter(staying) if returned is not None else None
        changed = self._keep_direct(alive, table, pseudonyms)
        contested = self._link(alive, table, pseudonyms, returned)
        rows = self._stored(alive, table, source, pseudonyms)
        return PseudonymisedBatch(
            rows, raw.num_rows - rows.num_rows, changed, contested, self._born(alive, table)
        )

    def readmit(self, batch: pa.RecordBatch, table: RowsOf) -> None:
        """Let those be subjects again of whom a row of `batch` shows that they came back since their erasure.

        So their rows of tables that are taken in before this one are kept at once.
        """
        raw, subject = pa.Table.from_batches([batch]), _column(table, "subject_id")
        if subject is None or table.anew is None:
            return
        self._forget_if_changed()
        ends = self._readmission.ends(raw[subject], self._kind)
        if ends is not None:
            back = raw.filter(self._readmission.came_back(raw, table.anew, ends))
            self._pseudonyms(back[subject], create=True)

    def _forget_if_changed(self) -> None:
        state = tombstones.state()
        if state != self._state or len(self._found) > _REMEMBERED:
            self._state = state
            self._readmission.forget()
            self._found, self._gone = {}, set()

    def _not_erased(
        self, raw: pa.Table, table: RowsOf, subject: str
    ) -> tuple[pa.Table, pa.Array | None]:
        """Rows of who was never erased or came back, and which of them (boolean) are of the latter; None: none is."""
        ends = self._readmission.ends(raw[subject], self._kind)
        if ends is None:
            return raw, None
        shown = self._readmission.came_back(raw, table.anew, ends)
        kept = self._readmission.allowed(raw, subject, self._kind, table.time, shown, ends)
        return raw.filter(kept), pc.is_valid(ends.filter(kept))

    def _pseudonyms(self, subjects: pa.ChunkedArray, *, create: bool) -> pa.Array:
        encoded = subjects.combine_chunks().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        new = [text for text in texts if text not in self._found]
        if new:
            # Only a blank one is no customer number, and the vault leads it to nobody.
            valid = (
                new
                if self._kind == CUSTOMER_NUMBER
                else [text if or_none(self._kind, text) else None for text in new]
            )
            with uncollected():
                resolved = self._vault.resolve(self._kind, valid, create=create)
            found = dict(zip(new, resolved, strict=True))
            # Who is not known yet may be met by a later batch.
            self._found |= found if create else {text: name for text, name in found.items() if name}
            self._gone.update(self._tombstoned([text for text in resolved if text]))
        names = [self._found.get(text) for text in texts]
        return pa.array(names, pa.string()).take(encoded.indices)

    def _tombstoned(self, pseudonyms: Sequence[str]) -> list[str]:
        """Those whose erasure is under way: the vault still knows them, and nothing of them is stored."""
        erased = tombstones.is_erased(pseudonyms, self._keys)
        return [text for text, gone in zip(pseudonyms, erased, strict=True) if gone]

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

    def _link(
        self, raw: pa.Table, table: RowsOf, pseudonyms: pa.Array, returned: pa.Array | None
    ) -> int:
        """Let e-mail addresses and phone numbers lead to their subjects, but those corrected since; returns the contested.

        One that was erased is left out, unless it came back with the subject of the row (`returned`) or a new account.
        """
        contested = 0
        for column, kind in _LINKED.items():
            if column not in _columns(table, "direct"):
                continue
            offered = pc.and_(pc.is_valid(pseudonyms), pc.is_valid(raw[column].combine_chunks()))
            ends = self._readmission.ends(raw[column], kind)
            if ends is not None:
                shown = self._readmission.came_back(raw, table.anew, ends)
                shown = shown if returned is None else pc.or_(shown, returned)
                allowed = self._readmission.allowed(raw, column, kind, table.time, shown, ends)
                offered = pc.and_(offered, allowed)
            texts = raw[column].filter(offered).to_pylist()
            times = raw[table.time].filter(offered).to_pylist()
            subjects, corrected = (
                pseudonyms.filter(offered).to_pylist(),
                corrected_at(VAULT, column),
            )
            kept = [
                text if (end := corrected.get(who)) is None or at > end else None
                for text, at, who in zip(texts, times, subjects, strict=True)
            ]
            linked = self._vault.link_many(kind, subjects, kept)
            contested += linked.contested
        return contested

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
        columns |= self._texts(raw, table, pseudonyms)
        columns["source"] = pa.array([source] * raw.num_rows, pa.string())
        keys = [raw[name].cast(pa.string()) for name in table.key]
        columns["source_key"] = source_keys(source, table.name, keys, self._keys)
        return pa.table(columns)

    def _texts(
        self, raw: pa.Table, table: RowsOf, pseudonyms: pa.Array | None
    ) -> dict[str, pa.Array | pa.ChunkedArray]:
        """Free text without personal data; a column without any text is as it was."""
        names = _columns(table, "free_text")
        masked = {name: raw[name] for name in names}
        written = [name for name in names if raw[name].null_count < raw.num_rows]
        authors = self._authors(raw, table, pseudonyms, written) if written else []
        for name in written:
            texts = self._masker.mask(raw[name].to_pylist(), authors)
            masked[name] = pa.array(texts, pa.string())
        return {"text_masked" if name == "text" else name: masked[name] for name in names}

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
        encoded = ids.combine_chunks().dictionary_encode()
        hashed = cmac_hex(self._keys.current("session").material, encoded.dictionary)
        blank = pc.equal(encoded.dictionary, "")
        return pc.if_else(blank, pa.scalar(None, pa.string()), hashed).take(encoded.indices)

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


def _columns(table: RowsOf, handling: str) -> list[str]:
    return [name for name, (_, how, _) in table.columns.items() if how == handling]


def _column(table: RowsOf, handling: str) -> str | None:
    return next(iter(_columns(table, handling)), None)


def _in(values: pa.Array, wanted: Sequence[str]) -> pa.Array:
    return pc.is_in(values, value_set=pa.array(wanted, pa.string()))
