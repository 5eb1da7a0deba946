"""Gauges of privacy requests, read from the table of requests when metrics are asked for."""

import psycopg

from privacy.database import Role, connect
from serving.logs import described, log

__all__ = ["rendered_requests"]

_UNDECIDED = ("received", "identity_check", "in_progress", "incomplete")
_QUERY = """
select status, count(*), extract(epoch from min(expected_completion_time) - now()) / 86400
from requests.privacy_requests where status = any(%s) group by status
"""


def rendered_requests() -> bytes:
    """Open requests by status, and the days left to the most urgent that the platform works on, in Prometheus's text format.

    Without such a request there is no line of days. Empty where Postgres does not answer: an alert asks for the absence.
    """
    try:
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(_QUERY, [list(_UNDECIDED)]).fetchall()
    except psycopg.OperationalError as error:
        log.error("privacy requests cannot be counted", **described(error))
        return b""
    counts = dict.fromkeys(_UNDECIDED, 0) | {status: count for status, count, _ in rows}
    lines = [
        "# HELP selvedge_privacy_requests Privacy requests that are not closed",
        "# TYPE selvedge_privacy_requests gauge",
        *(f'selvedge_privacy_requests{{status="{name}"}} {n}' for name, n in counts.items()),
    ]
    due = [days for status, _, days in rows if status != "identity_check"]
    if due:
        lines += [
            "# HELP selvedge_privacy_request_days_left Days to the time limit of the most urgent open privacy request",
            "# TYPE selvedge_privacy_request_days_left gauge",
            f"selvedge_privacy_request_days_left {float(min(due)):.4f}",
        ]
    return "\n".join([*lines, ""]).encode()
