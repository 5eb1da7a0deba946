"""Whether the process runs, and whether it can answer."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, Literal, cast

import psycopg
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError

from privacy.database import Role, role_url
from serving.deps import ResourcesDep
from serving.problems import NOT_READY, Problem, problem_responses
from serving.resources import Resources

__all__ = ["router"]

router = APIRouter(prefix="/health", tags=["operations"])
TIMEOUT_SECONDS = 2.0
Check = Literal["ok", "unreachable", "missing", "unreadable"]


class Live(BaseModel):
    """The process runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "live"}]})

    status: Literal["live"] = "live"


class LiveModel(BaseModel):
    """The model that answers."""

    version: Annotated[str, Field(description="Version of the model that this worker answers with")]
    published: Annotated[datetime, Field(description="When it went live")]


class Ready(BaseModel):
    """Everything that an answer needs is there."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "checks": {"redis": "ok", "postgres": "ok", "model": "ok"},
                    "model": {
                        "version": "20261123T230000Z",
                        "published": "2026-11-23T23:00:00Z",
                    },
                }
            ]
        }
    )

    status: Literal["ready"] = "ready"
    checks: Annotated[
        dict[str, Check], Field(description="Each part: ok, unreachable, missing or unreadable")
    ]
    model: LiveModel


@router.get("/live", summary="Is the process alive?")
async def get_live() -> Live:
    """Answers as long as the process does; asks nothing of other servers."""
    return Live()


@router.get("/ready", summary="Can it answer?", responses=problem_responses(NOT_READY))
async def get_ready(resources: ResourcesDep) -> Ready:
    """Checks Redis, Postgres and the live model; 503 with the same checks while one of them is missing."""
    checks, ranker = await _checks(resources), resources.live_ranker.current
    if ranker is None or any(state != "ok" for state in checks.values()):
        raise Problem(NOT_READY, _advice(checks), headers={"Retry-After": "5"}, checks=checks)
    return Ready(checks=checks, model=LiveModel(version=ranker.version, published=ranker.published))


async def _checks(resources: Resources) -> dict[str, Check]:
    redis, postgres = await asyncio.gather(
        _answers(cast(Awaitable[bool], resources.redis.ping())), _answers(_select_one())
    )
    return {"redis": redis, "postgres": postgres, "model": resources.live_ranker.state}


async def _answers(question: Awaitable[Any]) -> Check:
    try:
        await asyncio.wait_for(question, TIMEOUT_SECONDS)
    except (RedisError, psycopg.Error, OSError):  # a TimeoutError is an OSError
        return "unreachable"
    return "ok"


async def _select_one() -> None:
    url = role_url(Role.SERVING, "postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select 1")


def _advice(checks: dict[str, Check]) -> str:
    parts = [
        f"{name} is {state}" for name, state in checks.items() if state != "ok" and name != "model"
    ]
    if checks["model"] == "missing":
        parts.append("no model is published: materialise the asset serving/ranker")
    if checks["model"] == "unreadable":
        parts.append(
            "the published model cannot be loaded: see this server's log, then publish another one"
        )
    return "; ".join(parts).capitalize() + "."
