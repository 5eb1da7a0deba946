"""By what somebody who was erased still opens their own request and its certificate, when the vault does not know them any more.

Beside an erasure lie keyed hashes of its id with each customer number of its subject. The id is in them, so that two requests of
one person are not seen to be one person's, and the one who asks must name both. They go some days after the request was closed
(the retention of ``platform/requester_marks``). A number that two subjects claim leads to nobody, and leaves none.
"""

import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

from privacy.database import Role, connect
from privacy.identifiers import CUSTOMER_NUMBER, canonical, or_none
from privacy.keys import KeyProvider, key_provider
from privacy.vault import Vault

__all__ = ["leave", "opens"]


def leave(requests: Mapping[str, UUID], keys: KeyProvider | None = None) -> int:
    """Mark the erasures of subjects (pseudonym to request) while the vault knows them; repeating it changes nothing.

    Returns how many marks are new.
    """
    material = (keys or key_provider()).current("tombstone").material
    numbers = Vault().customer_numbers_of(list(requests))
    marks = [
        (requests[name], _mark(material, requests[name], number))
        for name, several in numbers.items()
        for number in several
    ]
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            "insert into requests.requester_marks (request_id, mark, closed) "
            "select m.request_id, m.mark, r.completed from unnest(%s::uuid[], %s::bytea[]) as m (request_id, mark) "
            "join requests.privacy_requests r using (request_id) on conflict do nothing",
            [[request_id for request_id, _ in marks], [mark for _, mark in marks]],
        ).rowcount


def opens(request_id: UUID, number: str, keys: KeyProvider | None = None) -> bool:
    """Whether this customer number was its subject's; one statement, whatever `number` is."""
    identifier = canonical(CUSTOMER_NUMBER, or_none(CUSTOMER_NUMBER, number) or "")
    versions = (keys or key_provider()).versions("tombstone")
    marks = [_mark(key.material, request_id, identifier) for key in versions]
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select exists (select from requests.requester_marks where request_id = %s and mark = any(%s))",
            [request_id, marks],
        ).fetchone()
    return bool(row and row[0])


def _mark(material: bytes, request_id: UUID, identifier: bytes) -> bytes:
    message = b"requester mark|" + request_id.bytes + b"|" + identifier
    return hmac.digest(material, message, hashlib.sha256)
