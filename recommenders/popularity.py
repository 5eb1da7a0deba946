"""Popularity: what everybody showed interest in, newer interest counting more."""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from recommenders.interactions import Interactions
from recommenders.item_scores import ItemScoreRecommender

__all__ = ["POPULARITY_HALF_LIFE", "AllTimePopularity", "Popularity"]

# The same as the column `popularity` of lake/product_popularity.
POPULARITY_HALF_LIFE = timedelta(days=14)


class Popularity(ItemScoreRecommender):
    """Weighted interactions per item, halved every 14 days."""

    name = "popularity"

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): decayed sums of event weights."""
        return data.item_counts(POPULARITY_HALF_LIFE)


class AllTimePopularity(ItemScoreRecommender):
    """Weighted interactions per item over the whole history: the plainest baseline."""

    name = "popularity_all_time"

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): sums of event weights."""
        return data.item_counts()
