"""How long a value may be used online, counted from when it was written there.

Feast's own `ttl` of a view counts from the event time, and its online reads do not ask for it. Here the event time would not do:
a source may have ended years ago, and a snapshot holds until the next one, however old. A value is stale once nothing has confirmed
it: no materialisation or push wrote it again within the time that the view's contract allows (`Retention`, five weeks). So each
write says until when its values are good, and each read, Feast's and the ranker's, leaves out what is past that.
"""

from datetime import UTC, datetime, timedelta

from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.views import ONLINE
from privacy.contracts import AssetContract

__all__ = ["expired", "good_until", "online_ttl"]


def online_ttl(contract: AssetContract) -> timedelta:
    """How long values of a view may be used after they were written: the contract's retention, `ONLINE` where it has none."""
    return timedelta(days=(contract.retention or ONLINE).days)


def good_until(contract: AssetContract) -> Value:
    """Until when (Unix time in seconds) values that are written now may be used."""
    limit = datetime.now(UTC) + online_ttl(contract)
    return Value(unix_timestamp_val=int(limit.timestamp()))


def expired(encoded: bytes | None) -> bool:
    """Whether values with this limit may no longer be used; without one nobody knows how old they are."""
    if not encoded:
        return True
    limit: int = Value.FromString(encoded).unix_timestamp_val
    return datetime.now(UTC).timestamp() >= limit
