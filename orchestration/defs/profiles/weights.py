"""How much each kind of event says about interest, and how fast that fades."""

from datetime import timedelta

__all__ = ["EVENT_WEIGHTS", "POPULARITY_HALF_LIFE", "PROFILE_HALF_LIFE"]

# Own choice, in the order of effort that each costs a visitor; what is not listed says nothing. A purchase outweighs all
# else of a visit, and taking a thing out of the cart takes half of putting it in back.
EVENT_WEIGHTS: dict[str, float] = {
    "page_view": 1.0,
    "click": 1.0,
    "wishlist": 3.0,
    "add_to_cart": 4.0,
    "remove_from_cart": -2.0,
    "purchase": 8.0,
    "search": 0.0,
    "impression": 0.0,
}

# A subject's taste changes over a season, a product's popularity over weeks.
PROFILE_HALF_LIFE = timedelta(days=30)
POPULARITY_HALF_LIFE = timedelta(days=14)
