"""The simulated shop's products, stock and calendar."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.taste import (
    BRAND_COUNT,
    CATEGORY_COUNT,
    STYLE_COUNT,
    Floats,
    Ints,
    item_vectors,
)

__all__ = ["CATEGORIES", "SIZE_LABELS", "STYLES", "Catalogue", "make_catalogue"]

STYLES = (
    "minimal",
    "romantic",
    "streetwear",
    "outdoor",
    "classic",
    "bohemian",
    "vintage",
    "workwear",
)
SEASONS = ("spring", "summer", "autumn", "winter")
_SEASON_CENTRES = np.array([105, 196, 288, 15])  # day of the year

_LETTERS, _WOMEN, _MEN, _WOMEN_SHOES, _MEN_SHOES, _ONE = range(6)
SIZE_LABELS: tuple[tuple[str, ...], ...] = (
    ("XS", "S", "M", "L", "XL", "XXL"),
    tuple(str(size) for size in range(34, 48, 2)),
    tuple(str(size) for size in range(44, 58, 2)),
    tuple(str(size) for size in range(36, 43)),
    tuple(str(size) for size in range(40, 47)),
    ("one size",),
)
"""Labels of each size system: letters, trousers of women and men, shoes of women and men, one size for all."""


class Category(NamedTuple):
    """A kind of garment: how common, what it costs, who wears it (w, m, u for all), when, and how it is sized."""

    name: str
    share: float
    price: float
    worn_by: str
    seasons: tuple[int, ...]
    sizing: str
    nouns: tuple[str, ...]


_ALL = (0, 1, 2, 3)
CATEGORIES: tuple[Category, ...] = (
    Category(
        "dress", 0.11, 95, "w", (0, 1), "letters", ("wrap dress", "shirt dress", "midi dress")
    ),
    Category("skirt", 0.05, 70, "w", (0, 1), "letters", ("pleated skirt", "midi skirt")),
    Category("blouse", 0.07, 65, "w", _ALL, "letters", ("blouse", "tunic", "tie-neck blouse")),
    Category("shirt", 0.08, 68, "wm", _ALL, "letters", ("shirt", "oxford shirt", "overshirt")),
    Category("t-shirt", 0.12, 32, "wmu", (0, 1), "letters", ("t-shirt", "boxy tee", "tank top")),
    Category("knitwear", 0.10, 92, "wmu", (2, 3), "letters", ("jumper", "cardigan", "roll neck")),
    Category("trousers", 0.08, 85, "wm", _ALL, "numbers", ("trousers", "chinos", "wide trousers")),
    Category("jeans", 0.07, 98, "wm", _ALL, "numbers", ("straight jeans", "slim jeans")),
    Category("jacket", 0.06, 140, "wm", (0, 2), "letters", ("jacket", "chore jacket", "bomber")),
    Category("coat", 0.05, 210, "wm", (2, 3), "letters", ("coat", "parka", "trench coat")),
    Category("activewear", 0.06, 55, "wm", _ALL, "letters", ("leggings", "running top", "shorts")),
    Category("shoes", 0.07, 120, "wm", _ALL, "shoes", ("sneakers", "ankle boots", "loafers")),
    Category("bag", 0.04, 80, "u", _ALL, "one", ("tote", "backpack", "crossbody bag")),
    Category("accessories", 0.04, 28, "u", (2, 3), "one", ("scarf", "beanie", "belt", "socks")),
)
assert len(CATEGORIES) == CATEGORY_COUNT
assert len(STYLES) == STYLE_COUNT

_BRAND_NAMES: tuple[str, ...] = (
    "Halmweg",
    "Nordlein",
    "Ateljé Sju",
    "Canopée",
    "Mossgrund",
    "Fil Vert",
    "Saltmarsh",
    "Lindholt",
    "Terre Douce",
    "Weberei Anders",
    "Oatfield",
    "Kreisel",
    "Petit Fjord",
    "Loomhouse",
    "Grünstich",
    "Rivage",
    "Hedgerow",
    "Stoffwechsel",
    "Bleu de Lin",
    "Thistle & Twine",
    "Zweitfaden",
    "Maison Ortie",
    "Driftline",
    "Kaltental",
    "Aubépine",
    "Wold Workwear",
    "Sonnenhanf",
    "Les Remailleurs",
    "Copperbeech",
    "Tagwerk",
    "Brume",
    "Larkrise",
)
assert len(_BRAND_NAMES) == BRAND_COUNT
_MATERIALS = (
    ("organic cotton", "GOTS certified"),
    ("European linen", "grown without irrigation"),
    ("recycled wool", "from post-consumer garments"),
    ("TENCEL lyocell", "from certified forests"),
    ("recycled polyester", "GRS certified"),
    ("hemp", "dyed with plants"),
    ("responsible merino", "RWS certified"),
    ("deadstock fabric", "saved from landfill"),
)
_COLOURS = [
    "ecru",
    "navy",
    "sage",
    "rust",
    "charcoal",
    "sand",
    "forest",
    "plum",
    "sky",
    "black",
    "ochre",
    "rose",
]
_SUITABLE = {
    "minimal": "a quiet cut without fuss",
    "romantic": "soft lines and fine details",
    "streetwear": "a roomy fit for the city",
    "outdoor": "made for wind and trails",
    "classic": "tailored to outlast trends",
    "bohemian": "flowing, with a handmade touch",
    "vintage": "after a pattern from the seventies",
    "workwear": "sturdy seams and deep pockets",
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The products of a shop, n of them, as columns.

    Attributes
    ----------
    products, inventory: the raw tables as the shop keeps them.
    ids, names: (n,) product ids and names, for other tables.
    vectors: (n, dimensions), see `taste`.
    categories: (n,) index into `CATEGORIES`.
    prices: (n,) euros.
    size_system: (n,) index into `SIZE_LABELS`.
    weekly: (weeks, n) appeal of a week added to every preference; minus infinity before the release.
    brand_styles: (brands,) main style of each brand.
    """

    products: pa.Table
    inventory: pa.Table
    ids: NDArray[np.object_]
    names: NDArray[np.object_]
    vectors: Floats
    categories: Ints
    prices: Floats
    size_system: Ints
    weekly: Floats
    brand_styles: Ints


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is drawn at random for each product."""

    brands: Ints
    categories: Ints
    styles: Floats
    women: NDArray[np.bool_]
    men: NDArray[np.bool_]
    sustainability: Floats
    prices: Floats
    seasons: NDArray[np.bool_]
    released: NDArray[np.datetime64]
    appeal: Floats


def make_catalogue(
    rng: np.random.Generator, *, products: int, weeks: int, end: datetime
) -> Catalogue:
    """A catalogue of `products` products for a history of `weeks` weeks before `end` (UTC)."""
    stop = np.datetime64(end.replace(tzinfo=None), "us")
    brand_styles = rng.permutation(np.arange(BRAND_COUNT) % STYLE_COUNT)
    drawn = _draw(rng, products, brand_styles, stop, weeks)
    size_system = _size_systems(drawn)
    ids = np.array([f"SEL-{number:05d}" for number in range(1, products + 1)], dtype=object)
    names, descriptions = _texts(rng, drawn)
    return Catalogue(
        products=_product_table(rng, drawn, ids, names, descriptions, size_system),
        inventory=_inventory_table(rng, drawn, ids, size_system, stop),
        ids=ids,
        names=names,
        vectors=item_vectors(
            styles=drawn.styles,
            categories=drawn.categories,
            brands=drawn.brands,
            women=drawn.women,
            men=drawn.men,
            sustainability=drawn.sustainability,
            prices=drawn.prices,
            appeal=drawn.appeal,
        ),
        categories=drawn.categories,
        prices=drawn.prices,
        size_system=size_system,
        weekly=_weekly_appeal(rng, drawn, weeks, stop),
        brand_styles=brand_styles,
    )


def _draw(
    rng: np.random.Generator, count: int, brand_styles: Ints, stop: np.datetime64, weeks: int
) -> _Drawn:
    brand_shares = 1.0 / np.arange(3, BRAND_COUNT + 3)
    brands = rng.choice(BRAND_COUNT, count, p=brand_shares / brand_shares.sum())
    shares = np.array([category.share for category in CATEGORIES])
    categories = rng.choice(CATEGORY_COUNT, count, p=shares / shares.sum())
    main = np.where(
        rng.random(count) < 0.75, brand_styles[brands], rng.integers(STYLE_COUNT, size=count)
    )
    styles = 0.8 * np.eye(STYLE_COUNT)[main] + 0.2 * rng.dirichlet(np.full(STYLE_COUNT, 0.5), count)
    wearers = np.array([rng.choice(list(CATEGORIES[category].worn_by)) for category in categories])
    tier = rng.normal(0.0, 0.22, BRAND_COUNT)[brands]
    base = np.array([CATEGORIES[category].price for category in categories])
    prices = np.round(base * np.exp(tier + rng.normal(0.0, 0.2, count))) - 0.05
    rating = rng.uniform(2.0, 4.6, BRAND_COUNT)[brands] + rng.normal(0.0, 0.35, count)
    seasons = np.zeros((count, len(SEASONS)), dtype=bool)
    for row, category in enumerate(categories):
        seasons[row, list(CATEGORIES[category].seasons)] = True
    age = np.where(
        rng.random(count) < 0.15,
        rng.uniform(1, weeks * 7, count),
        rng.uniform(weeks * 7, 900, count),
    )
    return _Drawn(
        brands=brands,
        categories=categories,
        styles=styles.astype(np.float32),
        women=wearers == "w",
        men=wearers == "m",
        sustainability=np.round(np.clip(rating, 0.5, 5.0), 1).astype(np.float32),
        prices=np.maximum(prices, 9.95).astype(np.float32),
        seasons=seasons,
        released=stop - (age * 86_400).astype("timedelta64[s]"),
        appeal=rng.normal(0.0, 0.55, count).astype(np.float32),
    )


def _size_systems(drawn: _Drawn) -> Ints:
    by_sizing = {
        "letters": (_LETTERS, _LETTERS),
        "numbers": (_WOMEN, _MEN),
        "shoes": (_WOMEN_SHOES, _MEN_SHOES),
        "one": (_ONE, _ONE),
    }
    pairs = np.array([by_sizing[CATEGORIES[category].sizing] for category in drawn.categories])
    return np.where(drawn.men, pairs[:, 1], pairs[:, 0])


def _weekly_appeal(
    rng: np.random.Generator, drawn: _Drawn, weeks: int, stop: np.datetime64
) -> Floats:
    """Season, trend (an AR(1) walk) and novelty of each item in each week, (weeks, n)."""
    starts = stop - np.arange(weeks, 0, -1) * np.timedelta64(7, "D")
    day = (starts - starts.astype("datetime64[Y]")).astype("timedelta64[D]").astype(int)
    near = np.cos((day[:, None] - _SEASON_CENTRES[None, :]) * 2 * np.pi / 365.25)
    season = np.where(drawn.seasons[None], near[:, None, :], -9.0).max(axis=2)
    season[:, drawn.seasons.all(axis=1)] = 0.3
    trend = np.zeros((weeks, len(drawn.brands)))
    for week in range(1, weeks):
        trend[week] = 0.85 * trend[week - 1] + rng.normal(0.0, 0.22, len(drawn.brands))
    age_weeks = (starts[:, None] - drawn.released[None, :]) / np.timedelta64(7, "D")
    novelty = 0.8 * np.exp(-np.maximum(age_weeks, 0.0) / 4.0)
    appeal = np.where(age_weeks < 0, -np.inf, 0.6 * season + trend + novelty)
    return appeal.astype(np.float32)


def _texts(rng: np.random.Generator, drawn: _Drawn) -> tuple[NDArray[np.object_], list[str]]:
    names, descriptions = [], []
    for category, style in zip(drawn.categories, drawn.styles.argmax(axis=1), strict=True):
        material, proof = _MATERIALS[rng.integers(len(_MATERIALS))]
        colour = _COLOURS[rng.integers(len(_COLOURS))]
        nouns = CATEGORIES[category].nouns
        noun = nouns[rng.integers(len(nouns))]
        names.append(f"{material.split()[-1].capitalize()} {noun} in {colour}")
        descriptions.append(
            f"{noun.capitalize()} in {colour}, of {material} ({proof}): {_SUITABLE[STYLES[style]]}. "
            f"{STYLES[style].capitalize()} style. Repairs are free for two years."
        )
    return np.array(names, dtype=object), descriptions


def _product_table(
    rng: np.random.Generator,
    drawn: _Drawn,
    ids: NDArray[np.object_],
    names: NDArray[np.object_],
    descriptions: list[str],
    size_system: Ints,
) -> pa.Table:
    cost = np.round(drawn.prices * rng.uniform(0.34, 0.56, len(ids)), 2)
    released = pa.array(drawn.released.astype("datetime64[us]"), pa.timestamp("us", tz="UTC"))
    tags = ["|".join(np.array(SEASONS)[row]) for row in drawn.seasons]
    return pa.table(
        {
            "sku": pa.array(ids, pa.string()),
            "title": pa.array(names, pa.string()),
            "brand": pa.array([_BRAND_NAMES[brand] for brand in drawn.brands]),
            "category": pa.array([CATEGORIES[category].name for category in drawn.categories]),
            "eco_score": pa.array(drawn.sustainability.astype(float).round(1)),
            "price_eur": pa.array(drawn.prices.astype(float).round(2)),
            "cost_eur": pa.array(cost.astype(float).round(2)),
            "sizes": pa.array(["|".join(SIZE_LABELS[system]) for system in size_system]),
            "seasons": pa.array(tags),
            "description": pa.array(descriptions),
            "released": released,
        }
    )


def _inventory_table(
    rng: np.random.Generator,
    drawn: _Drawn,
    ids: NDArray[np.object_],
    size_system: Ints,
    stop: np.datetime64,
) -> pa.Table:
    """Stock by size at the end of the history; some sizes and a few whole products are sold out."""
    lengths = np.array([len(SIZE_LABELS[system]) for system in size_system])
    rows = int(lengths.sum())
    quantity = rng.poisson(np.repeat(14 * np.exp(-0.4 * drawn.appeal), lengths))
    sold_out = np.repeat(rng.random(len(ids)) < 0.03, lengths) | (rng.random(rows) < 0.09)
    labels = [label for system in size_system for label in SIZE_LABELS[system]]
    return pa.table(
        {
            "sku": pa.array(np.repeat(ids, lengths), pa.string()),
            "size": pa.array(labels),
            "on_hand": pa.array(np.where(sold_out, 0, quantity), pa.int32()),
            "counted": pa.array(np.full(rows, stop), pa.timestamp("us", tz="UTC")),
        }
    )
