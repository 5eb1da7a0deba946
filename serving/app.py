"""The application: its routes, what surrounds them, and what they share while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from serving import web
from serving.api import (
    assets,
    consents,
    events,
    health,
    lineage,
    metrics,
    privacy_requests,
    profiles,
    recommendations,
    subjects,
)
from serving.auth import api_keys
from serving.logs import configure_logs
from serving.observation import BodyLimit, ObservedRequests
from serving.openapi import DESCRIPTION, TAGS, TITLE, install_openapi, operation_id
from serving.problems import add_problem_handlers
from serving.resources import open_resources
from serving.settings import serving_settings

__all__ = ["create_app"]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with open_resources() as resources:
        app.state.resources = resources
        yield


def create_app() -> FastAPI:
    """The API. Raises ApiKeyError where production lacks a key.

    Servers are connected to when the application starts (its lifespan), not here.
    """
    settings = serving_settings()
    api_keys()
    configure_logs()
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=version("selvedge"),
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
    )
    add_problem_handlers(app)
    for module in (
        subjects,
        profiles,
        recommendations,
        events,
        consents,
        assets,
        lineage,
        privacy_requests,
        health,
        metrics,
        web,
    ):
        app.include_router(module.router)
    app.add_middleware(BodyLimit, limit=settings.serving_body_limit_bytes)
    app.add_middleware(ObservedRequests, access_log=settings.serving_access_log)  # outermost
    install_openapi(app)
    return app
