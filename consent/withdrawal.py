"""What a withdrawal sets off: the mask at once, and then everything online that serves what was withdrawn.

Every way in which a refusal enters the ledger ends in `apply`, or, for many subjects, in `catch_up`. What is to go is read from
the registry: a store that is registered later as resting on consent is covered by itself. Models are marked by the database,
whichever way the refusal came (`consent.models`); what waits in the event stream is asked about when it is taken in.
"""

from collections.abc import Collection, Sequence

import redis

from consent.masks import Mask, masks_of, refresh
from consent.purposes import needs_consent, purpose_mask
from privacy import registry, tombstones
from privacy.contracts import AssetContract, LegalBasis, Purpose
from privacy.database import Role, connect, redis_url
from privacy.stores import handler_for

__all__ = ["apply", "catch_up"]

# Rebuilding the stream costs as much as all that waits in it; its ingest drops what may not be kept.
_NOT_AT_ONCE = "redis_stream"


def apply(
    pseudonym: str, purposes: Collection[Purpose], client: "redis.Redis | None" = None
) -> dict[str, int]:
    """Make the ledger's state hold online; returns how many entries were dropped of each asset.

    Parameters
    ----------
    pseudonym: whose refusal (or objection) was recorded just now.
    purposes: those that were refused; what serves one of them and may not be held any more is dropped.

    When it returns, no ranking on any worker uses the subject's data for these purposes. Raises redis.RedisError or
    psycopg.Error where a server does not answer; the refusal stands, and calling again completes it.
    """
    mask = refresh(pseudonym, client)
    return {
        contract.key: handler_for(contract).erase(contract, [pseudonym])
        for contract in registry.load().online
        if _serves(contract, purposes) and not _may_hold(mask, contract)
    }


def catch_up(pseudonyms: Sequence[str]) -> int:
    """`apply` for those of many subjects whose mask permits more than the ledger does; returns how many that were.

    Those whose erasure was begun are left out: it has taken what serving held of them. Hold `tombstones.writing`.
    """
    erased = tombstones.is_erased(pseudonyms)
    living = [name for name, gone in zip(pseudonyms, erased, strict=True) if not gone]
    with redis.Redis.from_url(redis_url()) as client:
        permitted = {name: mask.bits for name, mask in masks_of(client, living).items()}
        agreed = _agreed([name for name, bits in permitted.items() if bits])
        lost = {
            name: [purpose for purpose in Purpose if bits & ~agreed[name] & purpose_mask([purpose])]
            for name, bits in permitted.items()
            if bits
        }
        for name, purposes in lost.items():
            if purposes:
                apply(name, purposes, client)
    return sum(map(bool, lost.values()))


def _serves(contract: AssetContract, purposes: Collection[Purpose]) -> bool:
    return (
        contract.store.kind != _NOT_AT_ONCE
        and contract.legal_basis is LegalBasis.CONSENT
        and not set(contract.purposes).isdisjoint(purposes)
    )


def _may_hold(mask: Mask, contract: AssetContract) -> bool:
    """As at a write: every purpose that the asset rests on is agreed to."""
    return all(
        mask.serves(purpose, contract.key)
        for purpose in contract.purposes
        if needs_consent(purpose)
    )


def _agreed(pseudonyms: Sequence[str]) -> dict[str, int]:
    """What each subject agrees to now, as bits."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select pseudonym, array_agg(purpose) from consent.current where pseudonym = any(%s) group by pseudonym",
            [list(pseudonyms)],
        ).fetchall()
    agreed = {name: purpose_mask(map(Purpose, purposes)) for name, purposes in rows}
    return {name: agreed.get(name, 0) for name in pseudonyms}
