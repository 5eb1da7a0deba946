"""Popularity: what everybody showed interest in, newer interest counting more."""

import numpy as np
from numpy.typing import NDArray

from recommenders.interactions import Interactions
from recommenders.item_scores import ItemScoreRecommender
from recommenders.signals import signals

__all__ = ["AllTimePopularity", "Popularity"]


class Popularity(ItemScoreRecommender):
    """Weighted interactions per item, faded as the column `popularity` of lake/product_popularity."""

    name = "popularity"

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): decayed sums of event weights."""
        return data.item_counts(signals().popularity_half_life)


class AllTimePopularity(ItemScoreRecommender):
    """Weighted interactions per item over the whole history: the plainest baseline."""

    name = "popularity_all_time"

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): sums of event weights."""
        return data.item_counts()
