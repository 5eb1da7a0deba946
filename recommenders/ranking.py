"""The ranker: a request comes in, a ranking with reasons goes out, all in process and without I/O.

A subject is recognised only through the pseudonym in the request; whoever calls has checked consent and objections, and
leaves the pseudonym out where there is none. Without it the same touchpoints answer from popularity and trends.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommenders.artifacts import ArtifactError, live_models
from recommenders.candidates import (
    CandidateContext,
    CandidateSource,
    PersonalCandidates,
    SimilarCandidates,
    TopCandidates,
    union,
)
from recommenders.catalogue import Catalogue
from recommenders.factor_model import FactorModel
from recommenders.item_index import ItemIndex
from recommenders.model_files import load_factor_model, load_item_index, load_item_scores
from recommenders.profile import SubjectProfile
from recommenders.reasons import Reason, ReasonGiver

__all__ = ["RankedItem", "Ranker", "Ranking", "RankingRequest", "Touchpoint"]

_CANDIDATES = 500
_TREND_SHARE = 0.25
_TASTE_ON_PRODUCT_PAGE = 0.25
_LATEST_ANCHORS = 5


class Touchpoint(StrEnum):
    """Where a ranking is shown."""

    HOMEPAGE = "homepage"
    SEARCH = "search"
    PRODUCT_PAGE = "product_page"
    EMAIL = "email"


# At most this share of a page comes from one brand; a page of search results is left as it ranks.
_BRAND_SHARE = {Touchpoint.HOMEPAGE: 0.3, Touchpoint.EMAIL: 0.2, Touchpoint.PRODUCT_PAGE: 0.4}


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """What to rank for.

    Attributes
    ----------
    pseudonym: None for everybody who is not to be recognised.
    profile: the subject's online profile; ignored without a pseudonym.
    context_item: the product being looked at; unknown ones are ignored.
    exclude: product ids that must not appear (cart, just bought).
    among: for search, the products that matched; None ranks the whole catalogue.
    """

    touchpoint: Touchpoint
    pseudonym: str | None = None
    profile: SubjectProfile | None = None
    context_item: str | None = None
    limit: int = 20
    exclude: Collection[str] = ()
    among: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 200:
            raise ValueError(f"limit must lie between 1 and 200, but is {self.limit}.")


class RankedItem(NamedTuple):
    """One place of a ranking."""

    product_id: str
    score: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items best first; `ranking_id` joins what happens next to this ranking."""

    items: tuple[RankedItem, ...]
    ranking_id: str
    model: str
    personalised: bool


@dataclass(frozen=True)
class Ranker:
    """Ranks with a factor model, an item index, popularity and trends of one catalogue.

    Attributes
    ----------
    popularity, trending: float32 (items,), in the factor model's order of items.
    catalogue: the products with their stock, in the same order.
    version, fallback_version: of the factor model and of popularity, which ranks for everybody else.
    published: when these versions went live.
    """

    model: FactorModel = field(repr=False)
    index: ItemIndex = field(repr=False)
    popularity: NDArray[np.float32] = field(repr=False)
    trending: NDArray[np.float32] = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    version: str
    fallback_version: str
    published: datetime
    _everybody: NDArray[np.float32] = field(init=False, repr=False)
    _in_stock: NDArray[np.bool_] = field(init=False, repr=False)
    _brands: list[str | None] = field(init=False, repr=False)
    _product_ids: list[str] = field(init=False, repr=False)
    _sources: tuple[CandidateSource, ...] = field(init=False, repr=False)
    _reasons: ReasonGiver = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.catalogue.product_ids != self.model.catalogue.product_ids:
            raise ArtifactError(
                "The live models were trained on different catalogues: materialise models/lightfm and models/item_index."
            )
        everybody = _standardised(np.log1p(self.popularity)) + _TREND_SHARE * _standardised(
            np.clip(self.trending, 0, None)
        )
        derived = {
            "_everybody": everybody,
            "_in_stock": self.catalogue.in_stock(),
            "_brands": self.catalogue.items["brand"].to_list(),
            "_product_ids": self.catalogue.product_ids,
            "_sources": (
                PersonalCandidates(),
                SimilarCandidates(self.index),
                TopCandidates.of("popular", self.popularity),
                TopCandidates.of("trending", self.trending),
            ),
            "_reasons": ReasonGiver(
                self.catalogue, self.model.unit_items, self.trending, self.popularity
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, root: Path | None = None) -> "Ranker":
        """The ranker that `models/live.json` names; every file's hash is checked first.

        Raises ArtifactError where nothing is published yet or an artefact is damaged.
        """
        live = live_models(root)
        if live is None:
            raise ArtifactError("No model is live yet: materialise serving/ranker first.")
        model = load_factor_model(live.versions["lightfm"], root)
        catalogue, index = load_item_index(live.versions["item_index"], root)
        scores = {
            name: _onto(catalogue, *load_item_scores(name, live.versions[name], root))
            for name in ("popularity", "trending")
        }
        return cls(
            model=model,
            index=index,
            catalogue=catalogue,
            version=live.versions["lightfm"],
            fallback_version=live.versions["popularity"],
            published=live.published,
            **scores,
        )

    def recommend(self, request: RankingRequest) -> Ranking:
        """Rank the catalogue for `request`; out-of-stock items, what the subject bought and `exclude` are left out."""
        pseudonym = request.pseudonym
        profile = self._profile(request) if pseudonym is not None else SubjectProfile()
        vector = self.model.subject_vector(pseudonym, profile) if pseudonym is not None else None
        personal = None if vector is None else self.model.scores_of(vector[None, :])[0]
        purchased = self.model.purchased(pseudonym) if pseudonym is not None else []
        context = self.catalogue.rows.get(request.context_item or "")
        scores = self._scores(request.touchpoint, personal, context)
        allowed = self._allowed(request, purchased, context)
        rows = self._best(request, scores, allowed, self._context(personal, profile, context))
        if personal is None:
            reasons = self._reasons.for_everybody(rows)
        else:
            reasons = self._reasons.for_subject(rows, purchased, profile)
        if request.touchpoint == Touchpoint.PRODUCT_PAGE and context is not None:
            reasons = self._with_similar(rows, context, reasons)
        return Ranking(
            items=tuple(
                RankedItem(self._product_ids[row], float(scores[row]), reason)
                for row, reason in zip(rows.tolist(), reasons, strict=True)
            ),
            ranking_id=secrets.token_hex(16),
            model=f"popularity/{self.fallback_version}"
            if personal is None
            else f"lightfm/{self.version}",
            personalised=personal is not None,
        )

    def _profile(self, request: RankingRequest) -> SubjectProfile:
        """The request's profile, completed by the latest items known from training."""
        profile = request.profile or SubjectProfile()
        if not profile.recent_products and request.pseudonym is not None:
            recent = self.model.recent(request.pseudonym)
            profile = SubjectProfile(profile.shares, recent)
        return profile

    def _scores(
        self, touchpoint: Touchpoint, personal: NDArray[np.float32] | None, context: int | None
    ) -> NDArray[np.float32]:
        scores = self._everybody if personal is None else personal
        if touchpoint == Touchpoint.PRODUCT_PAGE and context is not None:
            cosines = self.model.unit_items @ self.model.unit_items[context]
            scores = _standardised(cosines) + _TASTE_ON_PRODUCT_PAGE * _standardised(scores)
        return np.asarray(scores, dtype=np.float32)

    def _allowed(
        self, request: RankingRequest, purchased: Sequence[str], context: int | None
    ) -> NDArray[np.bool_]:
        allowed = self._in_stock.copy()
        if request.among is not None:
            matched = np.zeros(len(allowed), dtype=bool)
            matched[self.catalogue.index(request.among)] = True
            allowed &= matched
        allowed[self.catalogue.index([*purchased, *request.exclude])] = False
        if context is not None:
            allowed[context] = False
        return allowed

    def _context(
        self, personal: NDArray[np.float32] | None, profile: SubjectProfile, context: int | None
    ) -> CandidateContext:
        anchors = [] if context is None else [context]
        anchors += self.catalogue.index(profile.recent_products[:_LATEST_ANCHORS]).tolist()
        return CandidateContext(personal, np.array(anchors, dtype=np.intp))

    def _best(
        self,
        request: RankingRequest,
        scores: NDArray[np.float32],
        allowed: NDArray[np.bool_],
        context: CandidateContext,
    ) -> NDArray[np.intp]:
        rows = union(self._sources, context, _CANDIDATES)
        rows = rows[allowed[rows]]
        if len(rows) < request.limit or request.among is not None:
            rows = np.flatnonzero(allowed)
        ordered = rows[np.argsort(-scores[rows], kind="stable")]
        return self._varied(ordered, request)

    def _varied(self, ordered: NDArray[np.intp], request: RankingRequest) -> NDArray[np.intp]:
        """The first `limit` rows with no brand above its share of the page; what is put off fills up a short page."""
        share = _BRAND_SHARE.get(request.touchpoint)
        if share is None:
            return ordered[: request.limit]
        most = max(2, ceil(share * request.limit))
        counts: dict[str, int] = {}
        kept: list[int] = []
        later: list[int] = []
        for row in ordered.tolist():
            brand = self._brands[row]
            if brand is not None and counts.get(brand, 0) >= most:
                later.append(row)
                continue
            counts[brand or ""] = counts.get(brand or "", 0) + 1
            kept.append(row)
            if len(kept) == request.limit:
                break
        return np.array([*kept, *later][: request.limit], dtype=np.intp)

    def _with_similar(
        self, rows: NDArray[np.intp], context: int, reasons: list[Reason]
    ) -> list[Reason]:
        near = self._reasons.near(rows, np.array([context]))
        return [
            Reason.SIMILAR_TO_CONTEXT if similar else reason
            for similar, reason in zip(near, reasons, strict=True)
        ]


def _standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((scores - scores.mean()) / max(float(scores.std()), 1e-9), dtype=np.float32)


def _onto(
    catalogue: Catalogue, source: Catalogue, scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`scores` of `source`'s items in the order of `catalogue`; 0 for items that `source` lacks."""
    values = dict(zip(source.product_ids, scores.tolist(), strict=True))
    return np.array([values.get(name, 0.0) for name in catalogue.product_ids], dtype=np.float32)
