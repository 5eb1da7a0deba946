"""What is known of a subject's taste: preferred categories, brands and sizes, and the latest items of interest."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recommenders.interactions import Interactions

__all__ = ["PROFILE_GROUPS", "SubjectProfile", "profile_features", "profiles_of"]

# Feature group to how many of its values describe a subject; `lake/subject_profile` keeps as many.
PROFILE_GROUPS: dict[str, int] = {"category": 8, "brand": 8, "size": 4}


def _shares(names: Any, scores: Any) -> dict[str, float]:
    kept = {
        str(name): float(score)
        for name, score in zip(
            names if names is not None else (), scores if scores is not None else (), strict=False
        )
        if name is not None and score is not None and score > 0
    }
    total = sum(kept.values())
    return {name: score / total for name, score in kept.items()}


@dataclass(frozen=True, slots=True)
class SubjectProfile:
    """One subject's taste; the shares of each group sum to 1 (or the group is empty).

    Attributes
    ----------
    shares: group (`category`, `brand`, `size`) to value to share.
    recent_products: latest distinct products of interest, newest first.
    """

    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    recent_products: Sequence[str] = ()

    @classmethod
    def from_features(cls, features: Mapping[str, Any]) -> "SubjectProfile":
        """Read the columns of `lake/subject_profile` (or of its Feast view); missing ones count as unknown."""
        plural = {"category": "categories", "brand": "brands", "size": "sizes"}
        shares = {
            group: _shares(
                features.get(f"top_{plural[group]}"), features.get(f"top_{group}_scores")
            )
            for group in PROFILE_GROUPS
        }
        recent = features.get("recent_products")
        return cls(shares, tuple(recent) if recent is not None else ())

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is known."""
        return not self.recent_products and not any(self.shares.values())

    def tokens(self) -> dict[str, float]:
        """Feature names as the models use them (`category=dress`) with their shares."""
        return {
            f"{group}={value}": share
            for group, values in self.shares.items()
            for value, share in values.items()
        }


def profile_features(data: Interactions) -> tuple[list[str], sparse.csr_matrix]:
    """Profiles of all subjects, from their own events up to `data.as_of`.

    Returns the feature names and a float32 matrix of shape (subjects, features); within each group a subject's values
    sum to 1, so that `SubjectProfile.tokens` of the same history gives the same row.
    """
    attributes = data.catalogue.items.select("product_id", "category", "brand")
    events = data.events.join(attributes, on="product_id", how="left").with_columns(
        interest=pl.col("weight") * pl.col("decay")
    )
    long = pl.concat([_group_shares(events, group, top) for group, top in PROFILE_GROUPS.items()])
    names = long["token"].unique().sort().to_list()
    columns = {name: column for column, name in enumerate(names)}
    matrix = sparse.csr_matrix(
        (
            long["share"].to_numpy().astype(np.float32),
            (long["subject"].to_numpy(), [columns[token] for token in long["token"].to_list()]),
        ),
        shape=(len(data.subjects), len(names)),
    )
    return names, matrix


def _group_shares(events: pl.DataFrame, group: str, top: int) -> pl.DataFrame:
    interest = (
        events.filter(pl.col(group).is_not_null())
        .group_by("subject", group)
        .agg(pl.col("interest").sum())
        .filter(pl.col("interest") > 0)
        .sort(["interest", group], descending=[True, False])
        .group_by("subject", maintain_order=True)
        .head(top)
    )
    return interest.select(
        "subject",
        token=pl.lit(f"{group}=") + pl.col(group),
        share=pl.col("interest") / pl.col("interest").sum().over("subject"),
    )


def profiles_of(data: Interactions, pseudonyms: Sequence[str]) -> dict[str, SubjectProfile]:
    """Profiles of those `pseudonyms` that have interactions, as of `data.as_of`."""
    names, features = profile_features(data)
    recent = data.recent()
    found = {}
    for pseudonym in pseudonyms:
        row = data.rows.get(pseudonym)
        if row is not None:
            shares: dict[str, dict[str, float]] = defaultdict(dict)
            for column, share in zip(features[row].indices, features[row].data, strict=True):
                group, _, value = names[column].partition("=")
                shares[group][value] = float(share)
            latest = [data.catalogue.product_ids[item] for item in recent[row].indices]
            found[pseudonym] = SubjectProfile(shares, latest)
    return found
