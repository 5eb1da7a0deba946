"""`./selvedge late`: every asset that is older than it may be, with what kept it."""

from datetime import UTC, datetime

from rich.table import Table

from orchestration.lateness import LateAsset, late_assets
from orchestration.progress import stage
from orchestration.servers.dagster import instance
from privacy.settings import PlatformSettings

__all__ = ["late_now", "late_table"]


def late_now(settings: PlatformSettings) -> list[LateAsset]:
    """What is late now, by Dagster's own records."""
    with stage("load the definitions"):
        from orchestration.definitions import defs
    return late_assets(instance(settings), defs.resolve_asset_graph(), datetime.now(UTC))


def late_table(found: list[LateAsset]) -> Table:
    """A row for each late asset; where to begin comes first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("asset", "made (UTC)", "age (h)", "allowed (h)", "why"):
        table.add_column(title, justify="right" if "(h)" in title else "left")
    now = datetime.now(UTC)
    for each in found:
        age = f"{(now - each.made).total_seconds() / 3600:.1f}" if each.made else ""
        made = f"{each.made:%Y-%m-%d %H:%M}" if each.made else "never"
        allowed = f"{each.allowed.total_seconds() / 3600:.0f}"
        table.add_row(each.asset, made, age, allowed, each.cause)
    return table
