"""Presidio recognisers made of regular expressions, each with a trigger that spares the texts without one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
import regex
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult

__all__ = ["Expressions", "TriggeredRecognizer", "expressions", "result"]

SCORE = 0.6
_FEW = 16  # texts that cost less to analyse than to choose from


@dataclass(frozen=True, slots=True)
class TriggeredRecognizer:
    """A recogniser, its entity, and what spares it the texts in which it could find nothing.

    Attributes
    ----------
    trigger: an expression that such a text matches, in the syntax of Rust's regex, which polars uses. It is fast without
        ``\\b``, for which that engine gives up its automaton on text beyond ASCII, and without long alternatives.
    words: one of them is in such a text as well; without any, the trigger decides.
    any_case: whether ASCII letters of the words may be of either case in the text.
    """

    entity: str
    trigger: str
    recognizer: EntityRecognizer
    words: tuple[str, ...] = ()
    any_case: bool = True

    def positions(self, texts: pl.Series) -> list[int]:
        """Positions of the texts that are to be analysed."""
        if len(texts) < _FEW:
            return texts.is_not_null().arg_true().to_list()
        positions = texts.str.contains(self.trigger).fill_null(value=False).arg_true()
        if self.words and len(positions):
            left = texts.gather(positions).str.contains_any(
                list(self.words), ascii_case_insensitive=self.any_case
            )
            positions = positions.filter(left)
        return positions.to_list()


def result(entity: str, start: int, end: int) -> RecognizerResult:
    """A finding of a recogniser."""
    return RecognizerResult(entity, start, end, SCORE)


class Expressions(PatternRecognizer):  # type: ignore[misc]
    """Expressions of one entity, compiled once. Case matters unless an expression says otherwise.

    Where an expression has a group named ``it``, that is what was found, and what is around it says that it is one.

    Presidio's own loop over patterns times, scores, explains and compares each match, which costs more than to find it.
    """

    def __init__(self, entity: str, *patterns: str) -> None:
        self._compiled = [regex.compile(pattern, regex.MULTILINE) for pattern in patterns]
        super().__init__(
            supported_entity=entity,
            patterns=[Pattern(entity.lower(), pattern, SCORE) for pattern in patterns],
        )

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """Every match of every expression for which `accepts` holds."""
        (entity,) = self.supported_entities
        spans = [
            match.span("it" if "it" in expression.groupindex else 0)
            for expression in self._compiled
            for match in expression.finditer(text)
        ]
        return [result(entity, *span) for span in spans if self.accepts(text, *span)]

    def accepts(self, text: str, start: int, end: int) -> bool:
        """Whether a match counts, for what an expression cannot say."""
        return True


def expressions(
    entity: str, trigger: str, *patterns: str, words: Iterable[str] = ()
) -> TriggeredRecognizer:
    """A recogniser of these expressions."""
    return TriggeredRecognizer(entity, trigger, Expressions(entity, *patterns), tuple(words))
