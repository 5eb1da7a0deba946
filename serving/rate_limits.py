"""How often privacy requests may come from one requester and from one address, and one subject's profile be read, counted in Redis.

The keys are keyed hashes, gone after the window: `sv:rate:{who}:…`.
"""

import base64
from datetime import timedelta

from fastapi import Request

from privacy.fingerprints import keyed_hash
from privacy.stores.redis import redis_client
from serving.problems import Problem, ProblemKind
from serving.settings import serving_settings

__all__ = [
    "TOO_MANY_REQUESTS",
    "client_address",
    "count_address",
    "count_profile",
    "count_requester",
]

TOO_MANY_REQUESTS = ProblemKind(
    "too-many-requests",
    429,
    "Too many requests",
    "Wait for the seconds in 'Retry-After', then ask again.",
)


def client_address(request: Request) -> str | None:
    """The client's address, as the proxy says that the setting trusts; None where no header is configured.

    A proxy adds its entry at the end, some of them as a line of their own: what the client itself sent stands before it. Without
    a proxy's word the connection is the storefront's own, which all customers share.
    """
    header = serving_settings().serving_client_address_header
    if not header:
        return None
    lines = request.headers.getlist(header)
    forwarded = lines[-1].rpartition(",")[2].strip() if lines else ""
    return forwarded or (request.client.host if request.client else "unknown")


def count_address(request: Request) -> None:
    """Count one request of the client's address, where it is known; raises Problem where there were too many."""
    address = client_address(request)
    if address is not None:
        _count("address", address, serving_settings().privacy_requests_per_address)


def count_requester(name: str) -> None:
    """Count one request of a requester; raises Problem where there were too many."""
    _count("requester", name, serving_settings().privacy_requests_per_requester)


def count_profile(pseudonym: str) -> None:
    """Count one reading of a subject's profile, whoever they are; raises Problem where there were too many."""
    settings = serving_settings()
    _count(
        "profile",
        pseudonym,
        settings.serving_profiles_per_subject,
        settings.serving_profiles_window,
    )


def _count(who: str, name: str, limit: int, window: timedelta | None = None) -> None:
    window = window or serving_settings().privacy_requests_window
    token = base64.urlsafe_b64encode(keyed_hash(f"rate of {who}", name)[:15]).decode()
    key = f"sv:rate:{who}:{token}"
    with redis_client() as client, client.pipeline(transaction=True) as pipeline:
        pipeline.set(key, 0, ex=window, nx=True)
        pipeline.incr(key)
        pipeline.ttl(key)
        _, count, left = pipeline.execute()
    if count > limit:
        raise Problem(TOO_MANY_REQUESTS, headers={"Retry-After": str(max(left, 1))})
