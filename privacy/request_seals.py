"""What a privacy request keeps sealed until it is closed: whom it is about, and what a rectification corrects."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from privacy.database import Role, connect
from privacy.fingerprints import seal, unseal
from privacy.keys import KeyProvider
from privacy.rectification import Corrections

__all__ = ["corrections_of", "renew", "sealed", "subject_of", "text_of"]

_SUBJECT, _CORRECTIONS = "subject", "corrections"


def sealed(
    request_id: UUID, pseudonym: str, corrections: Corrections | None = None
) -> dict[str, str]:
    """The sealed parts of a new request, by name."""
    name = _bound(request_id)
    parts = {_SUBJECT: seal(name, pseudonym.encode())}
    if corrections is not None:
        parts[_CORRECTIONS] = seal(name, text_of(corrections).encode())
    return parts


def text_of(corrections: Corrections | None) -> str:
    """The corrections as text: the given values alone; empty where there are none."""
    return "" if corrections is None else corrections.model_dump_json(exclude_unset=True)


def subject_of(request_id: UUID) -> str | None:
    """The pseudonym of whom an open request is about; None of a closed or unknown one. Raises SealError."""
    return _opened(request_id, _SUBJECT)


def corrections_of(request_id: UUID) -> Corrections | None:
    """What an open rectification corrects; None of any other request. Raises SealError."""
    text = _opened(request_id, _CORRECTIONS)
    return None if text is None else Corrections.model_validate_json(text)


def renew(connection: psycopg.Connection[Any], keys: KeyProvider, limit: int) -> int:
    """Seal the parts of open requests anew that are sealed under an older key; returns of how many."""
    rows = connection.execute(
        "select request_id, detail from requests.privacy_requests where detail ? 'subject' "
        "and split_part(detail ->> 'subject', '.', 1)::int <> %s limit %s for update skip locked",
        [keys.current("wrapping").version, limit],
    ).fetchall()
    for request_id, detail in rows:
        connection.execute(
            "update requests.privacy_requests set detail = detail || %s::jsonb where request_id = %s",
            [json.dumps(_renewed(request_id, detail, keys)), request_id],
        )
    return len(rows)


def _renewed(request_id: UUID, detail: Mapping[str, str], keys: KeyProvider) -> dict[str, str]:
    """All parts of a request: they are sealed at one time."""
    name = _bound(request_id)
    return {
        part: seal(name, unseal(name, detail[part], keys), keys)
        for part in (_SUBJECT, _CORRECTIONS)
        if part in detail
    }


def _opened(request_id: UUID, part: str) -> str | None:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select detail ->> %s from requests.privacy_requests where request_id = %s",
            [part, request_id],
        ).fetchone()
    if row is None or row[0] is None:
        return None
    return unseal(_bound(request_id), row[0]).decode()


def _bound(request_id: UUID) -> str:
    return f"privacy request|{request_id}"
