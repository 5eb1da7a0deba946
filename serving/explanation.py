"""Why items are recommended to one person, for their access export: what the ranking knows of them now, and what it would show."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from privacy.database import redis_url
from recommenders.artifacts import ArtifactError
from recommenders.profile import SubjectProfile
from recommenders.ranking import Ranker, RankingRequest, Touchpoint
from recommenders.reasons import Reason
from serving.online import OnlineSubject, read_subject

__all__ = ["MEANINGS", "explain"]

_SHOWN = 10
_NOT_PERSONALISED = (
    "Nothing about you shapes what you see: you have not agreed to personalisation, you objected to it, or its use is restricted. "
    "You see what is popular in the shop."
)
_NO_MODEL = "No recommendations are made at this moment: no model is in use."
_PERSONALISED = (
    "What you looked at, put into the cart and bought here is summed up in a profile, in which older events count less. Items near to "
    "your profile come first; what you bought or hold in the cart is left out. No person decides about it, and nothing but the order "
    "of items follows from it."
)
MEANINGS: dict[Reason, str] = {
    Reason.SIMILAR_TO_CONTEXT: "It is often looked at or bought by those who do the same with the item on this page.",
    Reason.VIEWED: "It is among the items that you looked at last.",
    Reason.SIMILAR_TO_PURCHASES: "It resembles an item that you bought.",
    Reason.SIMILAR_TO_RECENT: "It resembles an item that you looked at lately.",
    Reason.LIKED_CATEGORY: "At least a fifth of your interest lies in its category.",
    Reason.LIKED_BRAND: "At least a fifth of your interest lies in its brand.",
    Reason.FOR_YOU: "It lies near to your profile as a whole.",
    Reason.TRENDING: "More people than usual look at it this week; nothing about you is used.",
    Reason.POPULAR: "Many people buy it; nothing about you is used.",
    Reason.IN_RANGE: "It is in the range; nothing about you is used.",
}
_SHARES = {"category": "Categories you like", "brand": "Brands you like", "size": "Your sizes"}


def explain(pseudonym: str) -> dict[str, Any]:
    """The part `recommendations` of an access export; reads the online store as a ranking does."""
    subject = asyncio.run(_read(pseudonym))
    reasons = [{"reason": reason.value, "meaning": MEANINGS[reason]} for reason in Reason]
    try:
        ranker = Ranker.load()
    except ArtifactError:
        return _answer(_NO_MODEL, personalised=False, uses=_uses(subject, []), reasons=reasons)
    ranking = ranker.recommend(
        RankingRequest(
            Touchpoint.HOMEPAGE,
            pseudonym=subject.pseudonym,
            profile=subject.profile,
            limit=_SHOWN,
            exclude=subject.session.held,
        )
    )
    bought = [] if subject.pseudonym is None else ranker.model.purchased(subject.pseudonym)
    now = [
        {"position": place, "product_id": item.product_id, "reason": item.reason.value}
        for place, item in enumerate(ranking.items, start=1)
    ]
    text = _PERSONALISED if ranking.personalised else _NOT_PERSONALISED
    uses = _uses(subject, list(bought)) if ranking.personalised else []
    return _answer(text, personalised=ranking.personalised, uses=uses, reasons=reasons, now=now)


def _answer(
    explanation: str,
    *,
    personalised: bool,
    uses: list[dict[str, Any]],
    reasons: list[dict[str, str]],
    now: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "personalised": personalised,
        "explanation": explanation,
        "uses": uses,
        "reasons": reasons,
        "now": now or [],
    }


async def _read(pseudonym: str) -> OnlineSubject:
    client: Redis = Redis.from_url(redis_url())
    try:
        return await read_subject(client, pseudonym)
    finally:
        await client.aclose()


def _uses(subject: OnlineSubject, bought: list[str]) -> list[dict[str, Any]]:
    """What the ranking takes into account, in words and values; what is empty is left out."""
    profile = subject.profile or SubjectProfile()
    found = [
        {"what": heading, "values": [f"{name} ({share:.0%})" for name, share in shares.items()]}
        for group, heading in _SHARES.items()
        if (shares := profile.shares.get(group))
    ]
    lists = {
        "Items you looked at last": list(profile.recent_products),
        "Items you bought": bought,
        "Items in your cart now": sorted(subject.session.held),
    }
    found += [{"what": heading, "values": values} for heading, values in lists.items() if values]
    return found
