"""What a consented subject did in the last half hour, to rank by: the Redis list `sv:session:{pseudonym}`, newest first.

Kept only for subjects who agreed to personalisation, and gone half an hour after their last event. Nothing is kept of
anonymous visitors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio.client import Pipeline

__all__ = [
    "NO_SESSION",
    "Session",
    "decode_session",
    "products_by_kind",
    "queue_items",
    "queue_session",
    "session_key",
]

# What brings an item into the session; what is only shown or searched says nothing of an item.
INTEREST = ("page_view", "click", "wishlist", "add_to_cart", "purchase", "remove_from_cart")
CART = ("add_to_cart", "purchase", "remove_from_cart")


@dataclass(frozen=True, slots=True)
class Session:
    """A subject's recent items.

    Attributes
    ----------
    recent: product ids of interest, newest first, without those whose newest event is a removal from the cart.
    held: product ids that lie in the cart or were just bought; not to be recommended now.
    """

    recent: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()


NO_SESSION = Session()


def session_key(pseudonym: str) -> str:
    """Redis key of a subject's session."""
    return f"sv:session:{{{pseudonym}}}"


def queue_session(pipeline: Pipeline, pseudonym: str) -> None:
    """Add the read of a session to `pipeline`; its answer is for `decode_session`."""
    pipeline.lrange(session_key(pseudonym), 0, -1)


def queue_items(
    pipeline: Pipeline,
    pseudonym: str,
    items: Iterable[tuple[str, str]],
    *,
    keep: int,
    ttl: timedelta,
) -> None:
    """Add to `pipeline` the storing of (event type, product id), oldest first; the newest `keep` stay for `ttl`."""
    entries = [f"{kind}\t{product_id}" for kind, product_id in items if kind in INTEREST]
    if not entries:
        return
    key = session_key(pseudonym)
    pipeline.lpush(key, *entries)
    pipeline.ltrim(key, 0, keep - 1)
    pipeline.expire(key, ttl)


def products_by_kind(raw: Sequence[bytes]) -> dict[str, tuple[str, ...]]:
    """Type of event to its different products, newest first, in an answer to `queue_session`."""
    found: dict[str, dict[str, None]] = {}
    for entry in raw:
        kind, _, product_id = entry.decode().partition("\t")
        found.setdefault(kind, {})[product_id] = None
    return {kind: tuple(products) for kind, products in found.items()}


def decode_session(raw: Sequence[bytes]) -> Session:
    """The session in an answer to `queue_session`; the newest event about an item decides."""
    newest: dict[str, str] = {}
    cart: dict[str, str] = {}
    for entry in raw:
        kind, _, product_id = entry.decode().partition("\t")
        newest.setdefault(product_id, kind)
        if kind in CART:
            cart.setdefault(product_id, kind)
    return Session(
        recent=tuple(item for item, kind in newest.items() if kind != "remove_from_cart"),
        held=frozenset(item for item, kind in cart.items() if kind != "remove_from_cart"),
    )
