"""Precision, recall and F1 of spans found in labelled texts.

The rule: within one entity type, a found span matches a labelled one where the characters that both cover are at least half
of the characters that either covers (intersection over union, IoU >= 0.5); pairs are made one to one, the best IoU first. It
is the rule of presidio-research's `SpanEvaluator` with character IoU, which also joins neighbouring spans of one entity before
it compares; addresses are joined here in the same way, since the labels cut one address into up to six pieces.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Score", "Span", "joined_addresses", "resolved", "score"]

Span = tuple[int, int, str]
"""Start, end and entity."""

LEAST_IOU = 0.5
_BETWEEN = re.compile(r"[\s,>?]*")
"""What may stand between the parts of one address: blanks, commas and the marks of a quoted mail."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one entity type; shares are None where their denominator is zero."""

    matched: int
    found: int
    labelled: int

    @property
    def precision(self) -> float | None:
        """Share of what was found that is labelled."""
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of what is labelled that was found."""
        return self.matched / self.labelled if self.labelled else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        total = self.found + self.labelled
        return 2 * self.matched / total if total else None


def score(labelled: Iterable[Sequence[Span]], found: Iterable[Sequence[Span]]) -> Score:
    """Compare the spans of one entity type, text by text (both in the same order of texts)."""
    matched = all_found = all_labelled = 0
    for truth, guesses in zip(labelled, found, strict=True):
        matched += _matches(truth, guesses)
        all_found += len(guesses)
        all_labelled += len(truth)
    return Score(matched, all_found, all_labelled)


def _matches(truth: Sequence[Span], guesses: Sequence[Span]) -> int:
    pairs = sorted(
        (
            (_iou(label, guess), row, column)
            for row, label in enumerate(truth)
            for column, guess in enumerate(guesses)
        ),
        reverse=True,
    )
    rows: set[int] = set()
    columns: set[int] = set()
    for iou, row, column in pairs:
        if iou >= LEAST_IOU and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return len(rows)


def _iou(one: Span, other: Span) -> float:
    shared = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)


def joined_addresses(
    text: str, spans: Iterable[Span], street: str, places: frozenset[str]
) -> list[Span]:
    """The addresses in `text`: runs of `street` and `places` spans with nothing but blanks and commas between them.

    A run without a street (a city or a postcode alone) is no address and left out.
    """
    runs: list[list[Span]] = []
    for span in sorted(span for span in spans if span[2] == street or span[2] in places):
        gap = text[runs[-1][-1][1] : span[0]] if runs else None
        if gap is not None and _BETWEEN.fullmatch(gap):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [
        (run[0][0], run[-1][1], street) for run in runs if any(part[2] == street for part in run)
    ]


def resolved(spans: Iterable[tuple[int, int, str, float]]) -> list[Span]:
    """Scored spans without those inside a span of a higher score, or of the same score and greater length.

    This is what Presidio's anonymizer does before it masks; without it, the address in a mail address counts as a URL too.
    """
    kept: list[tuple[int, int, str, float]] = []
    for span in sorted(spans, key=lambda one: (-one[3], one[0] - one[1], one[0], one[2])):
        if not any(one[0] <= span[0] and span[1] <= one[1] for one in kept):
            kept.append(span)
    return [(start, end, entity) for start, end, entity, _ in sorted(kept)]
