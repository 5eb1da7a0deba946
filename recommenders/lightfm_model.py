"""The LightFM hybrid: trains subject, item and feature vectors with the WARP loss and hands them over as arrays."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import polars as pl
from lightfm import LightFM
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from privacy.contracts import SMALLEST_GROUP
from recommenders.catalogue import Catalogue
from recommenders.factor_model import FactorModel
from recommenders.interactions import Interactions
from recommenders.profile import profile_features
from recommenders.recommender import NotFittedError, Ranked
from recommenders.signals import signals

__all__ = ["LightFMParameters", "LightFMRecommender", "item_features", "prior_of"]

RECENT_ITEMS = 20


class LightFMParameters(BaseModel):
    """What a training run is made with; the manifest keeps it.

    The defaults were chosen on validation weeks of simulated shops (docs/decisions/0003). The three weights are chosen
    anew at each training by `recommenders.tuning`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    components: int = Field(48, ge=2, le=512, description="Length of every vector")
    epochs: int = Field(15, ge=1, le=200, description="Passes over the interactions")
    learning_rate: float = Field(0.05, gt=0, description="Initial rate of adagrad")
    item_alpha: float = Field(1e-5, ge=0, description="L2 penalty on item features")
    user_alpha: float = Field(1e-5, ge=0, description="L2 penalty on subject features")
    max_sampled: int = Field(20, ge=1, description="Negatives WARP tries before it gives up")
    subject_features: bool = Field(
        True, description="Whether subjects have features beside their id"
    )
    seed: int = Field(7, ge=0, description="Seed of initial vectors and of sampling")
    popularity_weight: float = Field(0.5, ge=0, description="Share of log recent popularity")
    recent_weight: float = Field(0.0, ge=0, description="Weight of the latest items' mean vector")
    fold_in_weight: float = Field(2.0, ge=0, description="The same for subjects not in training")


def item_features(catalogue: Catalogue) -> tuple[list[str], sparse.csr_matrix]:
    """Feature names and float32 matrix (items, features): identity, brand, category, season, price and sustainability.

    Bands are quintiles of price and thirds of sustainability over the catalogue; unknown values have no feature.
    """
    tokens = catalogue.items.select(
        "product_id",
        pl.concat_list(
            *(_token(name, pl.col(name)) for name in ("brand", "category")),
            _token("price", _band("price", 5)),
            _token("sustainability", _band("sustainability_rating", 3)),
            pl.col("season_tags").fill_null([]).list.eval(pl.lit("season=") + pl.element()),
        ).alias("tokens"),
    )
    long = tokens.with_row_index("row").explode("tokens").drop_nulls("tokens").unique()
    names = long["tokens"].unique().sort().to_list()
    columns = {name: column for column, name in enumerate(names)}
    described = sparse.csr_matrix(
        (
            np.ones(long.height, dtype=np.float32),
            (long["row"].to_numpy(), [columns[token] for token in long["tokens"].to_list()]),
        ),
        shape=(len(catalogue), len(names)),
    )
    return [*catalogue.product_ids, *names], _with_identity(described)


def _token(group: str, value: pl.Expr) -> pl.Expr:
    return pl.concat_list(pl.lit(f"{group}=") + value.cast(pl.String))


def _band(column: str, bands: int) -> pl.Expr:
    rank = pl.col(column).rank("average") - 0.5
    return (rank / pl.col(column).count() * bands).floor().cast(pl.Int32)


def _with_identity(features: sparse.csr_matrix) -> sparse.csr_matrix:
    identity = sparse.identity(features.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(sparse.hstack([identity, features], format="csr"), dtype=np.float32)


def prior_of(data: Interactions) -> NDArray[np.float32]:
    """Shape (items,): standardised log of recent popularity, the prior that is added to item biases."""
    logs = np.log1p(data.item_counts(signals().popularity_half_life))
    return np.asarray((logs - logs.mean()) / max(float(logs.std()), 1e-9), dtype=np.float32)


class LightFMRecommender:
    """LightFM (Kula 2015) with WARP: vectors of subjects and items are sums of their features' vectors."""

    name = "lightfm"

    def __init__(self, parameters: LightFMParameters | None = None) -> None:
        self.parameters = parameters or LightFMParameters()
        self._model: FactorModel | None = None

    def fit(self, data: Interactions) -> Self:
        """Train on `data`'s weighted pairs. Deterministic for a seed (one thread)."""
        names, subject_matrix = self._subject_features(data)
        _, item_matrix = item_features(data.catalogue)
        trained = _train(self.parameters, data, subject_matrix, item_matrix)
        self._model = _arrays(self.parameters, trained, data, names, subject_matrix, item_matrix)
        return self

    def _subject_features(self, data: Interactions) -> tuple[list[str], sparse.csr_matrix]:
        names, described = profile_features(data)
        if not self.parameters.subject_features:
            names, described = [], sparse.csr_matrix((len(data.subjects), 0), dtype=np.float32)
        return names, _with_identity(described)

    @property
    def model(self) -> FactorModel:
        """The trained arrays; raises NotFittedError before `fit`."""
        if self._model is None:
            raise NotFittedError("The lightfm recommender is not trained yet: call fit first.")
        return self._model

    def scores(self, pseudonyms: Sequence[str]) -> NDArray[np.float32]:
        """Shape (subjects, items); unknown subjects get recent popularity."""
        return self.model.scores(pseudonyms)

    def recommend(self, pseudonyms: Sequence[str], limit: int = 20) -> Ranked:
        """The best items that each subject has not bought yet."""
        return self.model.recommend(pseudonyms, limit)

    def similar_items(self, product_ids: Sequence[str], limit: int = 20) -> Ranked:
        """Items by cosine of their vectors; raises UnknownItemError."""
        return self.model.similar_items(product_ids, limit)


def _train(
    parameters: LightFMParameters,
    data: Interactions,
    subjects: sparse.csr_matrix,
    items: sparse.csr_matrix,
) -> LightFM:
    matrix = data.matrix
    weights = matrix.copy()
    weights.data = np.log1p(weights.data).astype(np.float32)
    weights.data /= max(float(weights.data.mean()), 1e-9)
    positives = matrix.copy()
    positives.data = np.ones_like(positives.data)
    model = LightFM(
        no_components=parameters.components,
        loss="warp",
        learning_rate=parameters.learning_rate,
        item_alpha=parameters.item_alpha,
        user_alpha=parameters.user_alpha,
        max_sampled=parameters.max_sampled,
        random_state=parameters.seed,
    )
    model.fit(
        positives,
        user_features=subjects,
        item_features=items,
        sample_weight=weights,
        epochs=parameters.epochs,
        num_threads=1,
    )
    return model


def _arrays(
    parameters: LightFMParameters,
    trained: LightFM,
    data: Interactions,
    names: list[str],
    subjects: sparse.csr_matrix,
    items: sparse.csr_matrix,
) -> FactorModel:
    """Sum feature vectors into subject and item vectors.

    What too few people shaped is left out: an item that fewer than ten touched is known by its other features, and those in
    their turn by the items of ten or more.
    """
    people = _people(data, items)
    few = people < SMALLEST_GROUP
    trained.item_embeddings[few] = 0
    trained.item_biases[few] = 0
    biases = items @ trained.item_biases
    prior = prior_of(data)
    return FactorModel(
        catalogue=data.catalogue,
        item_vectors=np.asarray(items @ trained.item_embeddings, dtype=np.float32),
        item_biases=np.asarray(biases + parameters.popularity_weight * prior, dtype=np.float32),
        fallback=prior,
        feature_names=names,
        smallest_group=_smallest_group(trained.item_embeddings, people),
        feature_vectors=np.asarray(trained.user_embeddings[len(data.subjects) :], np.float32),
        subjects=_histories(data),
        subject_vectors=np.asarray(subjects @ trained.user_embeddings, dtype=np.float32),
        recent_weight=parameters.recent_weight,
        fold_in_weight=parameters.fold_in_weight,
    )


def _people(data: Interactions, items: sparse.csr_matrix) -> NDArray[np.int64]:
    """Shape (features,): how many subjects showed interest in an item with the feature, identities among them."""
    interest = sparse.csr_matrix(data.matrix @ items)
    return np.asarray(interest.getnnz(axis=0), dtype=np.int64)


def _smallest_group(embeddings: NDArray[np.float32], people: NDArray[np.int64]) -> int | None:
    """Fewest subjects that shaped a vector of `embeddings` (features, components) which is kept; None where none is."""
    kept = people[np.any(embeddings != 0, axis=1)]
    return int(kept.min()) if len(kept) else None


def _histories(data: Interactions) -> pl.DataFrame:
    """What each subject bought, and their latest items of interest, newest first."""
    bought = (
        data.events.filter(pl.col("event_type") == "purchase")
        .group_by("subject")
        .agg(purchased=pl.col("product_id").unique().sort())
    )
    names = data.catalogue.items.select("product_id").with_row_index("item")
    recent = (
        data.pairs.join(names.cast({"item": pl.Int32}), on="item", how="left")
        .sort(["last_event", "item"], descending=True)
        .group_by("subject", maintain_order=True)
        .agg(recent=pl.col("product_id").head(RECENT_ITEMS))
    )
    subjects = pl.DataFrame(
        {"subject": range(len(data.subjects)), "pseudonym": data.subjects},
        schema={"subject": pl.Int32, "pseudonym": pl.String},
    )
    empty = pl.lit([], dtype=pl.List(pl.String))
    return (
        subjects.join(bought, on="subject", how="left", maintain_order="left")
        .join(recent, on="subject", how="left", maintain_order="left")
        .select(
            "pseudonym", pl.col("purchased").fill_null(empty), pl.col("recent").fill_null(empty)
        )
    )
