"""Restriction (Art. 18) and objection to profiling (Art. 21), as objections to assets, which every consent filter honours.

A restriction is an objection to every asset there is or will be, written ``*``: what was collected is kept, and nothing but
keeping is done with it. An objection to profiling is one to each asset that exists to personalise. Both take
effect online at once: what serving reads is dropped, and without a mask serving knows nobody. The next write of the mask
carries the objection.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from privacy import request_steps, tombstones
from privacy.contracts import AssetContract, Purpose
from privacy.database import Role, connect
from privacy.presence import is_present
from privacy.privacy_request import RequestKind
from privacy.registry import Registry
from privacy.request_steps import Subject
from privacy.stores import handler_for

__all__ = ["EVERYTHING", "lift", "masks_in", "object_to_profiling", "profiling", "restrict"]

EVERYTHING = "*"
"""The asset key of an objection that holds for every asset."""

_OBJECTIONS = "platform/objections"
_MASKS = ("consent/masks", "platform/consent_mask")
# Where events arrive: an objection to profiling does not stop those that were agreed to for another purpose.
_INTAKE = ("platform/event_stream", "platform/seen_events")
_PROFILING = frozenset({Purpose.PERSONALISATION, Purpose.MODEL_TRAINING})


def restrict(subject: Subject, registry: Registry) -> bool:
    """Keep the subject's data and use it for nothing; returns whether every step was done."""
    done = _object(subject, [EVERYTHING], RequestKind.RESTRICTION, "restrict")
    return done & _drop_online(subject, _online_copies(registry))


def object_to_profiling(subject: Subject, registry: Registry) -> bool:
    """Leave the subject out of every asset that personalises; returns whether every step was done."""
    stopped = profiling(registry)
    done = _object(
        subject, [contract.key for contract in stopped], RequestKind.OBJECTION, "withhold"
    )
    online = [contract for contract in registry.online if contract in stopped]
    return done & _drop_online(subject, [*online, *masks_in(registry)])


def profiling(registry: Registry) -> list[AssetContract]:
    """The assets that hold people and serve personalisation, alone or with the training of models for it."""
    return [
        contract
        for contract in registry.holding_subjects
        if Purpose.PERSONALISATION in contract.purposes
        and set(contract.purposes) <= _PROFILING
        and contract.key not in _INTAKE
    ]


def lift(kind: RequestKind, pseudonym: str) -> int:
    """Take back what a request of this kind made of objections; returns how many. Those made otherwise stay."""
    with tombstones.writing(), connect(Role.PRIVACY) as connection:
        _lock(connection, pseudonym)
        return connection.execute(
            "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
            "select pseudonym, asset_key, 'withdraw', %(kind)s from ("
            "  select distinct on (asset_key) pseudonym, asset_key, decision, mechanism from consent.objections"
            "  where pseudonym = %(pseudonym)s order by asset_key, objection_id desc) as latest "
            "where decision = 'object' and mechanism = %(kind)s",
            {"pseudonym": pseudonym, "kind": kind.value},
        ).rowcount


def _object(subject: Subject, keys: Sequence[str], kind: RequestKind, step: str) -> bool:
    """Record objections to `keys` of somebody whom the vault knows; of others nothing is held, and nothing is written."""

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        (pseudonym,) = pseudonyms
        with tombstones.writing():
            if not is_present(pseudonym):
                return {}
            with connect(Role.PRIVACY) as connection:
                _lock(connection, pseudonym)
                made = connection.execute(
                    "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
                    "select %(pseudonym)s, key, 'object', %(kind)s from unnest(%(keys)s::text[]) as key "
                    "where not exists (select from consent.withheld as held "
                    "where held.pseudonym = %(pseudonym)s and held.asset_key = key)",
                    {"pseudonym": pseudonym, "kind": kind.value, "keys": list(keys)},
                ).rowcount
        return {pseudonym: made}

    return request_steps.run([subject], _OBJECTIONS, step, action)


def _lock(connection: psycopg.Connection[Any], pseudonym: str) -> None:
    """One statement at a time about a subject's objections; `consent.objections` takes the same lock."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended('objection|' || %s, 0))", [pseudonym]
    )


def masks_in(registry: Registry) -> list[AssetContract]:
    """The masks that serving reads; without one serving knows nobody."""
    return [contract for contract in registry.online if contract.key in _MASKS]


def _online_copies(registry: Registry) -> list[AssetContract]:
    """Online features, which are copies of the lake's, and the mask; session and stream are the only record of what they hold."""
    features = [contract for contract in registry.online if contract.store.kind == "feast_online"]
    return [*features, *masks_in(registry)]


def _drop_online(subject: Subject, contracts: Sequence[AssetContract]) -> bool:
    done = True
    for contract in contracts:
        done &= request_steps.run([subject], contract.key, "online", _erase(contract))
    return done


def _erase(contract: AssetContract) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        removed = handler_for(contract).erase(contract, pseudonyms)
        return dict.fromkeys(pseudonyms, removed)

    return action
