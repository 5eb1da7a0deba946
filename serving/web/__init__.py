"""Pages of the API: its reference and the lineage of every column, drawn without a request to anywhere else."""

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from serving.problems import KINDS, NOT_FOUND, Problem

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {
    "docs.html": "text/html; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "element.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "lineage.html": "text/html; charset=utf-8",
    "lineage.css": "text/css; charset=utf-8",
    "lineage.js": "text/javascript; charset=utf-8",
}
# Nothing from elsewhere, no inline code, no framing: a key typed into the page cannot leave it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _file(name: str) -> Response:
    return Response(_content(name), headers=_HEADERS, media_type=_MEDIA_TYPES[name])


@router.get("/")
async def root() -> Response:
    """Lead a browser to the reference."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def reference() -> Response:
    """The reference page."""
    return _file("docs.html")


@router.get("/docs/{name}")
async def reference_file(name: str) -> Response:
    """A file of the reference page."""
    if name not in _MEDIA_TYPES:
        raise Problem(NOT_FOUND)
    return _file(name)


@router.get("/lineage")
async def lineage() -> Response:
    """The page that draws the lineage of every column."""
    return _file("lineage.html")


@router.get("/problems/{slug}")
async def problem_kind(slug: str) -> dict[str, str | int]:
    """What a problem document's `type` refers to."""
    kind = KINDS.get(slug)
    if kind is None:
        raise Problem(NOT_FOUND, "There is no problem of this name.")
    return {"type": kind.type, "title": kind.title, "status": kind.status, "advice": kind.advice}
