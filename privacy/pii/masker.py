"""Masking of free text: each personal item is replaced by what it was, as in ``<EMAIL_ADDRESS>``."""

from collections.abc import Mapping, Sequence
from functools import cache

import polars as pl

from privacy.pii.known_terms import KnownTerms, Span
from privacy.pii.recognizers import recognizers

__all__ = ["FreeTextMasker", "shared_masker"]

Known = Mapping[str, str | None]


class FreeTextMasker:
    """Masks personal data in batches of texts. Masking a masked text changes nothing."""

    def __init__(self) -> None:
        self._recognizers = recognizers()

    def mask(
        self, texts: Sequence[str | None], known: Sequence[Known | None] | None = None
    ) -> list[str | None]:
        """The texts (null stays null) in NFC, each without personal data.

        `known`, aligned with `texts`, holds what is known of each text's author (name, email, phone, city, birth_date,
        subject_id): all of it is masked, whatever it looks like.
        """
        column = pl.Series("text", texts, pl.String).str.normalize("NFC")
        normal = column.to_list()
        spans: dict[int, list[Span]] = {}
        self._add_known(normal, known or [], spans)
        self._add_patterns(column, normal, spans)
        for position, found in spans.items():
            text = normal[position]
            if text is not None:
                normal[position] = _replaced(text, found)
        return normal

    def _add_known(
        self,
        texts: Sequence[str | None],
        known: Sequence[Known | None],
        spans: dict[int, list[Span]],
    ) -> None:
        terms: dict[int, KnownTerms] = {}
        for position, (text, author) in enumerate(zip(texts, known, strict=False)):
            if not text or not author:
                continue
            if id(author) not in terms:
                terms[id(author)] = KnownTerms.of(author)
            if found := terms[id(author)].spans(text):
                spans.setdefault(position, []).extend(found)

    def _add_patterns(
        self, column: pl.Series, texts: Sequence[str | None], spans: dict[int, list[Span]]
    ) -> None:
        for entry in self._recognizers:
            for position in column.str.contains(entry.trigger).fill_null(value=False).arg_true():
                found = entry.recognizer.analyze(texts[position], [entry.entity])
                if found:
                    spans.setdefault(position, []).extend(
                        (result.start, result.end, entry.entity) for result in found
                    )


@cache
def shared_masker() -> FreeTextMasker:
    """One masker for this process: its recognisers take a moment to make."""
    return FreeTextMasker()


def _replaced(text: str, spans: Sequence[Span]) -> str:
    """`text` with each stretch of overlapping spans replaced by the entity that was found first."""
    merged: list[Span] = []
    order = sorted(range(len(spans)), key=lambda position: (spans[position][0], position))
    ranks: list[int] = []
    for rank in order:
        start, end, entity = spans[rank]
        if merged and start < merged[-1][1]:
            first = min(ranks[-1], rank)
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), spans[first][2])
            ranks[-1] = first
        else:
            merged.append((start, end, entity))
            ranks.append(rank)
    pieces, at = [], 0
    for start, end, entity in merged:
        pieces += [text[at:start], f"<{entity}>"]
        at = end
    return "".join([*pieces, text[at:]])
