"""A subject's profile: what the platform knows of them for personalisation, put together from where it lies.

Redis: the mask, the features and the session, in one round trip. Postgres: customers, quiz, orders and returns, through
`consent.shop_profile`. Lake: events. What is stated comes before what is concluded, and what happens now before what was ingested.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from redis.asyncio import Redis
from starlette.concurrency import run_in_threadpool

from recommenders.interaction_history import LATEST, Done
from serving.online import OnlineState, read_mask, read_online
from serving.profile_document import (
    Demographics,
    InteractionHistory,
    Interactions,
    Origin,
    Provenance,
    SizesOfCategory,
    SubjectProfileDocument,
)
from serving.shop_profile import INTERACTIONS, Lake, ShopProfile, read_lake, read_shop

__all__ = ["profile_of"]

PROFILE, SESSION = "features/subject_profile", "platform/session_items"
CUSTOMERS, QUIZ, LINES, RETURNS = "shop/customers", "shop/quiz_answers", "shop/order_lines", "shop/returns"  # fmt: skip
_WISHES, _SIZES = 50, 4
_FROM_LAKE = {"viewed": "page_view", "clicked": "click", "added_to_cart": "add_to_cart"}
_READINGS = 2


async def profile_of(
    redis: Redis, pseudonym: str, user_id: str, style_questions: tuple[str, ...]
) -> SubjectProfileDocument:
    """What may be told of `pseudonym` now: nothing, unless they agree to personalisation and do not object to the ranker.

    The mask is asked before anything is read and once more after it. Where it changed meanwhile everything is read anew, and where
    it changed again nothing is told.

    Raises redis.RedisError, psycopg.OperationalError or HistoryUnreadableError where a store does not answer.
    """
    for _ in range(_READINGS):
        online = await read_online(redis, pseudonym)
        if not online.is_ranked_for:
            break
        shop, lake = await asyncio.gather(
            run_in_threadpool(read_shop, pseudonym, style_questions),
            run_in_threadpool(read_lake, pseudonym),
        )
        if await read_mask(redis, pseudonym) == online.mask:
            return _document(user_id, online, shop, lake)
    return SubjectProfileDocument(user_id=user_id)


def _document(
    user_id: str, online: OnlineState, shop: ShopProfile, lake: Lake
) -> SubjectProfileDocument:
    parts = (_demographics(shop), _tags(online, shop), _sizes(online, shop), _wishes(online, lake), _history(online, shop, lake))  # fmt: skip
    values, origins = zip(*parts, strict=True)
    names = list(Provenance.model_fields)
    return SubjectProfileDocument(
        user_id=user_id,
        **dict(zip(names, values, strict=True)),
        provenance=Provenance(**dict(zip(names, origins, strict=True))),
    )


def _origins(*told: tuple[str, datetime | None, bool]) -> list[Origin]:
    """The origins of what says something: asset, time, whether it does."""
    return [Origin(asset=asset, as_of=as_of) for asset, as_of, says in told if says]


def _demographics(shop: ShopProfile) -> tuple[Demographics, list[Origin]]:
    row = shop.customer
    if row is None:
        return Demographics(), []
    known = Demographics(
        age_band=row.age_band,
        country=row.country,
        height_band=row.height_band,
        body_shape=row.body_shape,
    )
    says = any(value is not None for value in known.model_dump().values())
    return known, _origins((CUSTOMERS, row.updated_at, says))


def _tags(online: OnlineState, shop: ShopProfile) -> tuple[list[str], list[Origin]]:
    answers = [answer for answer in shop.answers if answer.is_tag]
    liked = online.profile.top_categories if online.profile else ()
    newest = max((answer.answered_at for answer in answers), default=None)
    tags = _distinct([answer.answer for answer in answers], liked)
    return tags, _origins((QUIZ, newest, bool(answers)), _of_features(online, bool(liked)))


def _of_features(online: OnlineState, says: bool) -> tuple[str, datetime | None, bool]:
    return PROFILE, online.profile.event_timestamp if online.profile else None, says


def _sizes(online: OnlineState, shop: ShopProfile) -> tuple[list[SizesOfCategory], list[Origin]]:
    stated = (shop.customer.preferred_sizes if shop.customer else None) or []
    worn = online.profile.top_sizes if online.profile else ()
    kept: dict[str, list[str]] = {}
    for size in shop.kept_sizes:
        kept.setdefault(size.category, []).append(size.size)
    whatever = _distinct(stated, worn)
    sizes = [SizesOfCategory(category=None, sizes=whatever)] if whatever else []
    sizes += [SizesOfCategory(category=name, sizes=best[:_SIZES]) for name, best in kept.items()]
    return sizes, _origins(
        (CUSTOMERS, shop.customer.updated_at if shop.customer else None, bool(stated)),
        _of_features(online, bool(worn)),
        (LINES, shop.purchased.as_of, bool(kept)),
    )


def _wishes(online: OnlineState, lake: Lake) -> tuple[list[str], list[Origin]]:
    now, before = online.actions.get("wishlist", ()), lake.get("wishlist", Done())
    return _distinct(now, before.products)[:_WISHES], _origins(
        (SESSION, datetime.now(UTC), bool(now)),
        (INTERACTIONS, before.as_of, bool(before.count)),
    )


def _history(
    online: OnlineState, shop: ShopProfile, lake: Lake
) -> tuple[InteractionHistory, list[Origin]]:
    actions = online.actions
    done = {name: lake.get(kind, Done()) for name, kind in _FROM_LAKE.items()}
    now = {name: actions.get(kind, ()) for name, kind in _FROM_LAKE.items()}
    bought = _distinct(actions.get("purchase", ()), shop.purchased.latest)
    history = InteractionHistory(
        **{
            name: Interactions(
                count=told.count, latest_products=_distinct(now[name], told.products)[:LATEST]
            )
            for name, told in done.items()
        },
        purchased=Interactions(count=shop.purchased.count, latest_products=bought[:LATEST]),
        returned=Interactions(count=shop.returned.count, latest_products=shop.returned.latest),
    )
    newest = max((told.as_of for told in done.values() if told.as_of), default=None)
    return history, _origins(
        (SESSION, datetime.now(UTC), any(now.values()) or "purchase" in actions),
        (INTERACTIONS, newest, newest is not None),
        (LINES, shop.purchased.as_of, shop.purchased.count > 0),
        (RETURNS, shop.returned.as_of, shop.returned.count > 0),
    )


def _distinct(*values: Iterable[str]) -> list[str]:
    """The different values, each where it comes first."""
    return list(dict.fromkeys(value for some in values for value in some))
