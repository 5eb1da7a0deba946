"""What a rectification replaced: its bytes leave the disk with the daily retention, and so do the copies made of it.

A rectification corrects rows at once. The wrong values stay where rows were: in pages and in the write-ahead log of Postgres,
in files of the lake that no version in use names, in the append-only file of Redis. Tables that are made of the corrected ones
hold them until they are made again. So a rectification is purged with every run of retention until each such table was
materialised in a run that began after it; then its steps `purge` are done. An older version of a model keeps what it was trained on until its own
retention ends; only the newest one serves.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from privacy import lake
from privacy.contracts import AssetContract, DeltaStore
from privacy.database import Role, connect
from privacy.registry import PLATFORM_PREFIX, Registry

__all__ = ["Replaced", "close", "pending", "purge_lake"]

_LONGEST_RUN = timedelta(hours=12)
_PENDING = """
select request_id, asset_key, updated from requests.steps s join requests.privacy_requests r using (request_id)
where r.kind = 'rectification' and s.step = 'rectify' and s.status = 'done' and s.affected > 0 and not exists (
  select from requests.steps p
  where (p.request_id, p.asset_key, p.step, p.status) = (s.request_id, s.asset_key, 'purge', 'done')
)
"""


class Replaced(NamedTuple):
    """One asset in which a rectification changed something, and when."""

    request_id: UUID
    asset_key: str
    at: datetime


def pending() -> list[Replaced]:
    """What was corrected, and is not purged yet."""
    with connect(Role.PRIVACY) as connection:
        return [Replaced(*row) for row in connection.execute(_PENDING).fetchall()]


def purge_lake(registry: Registry) -> None:
    """Delete the files of the lake that no version in use names, of every table about people."""
    for contract in registry.holding_subjects:
        if isinstance(contract.store, DeltaStore):
            lake.purge(contract.store.path)


def close(
    purged: Sequence[Replaced], registry: Registry, written: Mapping[str, datetime]
) -> list[Replaced]:
    """Note what is purged for good, and return it: where every table made of corrected ones was `written` by a later run."""
    oldest = min((written[key] for key in _derived(registry) if key in written), default=None)
    done = [entry for entry in purged if oldest is None or entry.at + _LONGEST_RUN < oldest]
    with connect(Role.PRIVACY) as connection:
        connection.cursor().executemany(
            "insert into requests.steps (request_id, asset_key, step, status, attempts) values (%s, %s, 'purge', 'done', 1) "
            "on conflict (request_id, asset_key, step) do update set status = 'done', updated = clock_timestamp()",
            [(entry.request_id, entry.asset_key) for entry in done],
        )
    return done


def _derived(registry: Registry) -> Iterable[str]:
    """Keys of the assets that hold people and were not provided by them: they are made of those that were."""
    return (contract.key for contract in registry.holding_subjects if _is_derived(contract))


def _is_derived(contract: AssetContract) -> bool:
    return not (contract.provided or contract.key.startswith(PLATFORM_PREFIX))
