"""The durable steps of privacy requests: what was done where, so that a crash resumes and nothing is done by halves.

A step is one operation on one asset for one request. It is `running` before its store is touched, `done` after, `failed` with
the reason where the store refused. Steps that are done are skipped; a step that was cut short is repeated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from privacy.database import Role, connect
from privacy.pseudonym_texts import without_pseudonyms

__all__ = [
    "Step",
    "Subject",
    "describe",
    "failed",
    "received",
    "restart",
    "run",
    "steps_of",
    "touched",
]

_LONGEST = 400

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Subject:
    """Whom one open request is about."""

    request_id: UUID
    pseudonym: str


@dataclass(frozen=True)
class Step:
    """One step as it stands; `affected` counts rows, keys or entries."""

    asset_key: str
    step: str
    status: str
    attempts: int
    affected: int
    error: str | None
    updated: datetime


def run(
    subjects: Sequence[Subject],
    asset_key: str,
    step: str,
    action: Callable[[Sequence[str]], Counts],
    count: Callable[[Sequence[str]], Counts] | None = None,
) -> bool:
    """Do `action` for the subjects whose step is not done yet; returns whether the step is now done for all.

    `action` takes pseudonyms and returns what it affected, by pseudonym. `count` says beforehand what will be affected and is
    kept before `action` runs, so that a repeat after a crash, which finds nothing any more, does not forget it.
    """
    pending = _begin(subjects, asset_key, step)
    if not pending:
        return True
    pseudonyms = [subject.pseudonym for subject in pending]
    try:
        if count is not None and (expected := count(pseudonyms)):
            _write(pending, asset_key, step, "running", expected)
        affected = action(pseudonyms)
    except Exception as error:  # whatever a store raises, the request must say so and go on
        _fail(pending, asset_key, step, describe(error))
        return False
    _write(pending, asset_key, step, "done", affected)
    return True


def describe(error: BaseException) -> str:
    """What went wrong, without what a server quotes of rows, and without pseudonyms."""
    if isinstance(error, psycopg.Error):
        text = error.diag.message_primary or "the server did not answer"
        text = f"{error.sqlstate}: {text}" if error.sqlstate else text
    else:
        text = " ".join(str(error).split())
    return without_pseudonyms(f"{type(error).__name__}: {text}")[:_LONGEST]


def steps_of(request_id: UUID) -> list[Step]:
    """The steps of one request, in the order in which they last changed."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select asset_key, step, status, attempts, affected, error, updated from requests.steps "
            "where request_id = %s order by updated, asset_key, step",
            [request_id],
        ).fetchall()
    return [Step(*row) for row in rows]


def failed(subjects: Iterable[Subject]) -> dict[UUID, list[str]]:
    """For each request the steps that failed or were cut short, as ``asset (step): reason``.

    One that stayed pending after a restart is of an asset that is no more.
    """
    wanted = [subject.request_id for subject in subjects]
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select request_id, asset_key, step, coalesce(error, 'cut short') from requests.steps "
            "where request_id = any(%s) and status in ('failed', 'running') order by asset_key, step",
            [wanted],
        ).fetchall()
    found: dict[UUID, list[str]] = {request_id: [] for request_id in wanted}
    for request_id, asset_key, step, reason in rows:
        found[request_id].append(f"{asset_key} ({step}): {reason}")
    return found


def touched(subjects: Iterable[Subject], step: str) -> set[str]:
    """Keys of the assets in which `step` affected something, or was begun more than once and may have."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select distinct asset_key from requests.steps where request_id = any(%s) and step = %s "
            "and (affected > 0 or attempts > 1)",
            [[subject.request_id for subject in subjects], step],
        ).fetchall()
    return {row[0] for row in rows}


def received(request_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When each request was made."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select request_id, created from requests.privacy_requests where request_id = any(%s)",
            [list(request_ids)],
        ).fetchall()
    return dict(rows)


def restart(request_id: UUID) -> None:
    """Make every step of a request pending again, for another attempt."""
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.steps set status = 'pending', error = null, updated = clock_timestamp() where request_id = %s",
            [request_id],
        )


def _begin(subjects: Sequence[Subject], asset_key: str, step: str) -> list[Subject]:
    """Begin the step for those whose it is not done yet; returns whose it is."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "insert into requests.steps as held (request_id, asset_key, step, status, attempts) "
            "select unnest(%s::uuid[]), %s, %s, 'running', 1 on conflict (request_id, asset_key, step) do update set "
            "status = 'running', attempts = held.attempts + 1, error = null, updated = clock_timestamp() "
            "where held.status <> 'done' returning request_id",
            [_ids(subjects), asset_key, step],
        ).fetchall()
    begun = {row[0] for row in rows}
    return [subject for subject in subjects if subject.request_id in begun]


def _write(
    subjects: Sequence[Subject], asset_key: str, step: str, status: str, affected: Counts
) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.steps as held set status = %s, affected = greatest(affected, counted), "
            "updated = clock_timestamp() from unnest(%s::uuid[], %s::bigint[]) as counts (request_id, counted) "
            "where held.request_id = counts.request_id and asset_key = %s and step = %s",
            [
                status,
                _ids(subjects),
                [affected.get(subject.pseudonym, 0) for subject in subjects],
                asset_key,
                step,
            ],
        )


def _fail(subjects: Sequence[Subject], asset_key: str, step: str, reason: str) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.steps set status = 'failed', error = %s, updated = clock_timestamp() "
            "where request_id = any(%s) and asset_key = %s and step = %s",
            [reason, _ids(subjects), asset_key, step],
        )


def _ids(subjects: Sequence[Subject]) -> list[UUID]:
    return [subject.request_id for subject in subjects]
