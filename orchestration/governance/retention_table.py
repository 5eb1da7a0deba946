"""A run of retention as a table for the console."""

from rich.markup import escape
from rich.table import Table

from privacy.retention import AssetRetention, RetentionReport

__all__ = ["retention_sentence", "retention_table"]


def retention_table(report: RetentionReport) -> Table:
    """One row for each asset of which something was overdue; the others are counted in the sentence below it."""
    gone = "would go" if report.dry_run else "deleted"
    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("asset", no_wrap=True)
    result.add_column("kept for")
    for title in (gone, "restricted", "left"):
        result.add_column(title, justify="right", no_wrap=True)
    result.add_column("note")
    for asset in report.assets:
        if _overdue(asset):
            result.add_row(*_cells(asset))
    return result


def _overdue(asset: AssetRetention) -> bool:
    return bool(asset.deleted or asset.restricted or asset.kept or asset.left or asset.error)


def _cells(asset: AssetRetention) -> tuple[str, ...]:
    note = f"[red]{escape(asset.error)}[/]" if asset.error else asset.why
    if asset.kept:
        note = f"{asset.kept} kept: {note}"
    return (
        asset.asset,
        f"{asset.days:,} days from {asset.counted_from}",
        _count(asset.deleted),
        _count(asset.restricted),
        f"[red]{asset.left:,}[/]" if asset.left else "-",
        note,
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def retention_sentence(report: RetentionReport) -> str:
    """What came of the run, in one sentence."""
    day, assets = f"{report.as_of:%Y-%m-%d %H:%M} UTC", len(report.assets)
    if report.dry_run:
        return f"{assets} assets as of {day}: {report.deleted:,} would go. Nothing was deleted."
    if report.faults:
        named = escape("; ".join(report.faults))
        return f"[red]Not complete[/] as of {day}, {assets} assets: {named}."
    return f"{assets} assets as of {day}: {report.deleted:,} deleted, and a search found nothing overdue left."
