"""What is known of a subject at the moment of a request: consent, profile and session, in one round trip to Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from redis.asyncio import Redis

from consent.masks import MASK_FIELDS, Mask, decode, mask_key
from privacy.contracts import Purpose
from recommenders.online_profile import OnlineProfile, decode_profile, queue_profile
from recommenders.profile import SubjectProfile
from serving.sessions import (
    NO_SESSION,
    Session,
    decode_session,
    products_by_kind,
    queue_session,
)

__all__ = [
    "INTERACTIONS_ASSETS",
    "PROFILE_ASSETS",
    "RANKER_ASSETS",
    "SESSION_ASSETS",
    "OnlineState",
    "OnlineSubject",
    "read_mask",
    "read_online",
    "read_subject",
    "serves_all",
]

# An objection to one of these assets takes its part out of the ranking; to the ranker's own, all of it.
RANKER_ASSETS = ("models/lightfm", "serving/ranker")
PROFILE_ASSETS = ("features/subject_profile", "lake/subject_profile", "platform/online_features")
SESSION_ASSETS = ("platform/session_items",)
INTERACTIONS_ASSETS = ("lake/interactions", "platform/event_stream", "platform/seen_events")


@dataclass(frozen=True, slots=True)
class OnlineSubject:
    """What a ranking may use of one subject, objections and missing consent already taken out.

    Attributes
    ----------
    pseudonym: None unless the subject agrees to personalisation now and does not object to the ranker.
    profile: None where there is none or it may not be used.
    """

    pseudonym: str | None = None
    profile: SubjectProfile | None = None
    session: Session = NO_SESSION


@dataclass(frozen=True, slots=True)
class OnlineState:
    """What the online stores hold of one subject for personalisation, objections and missing consent already taken out.

    Attributes
    ----------
    is_ranked_for: whether they agree to personalisation now and do not object to the ranker; all else is empty where not.
    mask: what they agree to.
    raw_session: the session as Redis holds it, newest first.
    """

    is_ranked_for: bool = False
    mask: Mask = field(default_factory=Mask)
    profile: OnlineProfile | None = None
    session: Session = NO_SESSION
    raw_session: Sequence[bytes] = ()

    @property
    def actions(self) -> Mapping[str, tuple[str, ...]]:
        """Type of event to the session's products, newest first."""
        return products_by_kind(self.raw_session)


ANONYMOUS = OnlineSubject()


def serves_all(mask: Mask, purpose: Purpose, asset_keys: tuple[str, ...]) -> bool:
    """Whether the subject's data in every one of these assets may serve `purpose` now."""
    return all(mask.serves(purpose, key) for key in asset_keys)


async def read_mask(redis: Redis, pseudonym: str) -> Mask:
    """What `pseudonym` agrees to now; raises redis.RedisError where Redis does not answer."""
    return decode(await cast(Any, redis.hmget(mask_key(pseudonym), list(MASK_FIELDS))))


async def read_online(redis: Redis, pseudonym: str) -> OnlineState:
    """Consent, profile and session of `pseudonym`; raises redis.RedisError where Redis does not answer."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
    queue_profile(cast(Any, pipeline), pseudonym)  # its protocol knows keys of bytes alone
    queue_session(pipeline, pseudonym)
    raw_mask, raw_profile, raw_session = await pipeline.execute()
    mask = decode(raw_mask)
    if not serves_all(mask, Purpose.PERSONALISATION, RANKER_ASSETS):
        return OnlineState()
    uses_session = serves_all(mask, Purpose.PERSONALISATION, SESSION_ASSETS)
    uses_profile = serves_all(mask, Purpose.PERSONALISATION, PROFILE_ASSETS)
    return OnlineState(
        is_ranked_for=True,
        mask=mask,
        profile=decode_profile(raw_profile) if uses_profile else None,
        session=decode_session(raw_session) if uses_session else NO_SESSION,
        raw_session=raw_session if uses_session else (),
    )


async def read_subject(redis: Redis, pseudonym: str) -> OnlineSubject:
    """What a ranking may use of `pseudonym`; raises redis.RedisError where Redis does not answer."""
    state = await read_online(redis, pseudonym)
    if not state.is_ranked_for:
        return ANONYMOUS
    profile = SubjectProfile.from_features(asdict(state.profile)) if state.profile else None
    return OnlineSubject(pseudonym, _with_session(profile, state.session), state.session)


def _with_session(profile: SubjectProfile | None, session: Session) -> SubjectProfile | None:
    """`profile` with the session's items before the older ones, so that the ranking follows what happens now."""
    if not session.recent:
        return profile
    known = profile or SubjectProfile()
    older = (item for item in known.recent_products if item not in session.recent)
    return replace(known, recent_products=(*session.recent, *older))
