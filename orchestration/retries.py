"""Which failures are worth another try, and the tries: an asset or op is repeated after a transient failure, and fails at once after any other.

Transient is what passes by itself: a server that restarts, a broken connection, a lock, a commit that another writer was faster with. All
else (a missing column, a full disk, a broken rule) stays as it is until somebody changes something, and a repetition only hides it. What
is repeated must be idempotent, as every writer of this platform is.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import dagster as dg
import httpx
import psycopg
import redis.exceptions
import sqlalchemy.exc
from deltalake.exceptions import CommitFailedError

__all__ = ["FAILURE", "PAUSES", "is_transient", "retrying"]

FAILURE = "selvedge/failure"
"""Key in a failure's metadata: `transient` where all tries failed alike."""
PAUSES = (5.0, 30.0, 120.0)
"""Seconds before each repetition: together longer than a restart of Postgres or Redis takes."""

# Classes of SQLSTATE (appendix A of PostgreSQL's manual): connection, rollback of a transaction, resources.
_PASSING = ("08", "40", "53")
# Too little disk (53100) stays; shut down, crashed, starting up (57P..) and a lock that is taken (55P03) pass.
_STAYING, _ALSO_PASSING = ("53100",), ("57P01", "57P02", "57P03", "55P03")
_REFUSED = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)
_BROKEN = (
    ConnectionError,
    TimeoutError,
    asyncio.IncompleteReadError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    httpx.TransportError,
    CommitFailedError,
)


def is_transient(error: BaseException) -> bool:
    """Whether `error`, or what caused it, passes by itself."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if _passes(cause):
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False


def _passes(error: BaseException) -> bool:
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return _passes(error.orig)
    if isinstance(error, psycopg.Error):
        return _passes_in_postgres(error)
    return isinstance(error, _BROKEN) and not isinstance(error, _REFUSED)


def _passes_in_postgres(error: psycopg.Error) -> bool:
    state = error.sqlstate
    if state is None:
        # No answer from the server: the connection could not be made, or broke.
        return isinstance(error, psycopg.OperationalError)
    return state not in _STAYING and (state[:2] in _PASSING or state in _ALSO_PASSING)


def retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, the body of an asset or op, repeated after a transient failure.

    Raises dagster.RetryRequested after a transient failure, and after the last of `PAUSES` dagster.Failure, which says so; any other
    error goes through unchanged. A body that yields is repeated from its beginning.
    """
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def yielding(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from function(*args, **kwargs)
            except Exception as error:
                _again(error)
                raise

        return yielding

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _again(error)
            raise

    return called


def _again(error: Exception) -> None:
    """Ask Dagster for another try of the running step; returns where there is none to ask for."""
    if not is_transient(error):
        return
    context = dg.OpExecutionContext.get()
    tried = context.retry_number
    if tried >= len(PAUSES):
        raise dg.Failure(
            description=f"{type(error).__name__} after {tried + 1} tries: what it needs did not come back. "
            "See that the servers answer (`./selvedge status`), then materialise again.",
            metadata={FAILURE: "transient", "tries": tried + 1},
            allow_retries=False,
        ) from error
    told = "%s: try %d of %d in %g s"
    context.log.warning(told, type(error).__name__, tried + 2, len(PAUSES) + 1, PAUSES[tried])
    raise dg.RetryRequested(max_retries=len(PAUSES), seconds_to_wait=PAUSES[tried]) from error
