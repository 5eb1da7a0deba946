"""From when the ages of the shop's data are counted, and when each asset was last written."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import dagster as dg

from orchestration.settings import orchestration_settings
from orchestration.sources.mapping import load_mapping, shipped_mappings
from privacy.settings import Environment, platform_settings

__all__ = ["counted_from", "data_as_of", "last_written"]


def data_as_of() -> datetime | None:
    """The end (UTC) of the day that counts as today for the shop's data; None where that is the clock's.

    The settings say so, or the mapping of a historic source, whose every row would be overdue by the clock. In production it
    is always the clock.
    """
    settings = platform_settings()
    if settings.environment is Environment.PRODUCTION:
        return None
    day = settings.retention_as_of
    if day is None:
        name = orchestration_settings().source
        file = shipped_mappings().get(name) or Path(name)
        day = load_mapping(file).ended if file.is_file() else None
    return None if day is None else datetime.combine(day, time.min, UTC) + timedelta(days=1)


def counted_from(days: int) -> datetime:
    """The moment before which rows with a retention of `days` are overdue now."""
    return (data_as_of() or datetime.now(UTC)) - timedelta(days=days)


def last_written(instance: dg.DagsterInstance, keys: list[str]) -> dict[str, datetime]:
    """When each asset of `keys` was last materialised; those that never were are left out."""
    events = instance.get_latest_materialization_events(
        [dg.AssetKey(key.split("/")) for key in keys]
    )
    return {
        key.to_user_string(): datetime.fromtimestamp(event.timestamp, UTC)
        for key, event in events.items()
        if event is not None
    }
