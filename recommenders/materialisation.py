"""From the offline to the online store: the newest row of every entity, of subjects who agree and of no others."""

from dataclasses import dataclass

import pyarrow as pa
from feast import FeatureView

from privacy.stores.feast_online import FeastOnlineHandler
from recommenders.consented_online_store import contract_of
from recommenders.features import feature_store, latest
from recommenders.freshness import note_materialised
from recommenders.online_profile import keep_online
from recommenders.permission import permitted

__all__ = ["Materialised", "materialise"]

CHUNK_ROWS = 5_000


@dataclass(frozen=True)
class Materialised:
    """What one materialisation did, in counts of entities.

    Attributes
    ----------
    rows: entities with a fresh row in the offline store.
    online: entities written (for subjects: those who agree).
    withheld: subjects left out for want of consent or by objection.
    removed: entities whose older online values were deleted.
    newest: time of the newest row in ISO 8601, None without rows.
    """

    rows: int
    online: int
    withheld: int
    removed: int
    newest: str | None


def materialise(view: FeatureView) -> Materialised:
    """Write the newest rows of `view` online; afterwards the store holds no subject without present consent.

    The online store itself withholds rows (`ConsentedRedisOnlineStore`); here values written earlier are removed: of
    subjects, and of products that have no row any more. When that was is noted for the API's metrics; a push or a
    `feast materialize` by hand notes nothing, for it may have reached few of the entities.
    """
    rows = latest(view)
    newest = max(rows["event_timestamp"].to_pylist(), default=None)
    counts = _materialise(view, rows, newest.isoformat() if newest else None)
    note_materialised(view, newest)
    return counts


def _materialise(view: FeatureView, rows: pa.Table, newest: str | None) -> Materialised:
    contract = contract_of(view)
    for batch in rows.to_batches(max_chunksize=CHUNK_ROWS):
        if batch.num_rows:
            feature_store().write_to_online_store(view.name, batch.to_pandas())
    if not contract.holds_subjects:
        return Materialised(rows.num_rows, rows.num_rows, 0, _keep_online(view, rows), newest)
    subjects = set(rows[contract.subject].to_pylist())
    online, removed = keep_online(permitted(subjects, contract))
    return Materialised(rows.num_rows, online, len(subjects) - online, removed, newest)


def _keep_online(view: FeatureView, rows: pa.Table) -> int:
    """Remove the values of `view` of every entity without a row; returns how many had any."""
    (key,) = view.join_keys
    handler, found = FeastOnlineHandler(), contract_of(view).model_copy(update={"subject": key})
    kept = set(rows[key].to_pylist())
    online = {name for batch in handler.held(found) for name in batch.to_pylist()}
    return handler.erase(found, sorted(online - kept))
