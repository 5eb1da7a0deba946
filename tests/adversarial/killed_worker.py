"""Works on an erasure in a process of its own, which is killed right after the first step that it has not been killed at yet."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from privacy import certificates, request_steps, requests
from privacy.requests import RequestKind, RequestStatus

__all__ = ["ISSUED", "PRELOADED", "Step", "work"]

Step = tuple[str, str]
ISSUED: Step = ("certificate", "issue")
PRELOADED = ["privacy.requests", __name__]
_PATIENCE = 60.0


def work(pseudonym: str, survived: frozenset[Step], told: Connection) -> None:
    """Ask for the erasure, which is one request however often it is asked for, and work on it.

    Once the action of a step that is not in `survived` is done, and before the step is noted as done, its name is sent
    through `told` and the process killed.
    """
    run, issue = request_steps.run, certificates.issue

    def die(step: Step) -> None:
        if step not in survived:
            told.send(step)
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly_run(
        subjects: Sequence[request_steps.Subject],
        asset_key: str,
        step: str,
        action: Callable[[Sequence[str]], Mapping[str, int]],
        count: Callable[[Sequence[str]], Mapping[str, int]] | None = None,
    ) -> bool:
        def deadly(pseudonyms: Sequence[str]) -> Mapping[str, int]:
            affected = action(pseudonyms)
            die((asset_key, step))
            return affected

        return run(subjects, asset_key, step, deadly, count)

    def deadly_issue(*arguments: Any) -> None:
        issue(*arguments)
        die(ISSUED)

    request_steps.run = deadly_run
    certificates.issue = deadly_issue  # type: ignore[assignment]
    request, _ = requests.submit(RequestKind.ERASURE, pseudonym, "test")
    deadline = time.monotonic() + _PATIENCE
    while (left := requests.process(request.request_id)).is_open:
        # The lock of the worker before is held until Postgres notices its death.
        if left.status is RequestStatus.INCOMPLETE or time.monotonic() > deadline:
            raise RuntimeError(f"{left.status}: {left.unfinished}")
        time.sleep(0.05)
