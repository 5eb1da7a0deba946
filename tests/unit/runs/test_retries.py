"""A transient failure is tried again, a permanent one fails at once, and the last one says which it was."""

import dagster as dg
import httpx
import psycopg
import pytest
import redis.exceptions
import sqlalchemy.exc
from deltalake.exceptions import CommitFailedError
from psycopg import errors

from orchestration import retries
from orchestration.retries import FAILURE, is_transient, retrying
from tests.unit.runs.made import asset


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("no answer"),
        errors.AdminShutdown(),
        errors.CannotConnectNow(),
        errors.DeadlockDetected(),
        errors.SerializationFailure(),
        errors.TooManyConnections(),
        errors.LockNotAvailable(),
        sqlalchemy.exc.OperationalError("select", None, psycopg.OperationalError("no answer")),
        redis.exceptions.ConnectionError(),
        redis.exceptions.BusyLoadingError(),
        redis.exceptions.TimeoutError(),
        httpx.ConnectError("refused"),
        CommitFailedError("another writer"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_by_itself_is_transient(error: Exception) -> None:
    assert is_transient(error)
    wrapped = RuntimeError("the part that failed")
    wrapped.__cause__ = error
    assert is_transient(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        errors.UndefinedColumn(),
        errors.UniqueViolation(),
        errors.DiskFull(),
        errors.InvalidPassword(),
        errors.QueryCanceled(),
        redis.exceptions.AuthenticationError(),
        redis.exceptions.AuthorizationError(),
        redis.exceptions.ResponseError(),
        sqlalchemy.exc.ProgrammingError("select", None, errors.UndefinedTable()),
        OSError(28, "No space left on device"),
        KeyError("column"),
        dg.Failure("a rule is broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_stays_until_it_is_mended_is_permanent(error: Exception) -> None:
    assert not is_transient(error)


def test_what_was_handled_and_put_aside_does_not_count() -> None:
    said = ValueError("the file has no header")
    said.__context__ = ConnectionResetError()
    assert is_transient(said)
    said.__suppress_context__ = True
    assert not is_transient(said)


def _asset(failures: list[Exception]) -> tuple[dg.AssetsDefinition, list[str]]:
    tries: list[str] = []

    def fail(name: str) -> None:
        tries.append(name)
        if failures:
            raise failures.pop(0)

    return asset("tried", first=fail), tries


def test_an_asset_is_tried_again_until_what_it_needs_is_back() -> None:
    tried, tries = _asset([ConnectionResetError(), psycopg.OperationalError("no answer")])
    assert dg.materialize([tried]).success
    assert len(tries) == 3


def test_an_asset_that_a_rule_refuses_is_not_tried_again() -> None:
    tried, tries = _asset([ValueError("a price is negative")])
    result = dg.materialize([tried], raise_on_error=False)
    assert not result.success
    assert len(tries) == 1


def test_after_the_last_try_the_failure_says_that_it_is_transient() -> None:
    tried, tries = _asset([ConnectionResetError() for _ in range(10)])
    result = dg.materialize([tried], raise_on_error=False)
    assert len(tries) == len(retries.PAUSES) + 1
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.metadata[FAILURE].value == "transient"
    assert told.description.startswith("ConnectionResetError after 4 tries")


def test_a_body_that_yields_is_tried_again_from_its_beginning() -> None:
    failures: list[Exception] = [TimeoutError()]

    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    @retrying
    def both():  # type: ignore[no-untyped-def]
        if failures:
            raise failures.pop()
        yield dg.MaterializeResult("one")
        yield dg.MaterializeResult("two")

    result = dg.materialize([both])
    assert len(result.get_asset_materialization_events()) == 2
