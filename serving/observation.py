"""What surrounds every request: a limit on its body, its metrics, its log line, and an answer when it fails."""

import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.logs import described, log
from serving.metrics import REQUEST_SECONDS, REQUESTS
from serving.problems import INTERNAL_ERROR, TOO_LARGE, Problem, new_instance, problem_response

__all__ = ["BodyLimit", "ObservedRequests"]

UNMATCHED = "(unmatched)"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class _Answer:
    """The send channel of one request; keeps the status and completes the headers."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
        await self._send(message)


class ObservedRequests:
    """Counts, times and logs each request, and turns an unexpected exception into a problem document.

    The log names the route's template, never the path: a path may hold a subject reference.
    """

    def __init__(self, app: ASGIApp, *, access_log: bool) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answer = time.perf_counter(), _Answer(send)
        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            await _answer_failure(error, scope, receive, answer)
        self._observe(scope, answer.status, time.perf_counter() - started)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        template, method = _template(scope), _method(scope)
        REQUESTS.labels(method, template, status).inc()
        REQUEST_SECONDS.labels(template).observe(seconds)
        if self._access_log or status >= 500:
            milliseconds = round(seconds * 1000, 3)
            log.info("request", method=method, route=template, status=status, ms=milliseconds)


def _template(scope: Scope) -> str:
    return getattr(scope.get("route"), "path_format", UNMATCHED)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


async def _answer_failure(
    error: Exception, scope: Scope, receive: Receive, answer: _Answer
) -> None:
    instance = new_instance()
    log.error("request failed", instance=instance, route=_template(scope), **described(error))
    if answer.status:  # half an answer is out; the connection must break, without the message
        raise RuntimeError("The answer was interrupted; see the log line before.") from None
    await problem_response(Problem(INTERNAL_ERROR), instance)(scope, receive, answer)


class BodyLimit:
    """Refuses bodies larger than `limit` bytes, whether announced or streamed."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._announced(scope) > self._limit:
            await problem_response(self._problem())(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    @staticmethod
    def _announced(scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value[:18])
        return 0

    def _problem(self) -> Problem:
        return Problem(
            TOO_LARGE, f"A request may hold {self._limit} bytes; split it into smaller ones."
        )

    def _counted(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(TOO_LARGE.status)
            return message

        return counted
