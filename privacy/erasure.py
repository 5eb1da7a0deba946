"""Erasure (Art. 17): a transaction over every store that finishes, or says what is missing.

At once, when the request arrives: tombstones, so that no ingest brings the person back; objections to every asset, so that a
materialisation under way leaves them out; everything that serving reads. Then, batched over requests: every other store, the
ledger and the vault last, and before the vault a search for identifiers in clear; the bytes of what was deleted; and a search of
every store. Each step is durable and repeatable.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from privacy import duties, epochs, request_steps, tombstones, unlearning
from privacy.contracts import AssetContract, Unlearn
from privacy.database import Role, connect, reusing
from privacy.file_search import needles_of
from privacy.identifier_search import refuse_identifiers
from privacy.registry import PLATFORM_PREFIX, Registry
from privacy.request_steps import Subject
from privacy.stores import handler_for
from privacy.stores.base import StoreError
from privacy.stores.scrub import (
    forget_commands,
    remove_built,
    scrub_postgres,
    scrub_redis,
    tables_with_bytes,
)
from privacy.vault import Vault
from privacy.verification import (
    Verification,
    search_postgres,
    search_redis,
    search_state,
    unregistered,
)

__all__ = ["erase_everywhere", "erase_from", "erase_online"]

_MECHANISM = "erasure"
_TOMBSTONES, _OBJECTIONS = "platform/tombstones", "platform/objections"
_POSTGRES, _REDIS, _FILES = "platform/postgres", "platform/redis", "platform/files"
_REGISTRY = "platform/registry"
_VAULT, _IDENTIFIERS = "platform/vault", "platform/identifiers"
_BUILT, _EPOCH = "platform/build_artefacts", "platform/erasure_epoch"
# What serving reads goes first, what leads from a pseudonym to a person goes last.
_ORDER = ("feast_online", "redis", "delta", "postgres", "artifacts", "redis_stream", "none")
_LATE_SCHEMAS = ("consent", "requests", "vault")
_ROUNDS = 3


def erase_online(subjects: Sequence[Subject], registry: Registry) -> bool:
    """The part that is done before the request is answered; returns whether all of it was."""
    with reusing(Role.PRIVACY):
        done = request_steps.run(subjects, _TOMBSTONES, "bury", _bury(subjects))
        done &= request_steps.run(subjects, _OBJECTIONS, "withhold", _withhold(registry))
        for contract in registry.online:
            if contract.store.kind != "redis_stream":
                done &= _erase_step(subjects, contract, "online")
    return done


def erase_everywhere(subjects: Sequence[Subject], registry: Registry) -> bool:
    """Erase the subjects from every store, make the bytes go, and search for what is left.

    Returns whether every step was done; `request_steps.failed` names those that were not.
    """
    done = erase_online(subjects, registry)
    done &= request_steps.run(subjects, _TOMBSTONES, "erase", _bury(subjects))
    for contract in sorted(registry.holding_subjects, key=_rank):
        if contract.duty is not None:
            done &= _retain_step(subjects, contract)
        if contract.key == _VAULT and not request_steps.run(
            subjects, _IDENTIFIERS, "verify", _no_identifiers
        ):
            done = False  # once the vault has forgotten them, nobody could look again
            continue
        done &= _erase_step(subjects, contract, "erase")
    for contract in registry.contracts:
        if contract.unlearn is Unlearn.RETRAIN:
            done &= request_steps.run(subjects, contract.key, "unlearn", _due(subjects, contract))
    done &= request_steps.run(subjects, _BUILT, "erase", _removed_built)
    done &= request_steps.run(subjects, _REDIS, "purge", _none(scrub_redis))
    done &= request_steps.run(subjects, _POSTGRES, "purge", _purge_postgres(subjects, registry))
    for contract in registry.holding_subjects:
        done &= request_steps.run(subjects, contract.key, "verify", _verify(contract))
    done &= request_steps.run(subjects, _REDIS, "forget", _none(forget_commands))
    for place, search in (
        (_REGISTRY, lambda _: unregistered(registry)),
        (_POSTGRES, search_postgres),
        (_REDIS, search_redis),
        (_FILES, search_state),
    ):
        done &= request_steps.run(subjects, place, "verify", _searched(subjects, place, search))
    if done:
        done = request_steps.run(subjects, _EPOCH, "stamp", _none(epochs.advance))
    return done


def erase_from(contract: AssetContract, pseudonyms: Sequence[str]) -> int:
    """Erase subjects from one asset, bytes included; returns how many rows, keys or entries went."""
    handler = handler_for(contract)
    removed = duties.retain(contract, pseudonyms) if contract.duty is not None else 0
    removed += handler.erase(contract, pseudonyms)
    if removed and contract.store.kind == "postgres":
        scrub_postgres(handler.tables(contract))
    if removed and contract.store.kind in ("redis", "redis_stream", "feast_online"):
        scrub_redis()
    return removed


def _rank(contract: AssetContract) -> tuple[int, int, str]:
    late = -1
    if contract.store.kind == "postgres" and contract.store.schema_name in _LATE_SCHEMAS:
        late = _LATE_SCHEMAS.index(contract.store.schema_name)
    return late, _ORDER.index(contract.store.kind), contract.key


def _bury(subjects: Sequence[Subject]) -> Callable[[Sequence[str]], Mapping[str, int]]:
    """Tombstones for the subjects and, while the vault still knows them, for their identifiers.

    Who was erased before the request was made came back with a restored backup: that erasure's time stands, so that what they
    did since, as somebody new, is not taken for the past.
    """
    ids = {subject.pseudonym: subject.request_id for subject in subjects}

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        received = request_steps.received([ids[name] for name in pseudonyms])
        erased = tombstones.subjects_erased_at(pseudonyms)
        now, by_time = datetime.now(UTC), dict[datetime, list[str]]()
        for name, at in zip(pseudonyms, erased, strict=True):
            before = at is not None and at < received[ids[name]]
            by_time.setdefault(at if at is not None and before else now, []).append(name)
        for at, names in by_time.items():
            tombstones.record(names, Vault().identifiers_of(names), at)
        return dict.fromkeys(pseudonyms, 1)

    return action


def _withhold(registry: Registry) -> Callable[[Sequence[str]], Mapping[str, int]]:
    """Objections of those whom the vault knows; of others nothing is held, and nothing is written.

    None to the asset of the ledger: no materialisation removes anybody from it, and the tombstones keep rows out.
    """
    keys = [
        contract.key
        for contract in registry.holding_subjects
        if contract.key.startswith(PLATFORM_PREFIX) or _rank(contract)[0] < 0
    ]

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        with connect(Role.PRIVACY) as connection:
            connection.execute(
                "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
                "select s.pseudonym, k, 'object', %s from vault.subjects as s, unnest(%s::text[]) as k "
                "where s.pseudonym = any(%s) and not exists "
                "(select from consent.withheld w where w.pseudonym = s.pseudonym and w.asset_key = k)",
                [_MECHANISM, keys, list(pseudonyms)],
            )
        return dict.fromkeys(pseudonyms, len(keys))

    return action


def _erase_step(subjects: Sequence[Subject], contract: AssetContract, step: str) -> bool:
    def count(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        return handler_for(contract).find(contract, pseudonyms)

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        handler_for(contract).erase(contract, pseudonyms)
        return {}  # what was found beforehand stands

    return request_steps.run(subjects, contract.key, step, action, count)


def _retain_step(subjects: Sequence[Subject], contract: AssetContract) -> bool:
    """Move what a law keeps out of the subjects' reach before the rest is erased."""

    def count(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        return duties.under_duty(contract, pseudonyms)

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        duties.retain(contract, pseudonyms)
        return {}

    return request_steps.run(subjects, contract.key, "retain", action, count)


def _no_identifiers(pseudonyms: Sequence[str]) -> Mapping[str, int]:
    return dict.fromkeys(pseudonyms, refuse_identifiers(pseudonyms))


def _due(
    subjects: Sequence[Subject], contract: AssetContract
) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(_: Sequence[str]) -> Mapping[str, int]:
        unlearning.record_due(contract, [subject.request_id for subject in subjects])
        return {}

    return action


def _removed_built(pseudonyms: Sequence[str]) -> Mapping[str, int]:
    remove_built(pseudonyms)
    return {}


def _none(scrub: Callable[[], int]) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(_: Sequence[str]) -> Mapping[str, int]:
        scrub()
        return {}

    return action


def _purge_postgres(
    subjects: Sequence[Subject], registry: Registry
) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        keys = request_steps.touched(subjects, "erase") | request_steps.touched(subjects, "retain")
        tables = {
            table
            for contract in registry.holding_subjects
            if contract.key in keys or _rank(contract)[0] >= 0
            for table in handler_for(contract).tables(contract)
        }
        for _ in range(_ROUNDS):
            scrub_postgres(tables)
            tables = tables_with_bytes(needles_of(pseudonyms))
            if not tables:
                break
        return {}

    return action


def _verify(contract: AssetContract) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        left = handler_for(contract).verify(contract, pseudonyms)
        if left:
            raise StoreError(f"{left} rows, keys or entries are still there")
        return {}

    return action


def _searched(
    subjects: Sequence[Subject], place: str, search: Callable[[Sequence[bytes]], Verification]
) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    """Search one kind of place; how many there are is a step of its own, for the certificate."""

    def action(pseudonyms: Sequence[str]) -> Mapping[str, int]:
        result = search(needles_of(pseudonyms))
        if result.findings:
            shown = "; ".join(str(finding) for finding in result.findings[:5])
            raise StoreError(f"still found in {len(result.findings)} places: {shown}")
        existing = dict.fromkeys(pseudonyms, result.existing)
        request_steps.run(subjects, place, "count", lambda _: existing)
        return dict.fromkeys(pseudonyms, result.searched)

    return action
