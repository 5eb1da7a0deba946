"""Idempotency keys: a request that a caller sends again, not knowing whether the first one arrived, is made once.

Kept are keyed hashes alone: of the caller with their key, and of what was asked with it.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from privacy.database import Role, connect
from privacy.fingerprints import keyed_hash

__all__ = ["LIFETIME", "KeyReusedError", "claim", "claimed", "drop_old"]

LIFETIME = timedelta(days=7)


class KeyReusedError(ValueError):
    """The key came with another request before; says what to do."""


def claimed(connection: psycopg.Connection[Any], actor: str, key: str, asked: str) -> UUID | None:
    """The request that `key` of `actor` made, None where it made none; waits for one that is being made with it.

    Raises KeyReusedError where something else was asked with it.
    """
    token = _token(actor, key)
    connection.execute(
        "select pg_advisory_xact_lock(('x' || left(encode(%s, 'hex'), 16))::bit(64)::bigint)",
        [token],
    )
    row = connection.execute(
        "select body, request_id from requests.idempotency_keys where key = %s", [token]
    ).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != keyed_hash("idempotent body", asked):
        raise KeyReusedError(
            "This Idempotency-Key came with another request before: use a new key for a new request."
        )
    found: UUID = row[1]
    return found


def claim(
    connection: psycopg.Connection[Any], actor: str, key: str, asked: str, request_id: UUID
) -> None:
    """Remember that `key` of `actor` made the request; in the transaction of `claimed`."""
    connection.execute(
        "insert into requests.idempotency_keys (key, body, request_id) values (%s, %s, %s)",
        [_token(actor, key), keyed_hash("idempotent body", asked), request_id],
    )


def drop_old() -> int:
    """Forget keys after `LIFETIME`; returns how many."""
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            "delete from requests.idempotency_keys where created < now() - %s", [LIFETIME]
        ).rowcount


def _token(actor: str, key: str) -> bytes:
    return keyed_hash("idempotency key", f"{actor}\0{key}")
