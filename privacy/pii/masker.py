"""Masking of free text: each personal item is replaced by what it was, as in ``<EMAIL_ADDRESS>``."""

from collections.abc import Mapping, Sequence
from functools import cache

import polars as pl

from privacy.pii.detector import Detector, merged
from privacy.pii.known_terms import KnownTerms, Span

__all__ = ["FreeTextMasker", "shared_masker"]

Known = Mapping[str, str | None]


class FreeTextMasker:
    """Masks personal data in batches of texts. Masking a masked text changes nothing."""

    def __init__(self, detector: Detector | None = None) -> None:
        self._detector = detector or Detector()

    def mask(
        self, texts: Sequence[str | None], known: Sequence[Known | None] | None = None
    ) -> list[str | None]:
        """The texts (null stays null) in NFC, each without personal data.

        `known`, aligned with `texts`, holds what is known of each text's author (name, email, phone, city, birth_date,
        subject_id): all of it is masked, whatever it looks like.
        """
        column = pl.Series("text", texts, pl.String).str.normalize("NFC")
        normal = column.to_list()
        spans = self._known(normal, known or [])
        for position, found in enumerate(self._detector.spans(column)):
            text, both = normal[position], [*spans.get(position, ()), *found]
            if text is not None and both:
                normal[position] = _replaced(text, both)
        return normal

    def _known(
        self, texts: Sequence[str | None], known: Sequence[Known | None]
    ) -> dict[int, list[Span]]:
        spans: dict[int, list[Span]] = {}
        terms: dict[int, KnownTerms] = {}
        for position, (text, author) in enumerate(zip(texts, known, strict=False)):
            if not text or not author:
                continue
            if id(author) not in terms:
                terms[id(author)] = KnownTerms.of(author)
            if found := terms[id(author)].spans(text):
                spans[position] = found
        return spans


@cache
def shared_masker() -> FreeTextMasker:
    """One masker for this process: its recognisers take a moment to make."""
    return FreeTextMasker()


def _replaced(text: str, spans: Sequence[Span]) -> str:
    """`text` with each stretch of overlapping spans replaced by the entity that was found first."""
    pieces, at = [], 0
    for start, end, entity in merged(spans):
        pieces += [text[at:start], f"<{entity}>"]
        at = end
    return "".join([*pieces, text[at:]])
