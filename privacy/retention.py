"""Retention (Art. 5(1)(e)): each day, what is older than its contract allows is deleted, and then searched for.

From the registry's contracts alone, in every kind of store. A contract's retention counts from a column of the data, or from when
the data was written. Subjects under restriction (Art. 18) keep their data until the restriction ends. The proof of
consent stays while anything else of its subject does (Art. 7(1)): ledger, objections, corrections and the vault's entry leave
with the subject, once nothing is left of them anywhere and their last statement is older than the ledger's retention. What
rectifications replaced goes with the same run (`privacy.replaced`). What has a retention and no age that could be told is a
fault: it would never be deleted, and seem to be in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from privacy import audit, replaced
from privacy.contracts import AssetContract, PostgresStore
from privacy.database import Role, connect
from privacy.expiry import Due, Overdue, expiry_for
from privacy.inactive import count_inactive, leaves_with_subject, remove_inactive
from privacy.registry import PLATFORM_PREFIX, Registry
from privacy.request_steps import describe
from privacy.stores import handler_for
from privacy.stores.scrub import scrub_postgres, scrub_redis

__all__ = [
    "AssetRetention",
    "RetentionReport",
    "enforce",
    "overdue_before",
    "refused_before",
    "restricted",
    "restricted_anywhere",
]

_RESTRICTION = "restriction"
_IN_REDIS = frozenset({"redis", "redis_stream", "feast_online"})
_RESTRICTED = """
select pseudonym from (
  select distinct on (pseudonym, asset_key) pseudonym, decision, mechanism from consent.objections
  where %(asset)s::text is null or asset_key in (%(asset)s, '*')
  order by pseudonym, asset_key, objection_id desc
) as latest
where decision = 'object' and mechanism = %(mechanism)s
"""


@dataclass(frozen=True)
class AssetRetention:
    """What retention did in one asset, in rows, keys, entries, versions or subjects.

    Attributes
    ----------
    deleted: what went (of a dry run: what would go).
    restricted: what is overdue and kept for subjects under restriction.
    kept: what is overdue and stays for the reason in `why`.
    left: what was searched for afterwards and is still there without a reason; must be 0.
    error: why the store could not be cleared or searched; None where it was.
    """

    asset: str
    store: str
    days: int
    counted_from: str
    deleted: int = 0
    restricted: int = 0
    kept: int = 0
    left: int = 0
    why: str = ""
    error: str | None = None


@dataclass(frozen=True)
class RetentionReport:
    """One run over every asset with a retention."""

    as_of: datetime
    dry_run: bool
    assets: tuple[AssetRetention, ...] = field(default_factory=tuple)

    @property
    def deleted(self) -> int:
        """How much went, over all assets."""
        return sum(asset.deleted for asset in self.assets)

    @property
    def faults(self) -> tuple[str, ...]:
        """Where something overdue is left without a reason, or a store failed."""
        return tuple(
            f"{asset.asset}: {asset.error or f'{asset.left} overdue are left'}"
            for asset in self.assets
            if asset.error or (asset.left and not self.dry_run)
        )

    def as_json(self) -> dict[str, Any]:
        """The report in types that JSON knows; counts only."""
        return {
            "as_of": self.as_of.isoformat(),
            "dry_run": self.dry_run,
            "deleted": self.deleted,
            "complete": not self.faults,
            "assets": [asdict(asset) for asset in self.assets],
        }


def restricted(asset_key: str) -> frozenset[str]:
    """Pseudonyms of the subjects whose data in the asset is restricted now (Art. 18): kept, and used for nothing."""
    return _restricted(asset_key)


def restricted_anywhere() -> frozenset[str]:
    """Pseudonyms of the subjects with a restriction on any asset."""
    return _restricted(None)


def _restricted(asset_key: str | None) -> frozenset[str]:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            _RESTRICTED, {"asset": asset_key, "mechanism": _RESTRICTION}
        ).fetchall()
    return frozenset(row[0] for row in rows)


def enforce(
    registry: Registry,
    *,
    as_of: datetime | None = None,
    dry_run: bool = False,
    written: Mapping[str, datetime] | None = None,
) -> RetentionReport:
    """Delete what is overdue, make its bytes go, and search for what is left.

    Parameters
    ----------
    as_of: the moment from which the ages of the shop's own data are counted; now, but for a historic data set.
    dry_run: count, and delete nothing.
    written: when each asset was last materialised, for tables that have no time of their own.
    """
    now = datetime.now(UTC)
    run = _Run(registry, as_of or now, now, dry_run, dict(written or {}))
    assets = [run.clear(contract) for contract in _aged(registry)]
    assets += run.clear_subjects()
    run.purge_replaced()
    report = RetentionReport(run.as_of, dry_run, tuple(run.verified(assets)))
    if not dry_run:
        counts = {asset.asset: asset.deleted for asset in report.assets if asset.deleted}
        audit.record("retention", "retention enforced", {"deleted": counts, "faults": len(report.faults)})  # fmt: skip
    return report


def overdue_before(contract: AssetContract, as_of: datetime, now: datetime) -> datetime:
    """The moment before which the asset's content is overdue; the contract has a retention.

    The shop's data is counted from `as_of`, what the platform wrote itself from `now`.
    """
    assert contract.retention is not None
    own = contract.key.startswith(PLATFORM_PREFIX) or not contract.retention.column
    # Online features have no column; their values carry the times of the shop's data.
    by_the_clock = own and contract.store.kind != "feast_online"
    return contract.retention.overdue_before(now if by_the_clock else as_of)


def refused_before(contract: AssetContract, as_of: datetime | None) -> datetime | None:
    """The moment before which a row is not to be written any more, for it would be overdue; None where rows do not age.

    `as_of` as in `enforce`. What leaves with its subject, such as the ledger, is written whatever its age.
    """
    if contract.retention is None or not contract.retention.column or leaves_with_subject(contract):
        return None
    now = datetime.now(UTC)
    return overdue_before(contract, as_of or now, now)


def _aged(registry: Registry) -> list[AssetContract]:
    """Contracts whose content goes by its age; the rest of those with a retention leaves with its subject."""
    return [
        contract
        for contract in registry.contracts
        if contract.retention
        and not leaves_with_subject(contract)
        and (contract.store.kind != "none" or contract.handler)
    ]


@dataclass
class _Run:
    registry: Registry
    as_of: datetime
    now: datetime
    dry_run: bool
    written: dict[str, datetime]
    tables: set[tuple[str, str]] = field(default_factory=set)
    in_redis: bool = False

    def due(self, contract: AssetContract) -> Due:
        """What is overdue in the asset: the shop's data by `as_of`, what the platform wrote itself by the clock."""
        before = overdue_before(contract, self.as_of, self.now)
        return Due(before, restricted(contract.key), self.written.get(contract.key))

    def clear(self, contract: AssetContract) -> AssetRetention:
        try:
            return self._clear(contract)
        except Exception as error:
            return _entry(contract, error=describe(error))

    def _clear(self, contract: AssetContract) -> AssetRetention:
        expiry, due = expiry_for(contract), self.due(contract)
        before = expiry.overdue(contract, due)
        if self.dry_run:
            is_view = isinstance(contract.store, PostgresStore) and contract.store.is_view
            gone = 0 if is_view or expiry.reports_only else before.found
            return _entry(contract, before, deleted=gone, left=before.found - gone)
        gone = expiry.expire(contract, due) if before.found else 0
        if gone:
            self.touch(contract)
        return _entry(contract, before, deleted=gone)

    def clear_subjects(self) -> list[AssetRetention]:
        """Subjects of whom nothing is left leave ledger and vault."""
        leaving = [c for c in self.registry.contracts if leaves_with_subject(c) and c.retention]
        held, counts = restricted_anywhere(), dict.fromkeys((c.key for c in leaving), 0)
        act = count_inactive if self.dry_run else remove_inactive
        try:
            counts |= act(self.registry, self.now, held)
        except Exception as error:
            return [_entry(contract, error=describe(error)) for contract in leaving]
        for contract in leaving:
            if counts[contract.key] and not self.dry_run:
                self.touch(contract)
        why = "leaves with its subject, when nothing else is held of them"
        return [
            _entry(contract, Overdue(why=why), deleted=counts[contract.key]) for contract in leaving
        ]

    def touch(self, contract: AssetContract) -> None:
        """Remember what must be rewritten, so that the deleted bytes leave the disk."""
        self.in_redis |= contract.store.kind in _IN_REDIS
        match contract.store:
            case PostgresStore(schema_name=schema, table=table):
                self.tables.add((schema, table))
        if contract.handler:
            self.tables |= set(handler_for(contract).tables(contract))

    def purge_replaced(self) -> None:
        """Rewrite what was deleted from, and what a rectification changed, so that the old bytes leave the disk."""
        corrected = [] if self.dry_run else replaced.pending()
        changed = {entry.asset_key for entry in corrected}
        for contract in self.registry.contracts:
            if contract.key in changed:
                self.touch(contract)
        self.in_redis |= bool(corrected)
        self.scrub()
        if corrected:
            replaced.purge_lake(self.registry)
            replaced.close(corrected, self.registry, self.written)

    def scrub(self) -> None:
        if self.tables:
            scrub_postgres(self.tables)
        if self.in_redis:
            scrub_redis()

    def verified(self, assets: Sequence[AssetRetention]) -> Iterable[AssetRetention]:
        """Each asset's entry, with what a search finds overdue now."""
        if self.dry_run:
            yield from assets
            return
        for asset in assets:
            if asset.error:
                yield asset
                continue
            contract = self.registry.get(asset.asset)
            try:
                left = (
                    self._remaining.get(asset.asset, 0)
                    if leaves_with_subject(contract)
                    else expiry_for(contract).overdue(contract, self.due(contract)).found
                )
                yield AssetRetention(**{**asdict(asset), "left": left})
            except Exception as error:
                yield AssetRetention(**{**asdict(asset), "error": describe(error)})

    @cached_property
    def _remaining(self) -> dict[str, int]:
        """What should have left with its subject and did not; asked once, when the stores were cleared."""
        return count_inactive(self.registry, self.now, restricted_anywhere())


def _entry(
    contract: AssetContract,
    found: Overdue | None = None,
    *,
    deleted: int = 0,
    left: int = 0,
    error: str | None = None,
) -> AssetRetention:
    assert contract.retention is not None
    found = found or Overdue()
    return AssetRetention(
        asset=contract.key,
        store=contract.store.kind,
        days=contract.retention.days,
        counted_from=contract.retention.start,
        deleted=deleted,
        restricted=found.held,
        kept=found.kept,
        left=left,
        why=found.why,
        error=error,
    )
