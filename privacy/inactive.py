"""Subjects of whom nothing is left: ledger, corrections and vault let go of them as well, and with them go their data keys.

Somebody is inactive who has no row, key, entry or artefact in any store but the ones that leave with the subject,
whose last statement is older than the ledger's retention, and whom the vault did not meet within the last day (an
ingest resolves its subjects before it writes their rows).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from privacy.contracts import AssetContract, PostgresStore, RedisStore
from privacy.database import Role, connect
from privacy.registry import Registry
from privacy.stores import handler_for

__all__ = ["count_inactive", "leaves_with_subject", "remove_inactive"]

_BATCH = 20_000
_JUST_MET = timedelta(days=1)
_MASKS = "sv:consent:"
_VAULT = "vault"
# What says something of a subject only beside what else is held of them: it stays as long as they do.
_WITH_SUBJECT = frozenset(
    {
        ("vault", "subjects"),
        ("consent", "records"),
        ("consent", "objections"),
        ("consent", "minors"),
        ("requests", "rectifications"),
    }
)
# Cheap stores first, so that few subjects are left for those that are asked one by one.
_ORDER = ("postgres", "delta", "artifacts", "feast_online", "redis", "redis_stream", "none")
_CANDIDATES = """
select s.pseudonym from vault.subjects as s
where s.pseudonym > %(after)s and s.created < %(met)s and not s.pseudonym = any(%(held)s)
  and not exists (select from consent.records r where r.pseudonym = s.pseudonym and r.stated_at >= %(stated)s)
  and not exists (select from consent.objections o where o.pseudonym = s.pseudonym and o.stated_at >= %(stated)s)
order by s.pseudonym limit %(limit)s
"""


def leaves_with_subject(contract: AssetContract) -> bool:
    """Whether the asset's rows stay as long as their subject: vault, ledger, objections, minors and corrections."""
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            return (schema, table) in _WITH_SUBJECT and contract.holds_subjects
    return False


def count_inactive(
    registry: Registry, now: datetime, held: frozenset[str] = frozenset()
) -> dict[str, int]:
    """How many rows (subjects, in the vault) would leave, by asset."""
    counts: dict[str, int] = {}
    for subjects in _inactive(registry, now, held):
        for contract in _leaving(registry):
            found = sum(handler_for(contract).find(contract, subjects).values())
            counts[contract.key] = counts.get(contract.key, 0) + found
    return counts


def remove_inactive(
    registry: Registry, now: datetime, held: frozenset[str] = frozenset()
) -> Mapping[str, int]:
    """Remove inactive subjects from what leaves with them, the vault last; returns what went, by asset."""
    counts: dict[str, int] = {}
    for subjects in _inactive(registry, now, held):
        for contract in [*_masks(registry), *_leaving(registry)]:
            gone = handler_for(contract).erase(contract, subjects)
            counts[contract.key] = counts.get(contract.key, 0) + gone
    return counts


def _leaving(registry: Registry) -> list[AssetContract]:
    found = [contract for contract in registry.holding_subjects if leaves_with_subject(contract)]
    return sorted(found, key=lambda contract: (contract.handler == _VAULT, contract.key))


def _masks(registry: Registry) -> list[AssetContract]:
    return [contract for contract in registry.holding_subjects if _is_mask(contract)]


def _is_mask(contract: AssetContract) -> bool:
    return isinstance(contract.store, RedisStore) and contract.store.pattern.startswith(_MASKS)


def _inactive(registry: Registry, now: datetime, held: frozenset[str]) -> Iterator[list[str]]:
    """Batches of inactive subjects."""
    elsewhere = sorted(
        (
            contract
            for contract in registry.holding_subjects
            if not leaves_with_subject(contract) and not _is_mask(contract)
        ),
        key=lambda contract: _ORDER.index(contract.store.kind),
    )
    for batch in _candidates(registry, now, held):
        remaining = batch
        for contract in elsewhere:
            if not remaining:
                break
            found = handler_for(contract).find(contract, remaining)
            remaining = [subject for subject in remaining if subject not in found]
        if remaining:
            yield remaining


def _candidates(registry: Registry, now: datetime, held: frozenset[str]) -> Iterator[list[str]]:
    """Subjects that the vault met before yesterday and whose statements are all past the ledger's retention."""
    days = max(c.retention.days for c in _leaving(registry) if c.retention)
    wanted = {"met": now - _JUST_MET, "stated": now - timedelta(days=days), "held": sorted(held)}
    after = ""
    while True:
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(
                _CANDIDATES, {**wanted, "after": after, "limit": _BATCH}
            ).fetchall()
        if not rows:
            return
        yield [row[0] for row in rows]
        after = rows[-1][0]
