"""API keys and their scopes.

A caller sends ``Authorization: Bearer <key>``. There is one key per scope: the storefront's browsers-facing back end holds
one, the privacy centre the other, and neither opens the other's routes.

Use in a route: ``APIRouter(dependencies=[RequirePrivacy])`` or ``@router.get(…, dependencies=[RequireStorefront])``.
"""

import hashlib
import hmac
from enum import StrEnum
from functools import cache
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from privacy.secret_files import generated_secret, is_generated
from privacy.settings import Environment, platform_settings
from serving.problems import FORBIDDEN, UNAUTHENTICATED, Problem
from serving.settings import serving_settings

__all__ = [
    "ApiKeyError",
    "RequireAnyKey",
    "RequirePrivacy",
    "RequireStorefront",
    "Scope",
    "api_keys",
]

MINIMUM_LENGTH = 32


class ApiKeyError(RuntimeError):
    """An API key is missing or too weak for the environment; says which variable to set."""


class Scope(StrEnum):
    """What a key opens."""

    STOREFRONT = "storefront"
    PRIVACY = "privacy"


def _configured(scope: Scope) -> SecretStr | None:
    settings = serving_settings()
    return settings.api_key_storefront if scope is Scope.STOREFRONT else settings.api_key_privacy


def _key(scope: Scope) -> str:
    variable = f"SELVEDGE_API_KEY_{scope.name}"
    configured, settings = _configured(scope), platform_settings()
    production = settings.environment is Environment.PRODUCTION
    if configured is not None:
        if len(configured.get_secret_value()) < MINIMUM_LENGTH:
            raise ApiKeyError(f"{variable} must have at least {MINIMUM_LENGTH} characters.")
        if production and is_generated(configured.get_secret_value()):
            raise ApiKeyError(
                f"{variable} was generated in development, which production refuses: "
                "make one with 'openssl rand -hex 32'."
            )
        return configured.get_secret_value()
    if production:
        raise ApiKeyError(
            f"{variable} must be set in production (at least {MINIMUM_LENGTH} characters); "
            "a generated key is for development."
        )
    return generated_secret(settings.secrets_dir / f"api-key-{scope.value}")


@cache
def api_keys() -> dict[Scope, str]:
    """The key of each scope: from the environment, or generated in development.

    Raises ApiKeyError where production lacks one, where one is shorter than 32 characters, or where both are equal.
    """
    keys = {scope: _key(scope) for scope in Scope}
    if len(set(keys.values())) < len(keys):
        raise ApiKeyError("SELVEDGE_API_KEY_STOREFRONT and SELVEDGE_API_KEY_PRIVACY must differ.")
    return keys


@cache
def _digests() -> tuple[tuple[Scope, bytes], ...]:
    return tuple((scope, _digest(key)) for scope, key in api_keys().items())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _scope_of(presented: str) -> Scope | None:
    """The scope that `presented` opens; every key is compared, in constant time."""
    digest, found = _digest(presented), None
    for scope, expected in _digests():
        if hmac.compare_digest(digest, expected):
            found = scope
    return found


_storefront_scheme = HTTPBearer(
    auto_error=False,
    scheme_name="StorefrontKey",
    description="The storefront's API key: rankings, events, subject references, profiles.",
)
_privacy_scheme = HTTPBearer(
    auto_error=False,
    scheme_name="PrivacyKey",
    description="The privacy centre's API key: assets, opt-outs, privacy requests.",
)
_Storefront = Annotated[HTTPAuthorizationCredentials | None, Security(_storefront_scheme)]
_Privacy = Annotated[HTTPAuthorizationCredentials | None, Security(_privacy_scheme)]


def _check(
    request: Request, credentials: HTTPAuthorizationCredentials | None, *allowed: Scope
) -> None:
    if credentials is None:
        raise Problem(UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
    scope = _scope_of(credentials.credentials)
    if scope is None:
        raise Problem(
            UNAUTHENTICATED,
            "The API key is not valid. './selvedge status' shows the keys of a development platform.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    if scope not in allowed:
        needed = " or ".join(allowed)
        raise Problem(
            FORBIDDEN,
            f"This route needs an API key of scope {needed}; the one sent has scope {scope}.",
            headers={
                "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(allowed)}"'
            },
        )
    request.state.scope = scope


async def _require_storefront(request: Request, credentials: _Storefront) -> None:
    _check(request, credentials, Scope.STOREFRONT)


async def _require_privacy(request: Request, credentials: _Privacy) -> None:
    _check(request, credentials, Scope.PRIVACY)


async def _require_any(request: Request, storefront: _Storefront, privacy: _Privacy) -> None:
    _check(request, storefront or privacy, Scope.STOREFRONT, Scope.PRIVACY)


RequireStorefront = Security(_require_storefront)
RequirePrivacy = Security(_require_privacy)
RequireAnyKey = Security(_require_any)
