"""Names found by a spaCy model, where one for German, French or English is installed. None is ever downloaded."""

from collections.abc import Iterator, Sequence
from typing import Self

import spacy
from spacy.language import Language
from spacy.util import get_installed_models

from privacy.pii.known_terms import Span

__all__ = ["LANGUAGES", "ModelNames"]

LANGUAGES = ("xx", "en", "de", "fr")
_ENTITIES = {"PER": "PERSON", "PERSON": "PERSON"}
_NOT_NEEDED = ("tagger", "parser", "lemmatizer", "attribute_ruler", "morphologizer", "senter")


class ModelNames:
    """The people that installed models find; each text is read by every model, since its language is not known."""

    def __init__(self, models: Sequence[Language]) -> None:
        self._models = tuple(models)

    @classmethod
    def installed(cls) -> Self | None:
        """The installed models of `LANGUAGES` with an entity recogniser; None without one."""
        names = sorted(name for name in get_installed_models() if name.split("_")[0] in LANGUAGES)
        models = [spacy.load(name, exclude=_NOT_NEEDED) for name in names]
        finding = [model for model in models if {"ner", "entity_ruler"} & set(model.pipe_names)]
        return cls(finding) if finding else None

    def find(self, texts: Sequence[str | None]) -> Iterator[tuple[int, list[Span]]]:
        """Position and people of each text in which a model finds some."""
        written = [(text, position) for position, text in enumerate(texts) if text]
        for model in self._models:
            for document, position in model.pipe(written, as_tuples=True, batch_size=256):
                found: list[Span] = [
                    (entity.start_char, entity.end_char, _ENTITIES[entity.label_])
                    for entity in document.ents
                    if entity.label_ in _ENTITIES
                ]
                if found:
                    yield position, found
