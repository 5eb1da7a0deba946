"""The taste model: what a product is and what a person likes, as vectors whose product is a preference.

The preference of a subject for an item is the dot product of their vectors. Its parts, in order: style, category,
brand, made for women, made for men, sustainability, logarithm of the price and its square (so that a budget is a
parabola), and the item's general appeal. A week adds season, trend and novelty for everyone alike
(`catalogue.weekly_appeal`). The chance that a person looks at an item is the softmax of the sum (a multinomial logit).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BRAND_COUNT", "CATEGORY_COUNT", "STYLE_COUNT", "item_vectors", "subject_vectors"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

STYLE_COUNT, CATEGORY_COUNT, BRAND_COUNT = 8, 14, 32
STYLE_WEIGHT = 5.0
CATEGORY_DEVIATION = 1.3
BRAND_WEIGHT = 2.2
FAVOURITE_BRANDS = 3
OTHER_DEPARTMENT = -5.0
PRICE_WEIGHT = 0.9
"""Set so that in the held-out week the true preferences find far more than popularity; a test keeps it so."""


def item_vectors(
    *,
    styles: Floats,
    categories: Ints,
    brands: Ints,
    women: NDArray[np.bool_],
    men: NDArray[np.bool_],
    sustainability: Floats,
    prices: Floats,
    appeal: Floats,
) -> Floats:
    """Vectors of n items, (n, dimensions). `styles` is (n, STYLE_COUNT) with rows that sum to 1; the rest are (n,)."""
    price = np.log(prices / 60.0)
    numbers = [women, men, (sustainability - 3.0) / 1.5, price, price**2, appeal]
    parts: list[NDArray[Any]] = [
        styles,
        np.eye(CATEGORY_COUNT)[categories],
        np.eye(BRAND_COUNT)[brands],
        *[np.asarray(column)[:, None] for column in numbers],
    ]
    return np.hstack(parts).astype(np.float32)


def subject_vectors(
    rng: np.random.Generator, women: NDArray[np.bool_], men: NDArray[np.bool_], brand_styles: Ints
) -> Floats:
    """Vectors of n people, (n, dimensions).

    `women` and `men` say whether a person buys from that department, each (n,). `brand_styles` is the main style of
    each brand: people's favourite brands tend to be of their favourite style.
    """
    count = len(women)
    styles = rng.dirichlet(np.full(STYLE_COUNT, 0.18), count)
    categories = rng.normal(0.0, CATEGORY_DEVIATION, (count, CATEGORY_COUNT))
    brands = np.zeros((count, BRAND_COUNT))
    liking = 3.0 * styles[:, brand_styles] + rng.gumbel(size=(count, BRAND_COUNT))
    favourites = np.argpartition(-liking, FAVOURITE_BRANDS, axis=1)[:, :FAVOURITE_BRANDS]
    np.put_along_axis(brands, favourites, BRAND_WEIGHT, axis=1)
    budget = rng.normal(0.0, 0.5, count)
    parts = [
        STYLE_WEIGHT * styles,
        categories,
        brands,
        np.where(women, 0.0, OTHER_DEPARTMENT)[:, None],
        np.where(men, 0.0, OTHER_DEPARTMENT)[:, None],
        rng.gamma(2.0, 0.25, count)[:, None],
        (2.0 * PRICE_WEIGHT * budget)[:, None],
        np.full((count, 1), -PRICE_WEIGHT),
        rng.normal(1.0, 0.3, count)[:, None],
    ]
    return np.hstack(parts).astype(np.float32)
