"""Whether the online store holds what the offline store says: a sample of entities, every value, exactly.

Asked as a reader asks, through Feast's own `get_online_features`. Counts alone come back, never a value or a pseudonym.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from feast import FeatureView
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.type_map import feast_value_type_to_python_type

from privacy.contracts import AssetContract
from recommenders.consented_online_store import contract_of
from recommenders.features import feature_store, latest
from recommenders.permission import corrected, permitted

__all__ = ["SAMPLE", "Parity", "compare"]

SAMPLE = 1_000
_SEED = 17
# Entities asked for in one call.
_ASKED = 500
_TIME = "event_timestamp"
Row = Mapping[str, Any]


@dataclass
class Parity:
    """Counts of one comparison.

    Attributes
    ----------
    entities: sampled entities of the offline store; each is one of the next six.
    equal: every value and the time are the same.
    different: some value or the time is another.
    missing: not online, though they should be.
    withheld: subjects who do not permit it, rightly not online.
    leaked: subjects who do not permit it, online all the same.
    outdated: subjects whose row was made before they corrected something; online is what was made since.
    values: values compared, times included.
    differing: column to how many entities differ in it.
    """

    entities: int = 0
    equal: int = 0
    different: int = 0
    missing: int = 0
    withheld: int = 0
    leaked: int = 0
    outdated: int = 0
    values: int = 0
    differing: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether each sampled entity is online exactly as offline, or rightly absent."""
        return not (self.different or self.missing or self.leaked)


def compare(view: FeatureView, most: int = SAMPLE, seed: int = _SEED) -> Parity:
    """Compare the newest offline rows of at most `most` entities of `view` with what is online.

    The same `seed` takes the same entities of the same rows. Numbers and texts must be equal in kind and to the last bit, lists
    in order, nulls null, times to the microsecond.
    """
    rows, (key,) = latest(view), view.join_keys
    sample = _sample(rows, key, most, seed)
    contract = contract_of(view)
    withheld, outdated = _not_expected(sample, contract) if contract.holds_subjects else ((), ())
    counts = Parity(entities=len(sample))
    for start in range(0, len(sample), _ASKED):
        some = sample[start : start + _ASKED]
        for row, online in zip(some, _online(view, [row[key] for row in some]), strict=True):
            if row[key] in withheld:
                counts.leaked += online is not None
                counts.withheld += online is None
            elif row[key] in outdated:
                counts.outdated += 1
            else:
                _count(counts, row, online)
    return counts


def _sample(rows: pa.Table, key: str, most: int, seed: int) -> list[dict[str, Any]]:
    order = sorted(range(rows.num_rows), key=rows[key].to_pylist().__getitem__)
    chosen = random.Random(seed).sample(order, min(most, len(order)))  # noqa: S311
    found: list[dict[str, Any]] = rows.take(chosen).to_pylist()
    return found


def _not_expected(rows: Sequence[Row], contract: AssetContract) -> tuple[set[str], set[str]]:
    """Who may not be online, and whose row is older than their last correction."""
    made = {row[str(contract.subject)]: row["created"] for row in rows}
    allowed = permitted(set(made), contract)
    since = corrected(allowed)
    outdated = {name for name, at in since.items() if made[name] is None or made[name] < at}
    return set(made) - allowed, outdated


def _online(view: FeatureView, keys: Sequence[str]) -> list[Row | None]:
    """Each entity's values and time as Feast answers them; None where nothing of the view is there."""
    (key,), names = view.join_keys, [feature.name for feature in view.features]
    asked = [f"{view.name}:{name}" for name in names]
    answer = feature_store().get_online_features(asked, [{key: name} for name in keys]).proto
    columns = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
    return [_row(columns, names, position) for position in range(len(keys))]


def _row(columns: Mapping[str, Any], names: Sequence[str], position: int) -> Row | None:
    if any(columns[name].statuses[position] != FieldStatus.PRESENT for name in names):
        return None
    time = columns[names[0]].event_timestamps[position].ToDatetime(tzinfo=UTC)
    values = {
        name: feast_value_type_to_python_type(columns[name].values[position]) for name in names
    }
    return {**values, _TIME: time}


def _count(counts: Parity, row: Row, online: Row | None) -> None:
    if online is None:
        counts.missing += 1
        return
    differing = [name for name, value in online.items() if not _same(row[name], value)]
    counts.values += len(online)
    counts.differing.update(differing)
    counts.different += bool(differing)
    counts.equal += not differing


def _same(offline: Any, online: Any) -> bool:
    if isinstance(offline, list) and isinstance(online, list):
        return len(offline) == len(online) and all(map(_same, offline, online))
    if isinstance(offline, datetime) and isinstance(online, datetime):
        return offline == online
    return type(offline) is type(online) and bool(offline == online)
