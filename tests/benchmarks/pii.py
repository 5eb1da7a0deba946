"""The scanner of personal data beside stock Presidio, on labelled texts: precision, recall and F1 per type, texts per second.

The texts are presidio-research's synthetic data set v2 (MIT licence), cut in two by index: the recognisers were improved on the
first 750 alone, the figures are those of the second 750. Both halves are made from the same templates (718 of the second 750
texts have one that the first half has too), so the figures say how well other names, numbers and addresses are found in known
sentences, not in any sentence; F1 on the 32 texts of unseen templates is printed as well. The data set is American and
international; the recognisers are written for German, French and English.

The baseline is Presidio's `AnalyzerEngine` with all recognisers it loads for English, over a blank spaCy pipeline: no model,
as here. It needs none of its own for what is compared except PERSON and STREET_ADDRESS, which stock Presidio finds by model
or not at all; there its figures are 0 by construction. Of spans within one another it keeps the surer, as its anonymizer does.

What is compared with what: DOMAIN_NAME labels with URL; STREET_ADDRESS labels with the streets found, each with the places and
postcodes that touch it (`joined_addresses`); PERSON labels, which exclude titles, with PERSON. A DATE_TIME label is a date of
birth where "born" or "birth" stands in the 25 characters before it; stock has only DATE_TIME, so its other dates are not held
against it. What neither claims (organisations, places alone, nationalities, titles, ages, American numbers) is not scored.
`_labelled_spans` states when two spans match.
"""

import gzip
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

from orchestration.bench import Figure, Goal
from privacy.pii import Detector
from privacy.settings import PROJECT_ROOT
from tests.benchmarks._labelled_spans import Score, Span, joined_addresses, resolved, score

FILE = "pii_synth_dataset_v2.json.gz"
ENTITIES = (
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "IBAN_CODE",
    "CREDIT_CARD",
    "IP_ADDRESS",
    "URL",
    "STREET_ADDRESS",
    "PERSON",
    "DATE_OF_BIRTH",
)
# Without a model stock Presidio finds none of these; least F1 instead of "not below stock".
_OURS_ALONE = {"STREET_ADDRESS": 0.8, "PERSON": 0.65}
_OF_BOTH = tuple(entity for entity in ENTITIES if entity not in _OURS_ALONE)
_LABELLED_PLACES = frozenset({"GPE", "ZIP_CODE"})
_FOUND_PLACES = frozenset({"LOCATION"})
_BIRTH = re.compile(r"born|birth", re.IGNORECASE)
_ROUNDS = 5

Find = Callable[[Sequence[str]], list[list[Span]]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """Labelled texts, and what ours and stock found in each."""

    rows: Sequence[Row]
    ours: Sequence[list[Span]]
    stock: Sequence[list[Span]]

    def without(self, templates: set[int]) -> "Reading":
        """The texts of other templates than these."""
        kept = [at for at, row in enumerate(self.rows) if row["template_id"] not in templates]
        return Reading(*([part[at] for at in kept] for part in (self.rows, self.ours, self.stock)))

    def scores(self, entities: Sequence[str]) -> tuple[Score, Score]:
        """Ours and stock's, over these entities."""
        return self._total(entities, self.ours), self._total(entities, self.stock)

    def _total(self, entities: Sequence[str], found: Sequence[list[Span]]) -> Score:
        scores = [self._score(entity, found) for entity in entities]
        return Score(
            sum(one.matched for one in scores),
            sum(one.found for one in scores),
            sum(one.labelled for one in scores),
        )

    def _score(self, entity: str, found: Sequence[list[Span]]) -> Score:
        labels = [_labels(row, entity) for row in self.rows]
        claims = [_claimed(entity, row, spans) for row, spans in zip(self.rows, found, strict=True)]
        return score(labels, claims)


def run(quick: bool) -> list[Figure]:
    """Measure; `quick` takes 150 texts."""
    folder = Path(os.environ.get("SELVEDGE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not (folder / FILE).is_file():
        why = f"{FILE} is not here; set SELVEDGE_DATA to its folder"
        return [Figure("texts per second", None, "texts/s", why=why)]
    rows = json.loads(gzip.decompress((folder / FILE).read_bytes()))
    half = len(rows) // 2
    tuned, held_out = rows[:half], rows[half : half + 150 if quick else None]
    ours, stock = Detector().find, _stock()
    texts = [row["full_text"] for row in held_out]
    reading = Reading(held_out, ours(texts), stock(texts))
    return [
        *(figure for entity in ENTITIES for figure in _of_entity(entity, reading)),
        *_overall(reading, {row["template_id"] for row in tuned}),
        _speed(texts, ours, stock),
    ]


def _of_entity(entity: str, reading: Reading) -> list[Figure]:
    mine, theirs = reading.scores([entity])
    if not mine.labelled:
        return [Figure(f"{entity}: F1 of 0", None, "share", why="none among these texts")]
    goal = Goal(">=", _OURS_ALONE.get(entity, theirs.f1 or 0.0))
    return _figures(entity, mine, theirs, goal)


def _figures(title: str, mine: Score, theirs: Score, goal: Goal | None) -> list[Figure]:
    return [
        Figure(f"{title}: precision", mine.precision, "share", theirs.precision),
        Figure(f"{title}: recall", mine.recall, "share", theirs.recall),
        Figure(f"{title}: F1 of {mine.labelled}", mine.f1, "share", theirs.f1, goal),
    ]


def _overall(reading: Reading, tuned: set[int]) -> list[Figure]:
    unseen = reading.without(tuned)
    both, every = Goal(">=", 1.0, of="ratio"), Goal(">=", 1.5, of="ratio")
    unknown = f"all types, {len(unseen.rows)} texts of unseen templates"
    return [
        *_figures("types that stock finds too", *reading.scores(_OF_BOTH), both),
        *_figures("all types", *reading.scores(ENTITIES), every),
        *_figures(unknown, *unseen.scores(ENTITIES), None),
    ]


def _spans(row: Row) -> list[Span]:
    return [
        (one["start_position"], one["end_position"], one["entity_type"]) for one in row["spans"]
    ]


def _labels(row: Row, entity: str) -> list[Span]:
    text, spans = row["full_text"], _spans(row)
    if entity == "STREET_ADDRESS":
        return joined_addresses(text, spans, entity, _LABELLED_PLACES)
    if entity == "DATE_OF_BIRTH":
        return [span for span in spans if span[2] == "DATE_TIME" and _is_birth(text, span)]
    label = "DOMAIN_NAME" if entity == "URL" else entity
    return [span for span in spans if span[2] == label]


def _is_birth(text: str, span: Span) -> bool:
    return bool(_BIRTH.search(text[max(0, span[0] - 25) : span[0]]))


def _claimed(entity: str, row: Row, spans: Sequence[Span]) -> list[Span]:
    text = row["full_text"]
    if entity == "STREET_ADDRESS":
        return joined_addresses(text, spans, entity, _FOUND_PLACES)
    found = [span for span in spans if span[2] == entity]
    if entity == "DATE_OF_BIRTH":
        births = _labels(row, entity)
        found += [
            span
            for span in spans
            if span[2] == "DATE_TIME"
            and any(span[0] < end and start < span[1] for start, end, _ in births)
        ]
    return found


def _stock() -> Find:
    """Stock Presidio; its check of public suffixes uses the list that comes with the library, not a download."""
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = SpacyNlpEngine(ner_model_configuration=NerModelConfiguration())
    engine.nlp = {"en": spacy.blank("en")}
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def find(texts: Sequence[str]) -> list[list[Span]]:
        online, tldextract.extract = tldextract.extract, suffixes
        try:
            found = [analyzer.analyze(text, language="en") for text in texts]
        finally:
            tldextract.extract = online
        return [
            resolved((one.start, one.end, one.entity_type, one.score) for one in results)
            for results in found
        ]

    return find


def _speed(texts: Sequence[str], ours: Find, stock: Find) -> Figure:
    seconds: dict[Find, float] = {ours: float("inf"), stock: float("inf")}
    for _ in range(_ROUNDS):
        for find in seconds:
            started = time.perf_counter()
            find(texts)
            seconds[find] = min(seconds[find], time.perf_counter() - started)
    rates = [len(texts) / one for one in seconds.values()]
    return Figure("texts per second", rates[0], "texts/s", rates[1], Goal(">=", 5.0, of="ratio"))
