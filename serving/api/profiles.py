"""Profiles: what the platform knows of a subject for personalisation."""

from typing import Annotated

import psycopg
from fastapi import APIRouter, Path
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from recommenders.interaction_history import HistoryUnreadableError
from serving.auth import RequireStorefront
from serving.deps import GpcDep, ResourcesDep
from serving.gpc import record_objection
from serving.logs import described, log
from serving.problems import UNAVAILABLE, Problem, problem_responses
from serving.profile_document import SubjectProfileDocument
from serving.rate_limits import TOO_MANY_REQUESTS, count_profile
from serving.subject_path import INVALID_REFERENCE, opened
from serving.subject_profile import profile_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/subjects", tags=["subjects"], dependencies=[RequireStorefront])


@router.get(
    "/{subject_ref}/profile",
    summary="Get a subject's profile",
    response_description="The profile; its parts are empty where nothing is known or nothing may be told",
    responses=problem_responses(INVALID_REFERENCE, TOO_MANY_REQUESTS, UNAVAILABLE),
)
async def read_subject_profile(
    subject_ref: Annotated[
        str,
        Path(
            max_length=1024,
            description="Subject reference from `POST /v1/subjects/reference`",
            examples=["AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl"],
        ),
    ],
    resources: ResourcesDep,
    gpc: GpcDep,
) -> SubjectProfileDocument:
    """What the platform knows of a subject for personalisation, and for each part where it came from and as of when.

    Consent is asked at this very moment. Whoever refuses personalisation, objects to it, restricted the use of their data, was erased
    or is not known gets the answer of an anonymous visitor: the same shape, every part empty. Who objects to one asset gets the
    profile without what comes from it. Keep it no longer than a page view: it changes with each event and each decision.
    """
    pseudonym = opened(subject_ref)
    try:
        await run_in_threadpool(count_profile, pseudonym)
        if gpc:
            await record_objection(resources, pseudonym)
            return SubjectProfileDocument(user_id=subject_ref)
        questions = resources.settings.serving_style_questions
        async with resources.profiles:
            return await profile_of(resources.redis, pseudonym, subject_ref, questions)
    except (RedisError, psycopg.OperationalError, HistoryUnreadableError) as error:
        log.error("profile cannot be read", **described(error))
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None
