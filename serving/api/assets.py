"""Every asset over HTTP: what it holds about people, leaving one out of it, erasing one from it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

import psycopg
import redis
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from consent import ledger, masks, models, objections, withdrawal
from consent.purposes import needs_consent
from privacy import audit, registry, tombstones
from privacy.contracts import AssetContract, Category, LegalBasis, Purpose
from privacy.erasure import erase_from
from privacy.exports.document import nobody_held
from privacy.presence import is_present
from privacy.request_steps import describe
from privacy.stores import handler_for
from privacy.stores.base import StoreError, StoreLockedError
from serving.auth import RequirePrivacy
from serving.logs import log
from serving.problems import CONFLICT, NOT_FOUND, UNAVAILABLE, Problem, problem_responses
from serving.subject_path import INVALID_REFERENCE, opened

__all__ = ["router"]

router = APIRouter(prefix="/v1/assets", tags=["assets"], dependencies=[RequirePrivacy])
_ACTOR = "api"
_REFERENCE = "AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl"
_PROOF_KEPT = (
    "Every consent is withdrawn. The proof of consent, these statements included, is kept until the person is erased: "
    "POST /v1/privacy-requests with kind 'erasure'."
)
_EMPTY_MASK_KEPT = "The mask permits nothing now; it stays, empty, so that the objection holds."
_ONLINE = ("redis", "redis_stream", "feast_online")
AssetKey = Annotated[
    str,
    Path(
        max_length=200,
        description="Key of the asset, slashes included",
        examples=["models/lightfm"],
    ),
]


class Asset(BaseModel):
    """The privacy contract of one asset or store."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "lake/subject_profile",
                    "owner": "team:recommendations",
                    "description": "Decayed counts and favourites of each subject.",
                    "category": "pseudonymous",
                    "purposes": ["personalisation"],
                    "legal_basis": "consent",
                    "kept_for_days": 365,
                    "store": "delta",
                    "holds_subjects": True,
                    "leaves_out_at": "materialisation",
                    "leaves_out_within_seconds": 86400,
                    "subjects_due": 0,
                    "reason": None,
                }
            ]
        }
    )

    key: str
    owner: str
    description: str
    category: Category
    purposes: list[Purpose]
    legal_basis: LegalBasis | None
    kept_for_days: int | None
    store: Annotated[str, Field(description="Kind of store")]
    holds_subjects: Annotated[bool, Field(description="Whether a single person can be found in it")]
    leaves_out_at: Annotated[
        Literal["read", "materialisation"] | None, Field(description="When an opt-out takes effect")
    ]
    leaves_out_within_seconds: Annotated[
        float | None, Field(description="Within how long an opt-out takes effect")
    ]
    subjects_due: Annotated[
        int,
        Field(
            description="Of a trained model: how many people it used have left since; its next training is without them"
        ),
    ] = 0
    reason: Annotated[str | None, Field(description="Why nobody can be found in it")]


class AssetList(BaseModel):
    """Every asset and store."""

    assets: list[Asset]


class OptOut(BaseModel):
    """Who is to be left out."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"subject_ref": _REFERENCE}]}
    )

    subject_ref: Annotated[
        SecretStr,
        Field(
            min_length=1, max_length=1024, description="Reference from POST /v1/subjects/reference"
        ),
    ]


class AssetOutcome(BaseModel):
    """What was done in one asset for one person."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "asset": "features/subject_profile",
                    "holds_subjects": True,
                    "withheld": True,
                    "removed": 1,
                    "held": 0,
                    "reason": None,
                }
            ]
        }
    )

    asset: str
    holds_subjects: bool
    withheld: Annotated[
        bool, Field(description="Whether the person is left out of the asset from now on")
    ]
    removed: Annotated[int, Field(description="Rows, keys or entries that were removed just now")]
    held: Annotated[
        int,
        Field(description="Rows, keys or entries still there; they go at the next materialisation"),
    ]
    reason: Annotated[
        str | None, Field(description="Why there was nothing to do, or what stays and why")
    ] = None


@contextmanager
def _answered() -> Iterator[None]:
    """Turn what stores raise into problem documents."""
    try:
        yield
    except registry.UnknownAssetError as error:
        raise Problem(NOT_FOUND, str(error)) from None
    except StoreLockedError as error:
        raise Problem(CONFLICT, str(error), headers={"Retry-After": "60"}) from None
    except (psycopg.OperationalError, redis.ConnectionError, redis.TimeoutError) as error:
        log.error("store does not answer", error=describe(error))
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None
    except StoreError as error:
        log.error("store failed", error=describe(error))
        raise Problem(
            UNAVAILABLE, "The asset's store failed; nothing was lost: try again."
        ) from None


def _asset(contract: AssetContract, due: Mapping[str, models.Due]) -> Asset:
    withhold = contract.withhold
    return Asset(
        key=contract.key,
        owner=contract.owner,
        description=contract.description,
        category=contract.category,
        purposes=list(contract.purposes),
        legal_basis=contract.legal_basis,
        kept_for_days=contract.retention.days if contract.retention else None,
        store=contract.store.kind,
        holds_subjects=contract.holds_subjects,
        leaves_out_at=withhold.at if withhold else None,
        leaves_out_within_seconds=withhold.within.total_seconds() if withhold else None,
        subjects_due=due[contract.key].subjects if contract.key in due else 0,
        reason=None if contract.holds_subjects else nobody_held(contract),
    )


def _own_store_refused(contract: AssetContract) -> None:
    """Refuse to change one of the platform's own stores alone: without the others it would be inconsistent."""
    if contract.key.startswith(registry.PLATFORM_PREFIX) and contract.holds_subjects:
        raise Problem(
            CONFLICT,
            "This is one of the platform's own stores, which are erased together: POST /v1/privacy-requests with kind "
            "'erasure'.",
        )


def _nothing_to_do(contract: AssetContract) -> AssetOutcome:
    return AssetOutcome(
        asset=contract.key,
        holds_subjects=False,
        withheld=False,
        removed=0,
        held=0,
        reason=nobody_held(contract),
    )


def _withhold(contract: AssetContract, pseudonym: str, mechanism: str) -> None:
    """Record the objection, and let serving know at once; nothing is written about who is not, or no longer, a subject."""
    with tombstones.writing():
        if not is_present(pseudonym):
            return
        if objections.object_to(pseudonym, contract.key, mechanism):
            audit.record(_ACTOR, "objection", {"asset": contract.key, "mechanism": mechanism})
        masks.refresh(pseudonym)


def _withdraw(contract: AssetContract, pseudonym: str, mechanism: str) -> AssetOutcome:
    """Refuse every purpose in the ledger, which keeps the statements: they prove what was agreed to, and when.

    The answer about who is no subject is that about somebody who had never stated anything.
    """
    held = sum(map(needs_consent, Purpose))
    with tombstones.writing():
        if is_present(pseudonym):
            ledger.withdraw_all(pseudonym, mechanism, _ACTOR)
            audit.record(_ACTOR, "every consent withdrawn", {"mechanism": mechanism})
            withdrawal.apply(pseudonym, list(filter(needs_consent, Purpose)))
            held = handler_for(contract).verify(contract, [pseudonym])
    return _kept(contract, held, _PROOF_KEPT, withheld=False)


def _close_mask(contract: AssetContract, pseudonym: str, mechanism: str) -> AssetOutcome:
    """Empty the mask but keep its key: a deleted one could be written back by a daily write under way."""
    _withhold(contract, pseudonym, mechanism)
    return _kept(contract, 1, _EMPTY_MASK_KEPT, withheld=True)


def _kept(contract: AssetContract, held: int, reason: str, *, withheld: bool) -> AssetOutcome:
    return AssetOutcome(
        asset=contract.key,
        holds_subjects=True,
        withheld=withheld,
        removed=0,
        held=held,
        reason=reason,
    )


# Assets in which an opt-out and an erasure from the asset alone are something else than leaving the person out.
_OWN_WAY: dict[str, Callable[[AssetContract, str, str], AssetOutcome]] = {
    ledger.ASSET_KEY: _withdraw,
    masks.ASSET_KEY: _close_mask,
}


def _outcome(
    contract: AssetContract, pseudonym: str, removed: int, reason: str | None
) -> AssetOutcome:
    held = handler_for(contract).verify(contract, [pseudonym])
    return AssetOutcome(
        asset=contract.key,
        holds_subjects=True,
        withheld=True,
        removed=removed,
        held=held,
        reason=reason if held else None,
    )


@router.get(
    "",
    summary="List every asset",
    response_description="The contract of every asset and store",
    responses=problem_responses(UNAVAILABLE),
)
def list_assets() -> AssetList:
    """What each asset and store holds about people, for what, on which legal basis and how long."""
    with _answered():
        due = models.due()
        return AssetList(assets=[_asset(contract, due) for contract in registry.load().contracts])


@router.post(
    "/{key:path}/opt-out",
    summary="Leave a person out of an asset",
    response_description="What was done",
    responses=problem_responses(NOT_FOUND, INVALID_REFERENCE, CONFLICT, UNAVAILABLE),
)
def opt_out_of_asset(key: AssetKey, body: OptOut) -> AssetOutcome:
    """Record the objection: serving honours it at once, and each later materialisation leaves the person out.

    What serving reads of the asset is removed now. Works for every asset; one in which nobody can be found says so. Of the
    consent ledger, it withdraws every consent: the ledger itself is the proof, and stays.
    """
    with _answered():
        contract = registry.load().get(key)
        pseudonym = opened(body.subject_ref.get_secret_value())
        _own_store_refused(contract)
        if not contract.holds_subjects:
            return _nothing_to_do(contract)
        if own_way := _OWN_WAY.get(key):
            return own_way(contract, pseudonym, "opt-out")
        _withhold(contract, pseudonym, "opt-out")
        online = contract.store.kind in _ONLINE
        removed = handler_for(contract).erase(contract, [pseudonym]) if online else 0
        return _outcome(contract, pseudonym, removed, "Goes at the asset's next materialisation.")


@router.delete(
    "/{key:path}/subjects/{subject_ref}",
    summary="Erase a person from an asset",
    response_description="What was done",
    responses=problem_responses(NOT_FOUND, INVALID_REFERENCE, CONFLICT, UNAVAILABLE),
)
def erase_from_asset(
    key: AssetKey,
    subject_ref: Annotated[
        str,
        Path(
            max_length=1024,
            description="Reference from POST /v1/subjects/reference",
            examples=[_REFERENCE],
        ),
    ],
) -> AssetOutcome:
    """Erase the person from this asset now, bytes on disk included, and leave them out of it from now on.

    For every asset at once, with proof, make a privacy request of kind `erasure`. The consent ledger keeps the proof of
    consent until then: here, every consent in it is withdrawn.
    """
    with _answered():
        contract = registry.load().get(key)
        pseudonym = opened(subject_ref)
        _own_store_refused(contract)
        if not contract.holds_subjects:
            return _nothing_to_do(contract)
        if own_way := _OWN_WAY.get(key):
            return own_way(contract, pseudonym, "erasure from asset")
        _withhold(contract, pseudonym, "erasure from asset")
        removed = erase_from(contract, [pseudonym])
        audit.record(_ACTOR, "erased from asset", {"asset": key, "removed": removed})
        return _outcome(
            contract, pseudonym, removed, "A view: its rows go with those of its tables."
        )
