"""Interactions as training data: weighted subject-item pairs, purchases and subject profiles, all as of one time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recommenders.catalogue import Catalogue
from recommenders.signals import signals

__all__ = ["Interactions", "InteractionsError", "TimeSplit", "split_by_time"]

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "pseudonym": pl.String,
    "product_id": pl.String,
    "event_type": pl.String,
    "size": pl.String,
    "event_timestamp": pl.Datetime("us", "UTC"),
}


class InteractionsError(ValueError):
    """There are no usable interactions; says what is missing and what to do."""


@dataclass(frozen=True)
class Interactions:
    """Events of consenting subjects with catalogued products, seen from `as_of`.

    Attributes
    ----------
    events: pseudonym, product_id, event_type, size, event_timestamp, and the derived row numbers
        `subject` and `item`, the event's `weight` and its `decay` (1 at `as_of`, halved with the half-life of taste, see `recommenders.signals`).
    catalogue: the products; column order of every matrix.
    subjects: pseudonyms in ascending order; row order of every matrix.
    as_of: the data clock, i.e. no event is later than this.
    """

    events: pl.DataFrame = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    subjects: list[str] = field(repr=False)
    as_of: datetime

    @classmethod
    def from_events(
        cls,
        events: pl.DataFrame,
        catalogue: Catalogue,
        *,
        weights: Mapping[str, float],
        as_of: datetime | None = None,
    ) -> "Interactions":
        """Index `events` (rows of `lake/interactions`); those without a known product are left out.

        `weights` gives each event type's weight (0: no sign of interest). Raises InteractionsError where nothing is
        left.
        """
        known = events.select(
            (pl.col(name) if name in events.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in _COLUMNS.items()
        ).filter(pl.col("product_id").is_in(catalogue.product_ids))
        if known.is_empty():
            raise InteractionsError(
                "No interaction of a consenting subject with a catalogued product: ingest interactions and products, "
                "and check consents to model_training (a source without consents needs --assume-consent)."
            )
        clock = as_of or known["event_timestamp"].max()
        assert isinstance(clock, datetime)
        subjects = known["pseudonym"].unique().sort().to_list()
        return cls(_indexed(known, catalogue, subjects, weights, clock), catalogue, subjects, clock)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Pseudonym to row number."""
        return {pseudonym: row for row, pseudonym in enumerate(self.subjects)}

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """Pairs of positive interest: `subject`, `item`, `weight` (sum of decayed event weights), `last_event`."""
        return (
            self.events.group_by("subject", "item")
            .agg(
                weight=(pl.col("weight") * pl.col("decay")).sum(),
                last_event=pl.col("event_timestamp").max(),
            )
            .filter(pl.col("weight") > 0)
            .sort("subject", "item")
        )

    @cached_property
    def matrix(self) -> sparse.coo_matrix:
        """Shape (subjects, items), float32: the pairs' weights."""
        pairs = self.pairs
        return sparse.coo_matrix(
            (
                pairs["weight"].to_numpy().astype(np.float32),
                (pairs["subject"].to_numpy(), pairs["item"].to_numpy()),
            ),
            shape=(len(self.subjects), len(self.catalogue)),
        )

    @cached_property
    def purchased(self) -> sparse.csr_matrix:
        """Shape (subjects, items), bool: what each subject has bought."""
        return self._marked(pl.col("event_type") == "purchase")

    @cached_property
    def touched(self) -> sparse.csr_matrix:
        """Shape (subjects, items), bool: what each subject showed any interest in."""
        return self._marked(pl.col("weight") != 0)

    def _marked(self, which: pl.Expr) -> sparse.csr_matrix:
        pairs = self.events.filter(which).select("subject", "item").unique()
        return sparse.csr_matrix(
            (
                np.ones(pairs.height, dtype=bool),
                (pairs["subject"].to_numpy(), pairs["item"].to_numpy()),
            ),
            shape=(len(self.subjects), len(self.catalogue)),
        )

    def recent(self, limit: int = 20) -> sparse.csr_matrix:
        """Shape (subjects, items), float32: each row averages the subject's `limit` latest items of interest."""
        latest = (
            self.pairs.sort("last_event", "item", descending=True)
            .group_by("subject", maintain_order=True)
            .head(limit)
        )
        matrix = sparse.csr_matrix(
            (
                np.ones(latest.height, dtype=np.float32),
                (latest["subject"].to_numpy(), latest["item"].to_numpy()),
            ),
            shape=(len(self.subjects), len(self.catalogue)),
        )
        sums = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1)
        return sparse.csr_matrix(sparse.diags(1 / sums).astype(np.float32) @ matrix)

    def item_counts(
        self, half_life: timedelta | None = None, *, within: timedelta | None = None
    ) -> NDArray[np.float64]:
        """Shape (items,): weighted events per item, decayed by `half_life`, of the last `within`; both None: all."""
        events = self.events
        if within is not None:
            events = events.filter(pl.col("event_timestamp") > self.as_of - within)
        weight = pl.col("weight")
        if half_life is not None:
            weight = weight * _decay(self.as_of, half_life)
        sums = events.group_by("item").agg(weight.sum().alias("weight"))
        counts = np.zeros(len(self.catalogue))
        counts[sums["item"].to_numpy()] = sums["weight"].to_numpy()
        return np.maximum(counts, 0)


def _decay(as_of: datetime, half_life: timedelta) -> pl.Expr:
    age = (pl.lit(as_of) - pl.col("event_timestamp")).dt.total_microseconds() / 1e6
    return (age / half_life.total_seconds() * -math.log(2)).exp()


def _indexed(
    events: pl.DataFrame,
    catalogue: Catalogue,
    subjects: list[str],
    weights: Mapping[str, float],
    as_of: datetime,
) -> pl.DataFrame:
    return events.with_columns(
        subject=pl.col("pseudonym").replace_strict(
            subjects, range(len(subjects)), return_dtype=pl.Int32
        ),
        item=pl.col("product_id").replace_strict(
            catalogue.product_ids, range(len(catalogue)), return_dtype=pl.Int32
        ),
        weight=pl.col("event_type").replace_strict(
            list(weights), list(weights.values()), default=0.0, return_dtype=pl.Float64
        ),
        decay=_decay(as_of, signals().taste_half_life),
    )


@dataclass(frozen=True)
class TimeSplit:
    """Events before and from a moment on; what is learnt comes from `before` alone."""

    before: pl.DataFrame = field(repr=False)
    after: pl.DataFrame = field(repr=False)
    at: datetime
    until: datetime


def split_by_time(events: pl.DataFrame, held_out: timedelta) -> TimeSplit:
    """Hold out the last `held_out` of the data clock (the newest event, not the wall clock).

    Raises InteractionsError where no event lies before or after the split.
    """
    newest = events["event_timestamp"].max()
    if not isinstance(newest, datetime):
        raise InteractionsError("There are no events to split: ingest interactions first.")
    at = newest - held_out
    before = events.filter(pl.col("event_timestamp") <= at)
    if before.is_empty():
        raise InteractionsError(
            f"All events lie within the last {held_out.days} days, so nothing is left to train on: ingest a longer "
            "history."
        )
    return TimeSplit(before, events.filter(pl.col("event_timestamp") > at), at, newest)
