"""Finding personal data in batches of texts, with every recogniser and, where one is installed, a spaCy model."""

from collections.abc import Iterable, Sequence

import polars as pl

from privacy.pii.installed_model import ModelNames
from privacy.pii.known_terms import Span
from privacy.pii.recognizers import recognizers

__all__ = ["Detector", "merged"]


class Detector:
    """Finds personal data. `model` names are used where a spaCy model is installed; none is ever downloaded."""

    def __init__(self, *, model: bool = True) -> None:
        self._recognizers = recognizers()
        self._model = ModelNames.installed() if model else None

    @property
    def has_model(self) -> bool:
        """Whether an installed model helps to find names."""
        return self._model is not None

    def find(self, texts: Sequence[str | None]) -> list[list[Span]]:
        """For each text (in NFC; null has none) what is personal in it, in order and without overlap."""
        return [merged(spans) for spans in self.spans(pl.Series("text", texts, pl.String))]

    def spans(self, column: pl.Series) -> list[list[Span]]:
        """For each text of a string column the findings of every recogniser, the more telling first; they may overlap."""
        texts = column.to_list()
        spans: list[list[Span]] = [[] for _ in texts]
        for entry in self._recognizers:
            for position in entry.positions(column):
                spans[position] += [
                    (found.start, found.end, found.entity_type)
                    for found in entry.recognizer.analyze(texts[position], [entry.entity])
                ]
        if self._model is not None:
            for position, found in self._model.find(texts):
                spans[position] += found
        return spans


def merged(spans: Iterable[Span]) -> list[Span]:
    """Stretches of overlapping spans in the order of the text, each named by the span that came first."""
    stretches: list[tuple[int, Span]] = []
    ranked = sorted(enumerate(spans), key=lambda entry: (entry[1][0], entry[0]))
    for rank, (start, end, entity) in ranked:
        if stretches and start < stretches[-1][1][1]:
            first, (at, stop, name) = stretches[-1]
            stretches[-1] = (
                min(first, rank),
                (at, max(end, stop), entity if rank < first else name),
            )
        else:
            stretches.append((rank, (start, end, entity)))
    return [span for _, span in stretches]
