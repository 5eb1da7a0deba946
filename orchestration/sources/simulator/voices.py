"""Feedback and style-quiz answers of the simulated customers, with personal data hidden in some of the texts."""

import numpy as np
import pyarrow as pa

from orchestration.sources.simulator.catalogue import CATEGORIES, STYLES, Catalogue
from orchestration.sources.simulator.orders import FITS
from orchestration.sources.simulator.people import Identity, People, Times, opaque_ids
from orchestration.sources.simulator.phrases import (
    ABOUT_ME,
    FIT_REMARKS,
    HIDDEN,
    OPINIONS,
    QUIZ_WORDS,
)
from orchestration.sources.simulator.sessions import Purchases
from orchestration.sources.simulator.taste import CATEGORY_COUNT, STYLE_COUNT, Ints

__all__ = ["feedback_table", "quiz_table"]

_TIMES = pa.timestamp("us", tz="UTC")
GIVES_FEEDBACK, WRITES, HIDES = 0.35, 0.75, 0.2
TAKES_QUIZ, ADDS_TEXT, HIDES_IN_QUIZ = 0.55, 0.3, 0.15


def feedback_table(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    bought: Purchases,
    fit: Ints,
    stop: np.datetime64,
) -> pa.Table:
    """The raw table `feedback`: ratings of 2 to 10 (as in Rent the Runway) that follow liking and fit."""
    at: Times = bought.at + (rng.uniform(4, 25, len(fit)) * 86_400e6).astype("timedelta64[us]")
    chosen = np.flatnonzero((rng.random(len(fit)) < GIVES_FEEDBACK) & (at < stop))
    who, item, fits = bought.who[chosen], bought.item[chosen], fit[chosen]
    mood = 6.6 + 1.0 * bought.liking[chosen] - 1.8 * (fits != 1) + rng.normal(0, 1.4, len(chosen))
    rating = np.clip(2 * np.round(mood / 2), 2, 10)
    texts = [
        _opinion(rng, people.identities[person], catalogue.names[product], score, felt)
        for person, product, score, felt in zip(who, item, rating, fits, strict=True)
    ]
    return pa.table(
        {
            "feedback_no": opaque_ids(rng, len(chosen)),
            "customer_no": pa.array(people.subject_ids[who], pa.string()),
            "sku": pa.array(catalogue.ids[item], pa.string()),
            "size": pa.array(bought.size[chosen], pa.string()),
            "stars": pa.array(rating),
            "fit": pa.array(np.array(FITS, dtype=object)[fits], pa.string()),
            "comment": pa.array(texts, pa.string()),
            "given": pa.array(at[chosen], _TIMES),
        }
    )


def _opinion(
    rng: np.random.Generator, who: Identity, product: str, rating: float, fit: int
) -> str | None:
    if rng.random() >= WRITES:
        return None
    remarks = OPINIONS[who.language][0 if rating < 5 else 1 if rating < 8 else 2]
    text = remarks[rng.integers(len(remarks))].format(product=product)
    if rng.random() < 0.4:
        text += " " + FIT_REMARKS[who.language][fit]
    if rng.random() < HIDES:
        text += " " + _hidden(rng, who)
    return text


def _hidden(rng: np.random.Generator, who: Identity) -> str:
    """A sentence that gives the writer away."""
    sentences = HIDDEN[who.language]
    return sentences[rng.integers(len(sentences))].format(**_details(rng, who))


def _details(rng: np.random.Generator, who: Identity) -> dict[str, str]:
    return {
        "first": who.first,
        "last": who.last,
        "email": who.email,
        "phone": who.phone,
        "street": who.street,
        "city": who.city,
        "iban": _iban(rng),
    }


def _iban(rng: np.random.Generator) -> str:
    """A German IBAN with right check digits (ISO 7064, MOD 97-10) at a bank code that no bank has."""
    account = f"99999999{rng.integers(10**10):010d}"
    check = 98 - int(account + "131400") % 97
    text = f"DE{check:02d}{account}"
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def quiz_table(rng: np.random.Generator, people: People, stop: np.datetime64) -> pa.Table:
    """The raw table `quiz_answers`: one row a question; four in five tell their true favourites."""
    taker = np.flatnonzero(rng.random(len(people.subject_ids)) < TAKES_QUIZ)
    styles = people.vectors[taker, :STYLE_COUNT].argmax(axis=1)
    kinds = people.vectors[taker, STYLE_COUNT : STYLE_COUNT + CATEGORY_COUNT].argmax(axis=1)
    honest = rng.random(len(taker)) < 0.8
    styles = np.where(honest, styles, rng.integers(STYLE_COUNT, size=len(taker)))
    answers: list[tuple[int, str, str]] = []
    for person, style, kind in zip(taker.tolist(), styles, kinds, strict=True):
        answers += [(person, "style", STYLES[style]), (person, "favourite", CATEGORIES[kind].name)]
        answers += [
            (person, question, words[rng.integers(len(words))])
            for question, words in QUIZ_WORDS.items()
        ]
        if rng.random() < ADDS_TEXT:
            answers.append((person, "anything else", _about_me(rng, people.identities[person])))
    who = np.array([person for person, _, _ in answers], dtype=np.int64)
    at = people.signed_up[who] + np.minimum(
        np.timedelta64(10, "m"), stop - people.signed_up[who] - np.timedelta64(1, "s")
    )
    return pa.table(
        {
            "answer_no": opaque_ids(rng, len(answers)),
            "customer_no": pa.array(people.subject_ids[who], pa.string()),
            "question": pa.array([question for _, question, _ in answers], pa.string()),
            "answer": pa.array([answer for _, _, answer in answers], pa.string()),
            "answered": pa.array(at.astype("datetime64[us]"), _TIMES),
        }
    )


def _about_me(rng: np.random.Generator, who: Identity) -> str:
    sentences = ABOUT_ME[who.language]
    text = sentences[rng.integers(len(sentences))]
    return f"{text} {_hidden(rng, who)}" if rng.random() < HIDES_IN_QUIZ else text
