"""The OpenAPI document: FastAPI's, completed with what holds for every route (keys, limits, problem documents)."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from serving.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemDocument,
    ProblemKind,
    document_problem,
)

__all__ = ["DESCRIPTION", "TAGS", "TITLE", "install_openapi", "operation_id"]

TITLE = "Selvedge API"
DESCRIPTION = """
Rankings, events and privacy requests of a sustainable-fashion shop.

A raw customer number appears in one request body only: `POST /v1/subjects/reference` turns it into a subject reference,
a short-lived encrypted token. Every other route takes the reference, so no address and no log ever holds an identifier.

Consent is asked at the moment of each request. Whoever has not agreed to personalisation, objected, was erased, or sends no
reference or an expired one gets the same answer as an anonymous visitor: status 200, `personalised` false, nothing kept.

Every error is a problem document (RFC 9457, `application/problem+json`). Its `type` leads to an explanation, its `instance`
stands in the server's log. Values that were sent are never repeated.
"""
TAGS: list[dict[str, Any]] = [
    {
        "name": "subjects",
        "description": "From the shop's customer number to a reference that is safe to pass around, and from there to a profile.",
    },
    {"name": "recommendations", "description": "Ranked items for a place in the shop."},
    {
        "name": "events",
        "description": "What visitors do, kept only for those who agreed that it may be.",
    },
    {
        "name": "consents",
        "description": "What a person agrees to and refuses, from the shop's forms or its consent manager.",
    },
    {
        "name": "assets",
        "description": "Every data asset: what it holds about people, leaving one out, erasing one from it.",
    },
    {
        "name": "privacy requests",
        "description": "The six rights of a person over all assets, from receipt to completion.",
    },
    {"name": "operations", "description": "Health and metrics, for those who run the platform."},
]
_GENERATED = ("HTTPValidationError", "ValidationError")


def operation_id(route: APIRoute) -> str:
    """The name of the route's function: stable, and readable in generated clients."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Replace `app.openapi` by one that documents the problem responses of every route."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _GENERATED:
        schemas.pop(name, None)
    schemas |= _problem_schemas()
    for schema in schemas.values():
        _add_example(schema, schemas)
    components["schemas"] = dict(sorted(schemas.items()))
    for item in document["paths"].values():
        for operation in item.values():
            _add_problems(operation)
    return document


def _problem_schemas() -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    nested = schema.pop("$defs", {})
    return {**nested, "Problem": schema}


def _add_example(schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give an object without an example one that is made of its parts' examples, where each part has one."""
    parts = {name: _example(part, schemas) for name, part in schema.get("properties", {}).items()}
    if "examples" not in schema and parts and None not in parts.values():
        schema["examples"] = [parts]


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "items" in schema and (item := _example(schema["items"], schemas)) is not None:
        return [item]
    return next(iter(schema.get("examples", [])), None)


def _applicable(operation: dict[str, Any]) -> list[ProblemKind]:
    kinds: list[ProblemKind] = []
    if operation.get("security"):
        kinds += [UNAUTHENTICATED, FORBIDDEN]
    if operation.get("parameters") or operation.get("requestBody"):
        kinds.append(INVALID_REQUEST)
    if operation.get("requestBody"):
        kinds += [BAD_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE]
    return [*kinds, INTERNAL_ERROR]


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    generated = responses.get("422", {}).get("content", {}).get("application/json", {})
    if str(generated.get("schema", {}).get("$ref", "")).endswith("HTTPValidationError"):
        del responses["422"]
    for kind in _applicable(operation):
        document_problem(responses.setdefault(str(kind.status), {}), kind)
    operation["responses"] = dict(sorted(responses.items()))
