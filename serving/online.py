"""What is known of a subject at the moment of a request: consent, profile and session, in one round trip to Redis."""

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from redis.asyncio import Redis

from consent.masks import MASK_FIELDS, Mask, decode, mask_key
from privacy.contracts import Purpose
from recommenders.online_profile import decode_profile, queue_profile
from recommenders.profile import SubjectProfile
from serving.sessions import NO_SESSION, Session, decode_session, queue_session

__all__ = [
    "INTERACTIONS_ASSETS",
    "PROFILE_ASSETS",
    "RANKER_ASSETS",
    "SESSION_ASSETS",
    "OnlineSubject",
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


ANONYMOUS = OnlineSubject()


def serves_all(mask: Mask, purpose: Purpose, asset_keys: tuple[str, ...]) -> bool:
    """Whether the subject's data in every one of these assets may serve `purpose` now."""
    return all(mask.serves(purpose, key) for key in asset_keys)


async def read_subject(redis: Redis, pseudonym: str) -> OnlineSubject:
    """Consent, profile and session of `pseudonym`; raises redis.RedisError where Redis does not answer."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
    queue_profile(cast(Any, pipeline), pseudonym)  # its protocol knows keys of bytes alone
    queue_session(pipeline, pseudonym)
    raw_mask, raw_profile, raw_session = await pipeline.execute()
    mask = decode(raw_mask)
    if not serves_all(mask, Purpose.PERSONALISATION, RANKER_ASSETS):
        return ANONYMOUS
    uses_session = serves_all(mask, Purpose.PERSONALISATION, SESSION_ASSETS)
    session = decode_session(raw_session) if uses_session else NO_SESSION
    uses_profile = serves_all(mask, Purpose.PERSONALISATION, PROFILE_ASSETS)
    stored = decode_profile(raw_profile) if uses_profile else None
    profile = SubjectProfile.from_features(asdict(stored)) if stored else None
    return OnlineSubject(pseudonym, _with_session(profile, session), session)


def _with_session(profile: SubjectProfile | None, session: Session) -> SubjectProfile | None:
    """`profile` with the session's items before the older ones, so that the ranking follows what happens now."""
    if not session.recent:
        return profile
    known = profile or SubjectProfile()
    older = (item for item in known.recent_products if item not in session.recent)
    return replace(known, recent_products=(*session.recent, *older))
