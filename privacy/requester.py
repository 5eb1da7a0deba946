"""Requesters' tokens: how a person who is signed in to the shop makes a privacy request for themselves.

The shop signs a JWT (EdDSA or ES256) that names the person, what they ask for, and lives for minutes. Claims, all needed:

    aud      the platform (`SELVEDGE_REQUESTER_AUDIENCE`)
    sub      a subject reference of POST /v1/subjects/reference, or the shop's customer number
    purpose  kind of the privacy request: access, portability, rectification, erasure, restriction, objection
    jti      a random nonce of 16 to 128 characters; a token is good for one call
    iat, exp times in Unix seconds, at most `SELVEDGE_REQUESTER_TOKEN_LIFETIME` apart

Every token costs the same work, whatever is wrong with it: one signature verified, one identifier and one pseudonym looked up, one nonce
written. So neither the answer nor its time tells a forged token from an expired or used one, or who is a customer.
"""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from privacy.database import Role, connect
from privacy.fingerprints import keyed_hash
from privacy.privacy_request import RequestKind
from privacy.secret_files import write_private
from privacy.settings import Environment, platform_settings
from privacy.subject_reference import InvalidSubjectReferenceError, open_reference
from privacy.vault import CUSTOMER_NUMBER, Vault

__all__ = ["Requester", "RequesterKeyError", "development_token", "identify"]

_SKEW = timedelta(seconds=60)  # between the shop's clock and ours, for `iat` alone
_LONGEST = 4_096
_SHORTEST_NONCE, _LONGEST_NONCE = 16, 128
_REQUIRED = ("aud", "sub", "purpose", "jti", "iat", "exp")
_PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


class RequesterKeyError(RuntimeError):
    """The shop's public key is missing or of a kind that is not accepted; says what to do."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who a token is about.

    Attributes
    ----------
    valid: the token was signed by the shop, is of this moment, and was not used before.
    pseudonym: whom it names; of a token that names nobody, a random one that stands for nobody.
    known: whether the vault holds them.
    purpose: what it allows; None where the token is not valid.
    identifier: what it names them by, as the shop wrote it; a random text where it is no token of the shop.
    limited_by: what the requester's rate is counted under: equal for the tokens of one person, random for a forged one.
    """

    valid: bool
    pseudonym: str = field(repr=False)
    known: bool
    purpose: RequestKind | None
    identifier: str = field(repr=False)
    limited_by: str = field(repr=False)

    def may_ask(self, kind: RequestKind) -> bool:
        """Whether the token allows its bearer to make a request of this kind."""
        return self.valid & self.known & (self.purpose is kind)


@dataclass(frozen=True, slots=True)
class _Key:
    key: _PublicKey = field(repr=False)
    algorithm: str
    key_id: str | None = None


def identify(token: str) -> Requester:
    """Who `token` is about; never raises for what is wrong with it, which `Requester.valid` says."""
    claims = _claims(token)
    subject = str(claims["sub"]) if claims else secrets.token_hex(16)
    referred, found = _referred(subject), Vault().lookup(CUSTOMER_NUMBER, subject)
    pseudonym = referred or found or secrets.token_hex(16)
    known = pseudonym in Vault().known([pseudonym])
    fresh = _is_first_use(claims)
    valid = claims is not None and fresh
    return Requester(
        valid=valid,
        pseudonym=pseudonym,
        known=known,
        purpose=RequestKind(claims["purpose"]) if claims and valid else None,
        identifier=subject,
        limited_by=pseudonym if referred or found else subject,
    )


def development_token(kind: RequestKind, subject: str, lifetime: timedelta | None = None) -> str:
    """A token as the shop would sign it, with the generated key of a development platform.

    Raises RequesterKeyError in production, and where the shop's own key is configured.
    """
    settings = platform_settings()
    if settings.environment is Environment.PRODUCTION or settings.requester_key_file:
        raise RequesterKeyError(
            "The shop signs its tokens itself where SELVEDGE_REQUESTER_KEY_FILE names its public key, and in production always."
        )
    now = datetime.now(UTC)
    claims = {
        "aud": settings.requester_audience,
        "sub": subject,
        "purpose": kind.value,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now.timestamp()),
        "exp": int((now + (lifetime or settings.requester_token_lifetime)).timestamp()),
    }
    return jwt.encode(claims, _development_key(), algorithm="EdDSA")


def _claims(token: str) -> dict[str, Any] | None:
    """The claims of a token that is signed by the shop, complete and of this moment; exactly one signature is verified."""
    key = _key_for(token)
    try:
        payload = jwt.api_jws.decode(
            token if key else _UNSIGNED,
            (key or _decoy()).key,
            algorithms=[(key or _decoy()).algorithm],
        )
        claims = json.loads(payload)
    except (jwt.InvalidTokenError, ValueError):
        return None
    return claims if key and isinstance(claims, dict) and _acceptable(claims) else None


def _acceptable(claims: dict[str, Any]) -> bool:
    settings, now = platform_settings(), datetime.now(UTC).timestamp()
    if any(name not in claims for name in _REQUIRED):
        return False
    issued, expires = claims["iat"], claims["exp"]
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    return (
        isinstance(issued, int | float)
        and isinstance(expires, int | float)
        and issued - _SKEW.total_seconds() <= now < expires
        and expires - issued <= settings.requester_token_lifetime.total_seconds()
        and settings.requester_audience in audience
        and claims["purpose"] in list(RequestKind)
        and isinstance(claims["sub"], str)
        and 0 < len(claims["sub"]) <= 1024
        and "\0" not in claims["sub"]
        and isinstance(claims["jti"], str)
        and _SHORTEST_NONCE <= len(claims["jti"]) <= _LONGEST_NONCE
    )


def _referred(subject: str) -> str | None:
    try:
        return open_reference(subject)
    except InvalidSubjectReferenceError:
        return None


def _is_first_use(claims: dict[str, Any] | None) -> bool:
    """Write the nonce, a random one where there is none; whether it was not used before. Expired ones are forgotten."""
    nonce = str(claims["jti"]) if claims else secrets.token_urlsafe(16)
    lifetime = platform_settings().requester_token_lifetime
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "with gone as (delete from requests.used_tokens where expires < now() - interval '1 minute') "
            "insert into requests.used_tokens as held (nonce, expires) values (%s, now() + %s) "
            "on conflict (nonce) do update set uses = held.uses + 1 returning uses",
            [keyed_hash("requester nonce", nonce), lifetime + _SKEW],
        ).fetchone()
    return bool(row and row[0] == 1)


def _key_for(token: str) -> _Key | None:
    """The shop's key that the token says it was signed with; None where it is no token at all."""
    if not token.isascii() or len(token) > _LONGEST or token.count(".") != 2:
        return None
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return None
    for key in _keys():
        if header.get("kid") in (None, key.key_id) and header.get("alg") == key.algorithm:
            return key
    return None


def _keys() -> tuple[_Key, ...]:
    settings = platform_settings()
    if settings.requester_key_file is not None:
        path = settings.requester_key_file
        return _read_keys(path, path.stat().st_mtime_ns)
    if settings.environment is Environment.PRODUCTION:
        return ()  # nobody can sign for the shop: every token is refused
    return (_Key(_development_key().public_key(), "EdDSA"),)


@cache
def _read_keys(path: Path, _changed: int) -> tuple[_Key, ...]:
    """The public keys in a PEM file (one) or a JWK Set (several, by `kid`); read again when the file changes."""
    text = path.read_text()
    try:
        if text.lstrip().startswith("{"):
            keys = jwt.PyJWKSet.from_json(text).keys
            return tuple(_accepted(key.key, key.key_id) for key in keys)
        return (_accepted(load_pem_public_key(text.encode()), None),)
    except (jwt.PyJWTError, ValueError) as error:
        raise RequesterKeyError(
            f"{path.name} holds neither a public key in PEM nor a JWK Set: export the shop's public key again."
        ) from error


def _accepted(key: Any, key_id: str | None) -> _Key:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _Key(key, "EdDSA", key_id)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return _Key(key, "ES256", key_id)
    raise RequesterKeyError(
        "The shop's key must be a public key for EdDSA (Ed25519) or ES256 (P-256)."
    )


@cache
def _decoy() -> _Key:
    """A key that signed nothing: what is no token costs the verification of a signature all the same."""
    return _Key(ed25519.Ed25519PrivateKey.generate().public_key(), "EdDSA")


_UNSIGNED = jwt.encode({"jti": "nobody"}, ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA")


def _development_key() -> ed25519.Ed25519PrivateKey:
    """The key of a development platform, made on first use and readable by its owner alone."""
    path = platform_settings().secrets_dir / "requester-key.pem"
    if not path.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(path, pem.decode())
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key
