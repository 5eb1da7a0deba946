"""Trending: items whose last week stands out against their last four."""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from recommenders.interactions import Interactions
from recommenders.item_scores import ItemScoreRecommender

__all__ = ["Trending", "surprise"]

_WEEK, _MONTH = timedelta(days=7), timedelta(days=28)


def surprise(week: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many standard deviations of a Poisson count the last week lies above what was expected.

    `week` and `expected` have shape (items,) and count interactions in seven days. One is added to the variance, so that
    items with hardly any interactions do not trend on a single one.
    """
    return np.asarray((week - expected) / np.sqrt(expected + 1.0))


class Trending(ItemScoreRecommender):
    """Weighted interactions of the last 7 days against a week's share of the last 28."""

    name = "trending"

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): see `surprise`."""
        return surprise(data.item_counts(within=_WEEK), data.item_counts(within=_MONTH) / 4)
