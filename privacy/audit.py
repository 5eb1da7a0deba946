"""The audit log of what was done with people's data: who did what and when, never about whom."""

import json
import re
from collections.abc import Mapping
from typing import Any

import psycopg

from privacy.database import Role, connect

__all__ = ["AuditError", "record"]

# A pseudonym is 32 hexadecimal digits on their own; a UUID, written with hyphens, is not one.
_PSEUDONYM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


class AuditError(ValueError):
    """An entry would have named a person; says which action."""


def record(
    actor: str,
    action: str,
    detail: Mapping[str, Any],
    connection: psycopg.Connection[Any] | None = None,
) -> None:
    """Append one entry, in the transaction of `connection` where one is given.

    `detail` holds request ids, asset keys and counts. Raises AuditError where it holds what looks like a pseudonym.
    """
    text = json.dumps(detail, sort_keys=True)
    if _PSEUDONYM.search(text):
        raise AuditError(
            f"The audit entry '{action}' would hold a pseudonym: record the request's id and counts instead."
        )
    if connection is None:
        with connect(Role.PRIVACY) as own:
            _insert(own, actor, action, text)
    else:
        _insert(connection, actor, action, text)


def _insert(connection: psycopg.Connection[Any], actor: str, action: str, detail: str) -> None:
    connection.execute(
        "insert into audit.log (actor, action, detail) values (%s, %s, %s)", [actor, action, detail]
    )
