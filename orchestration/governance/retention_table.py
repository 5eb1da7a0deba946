"""A run of retention as a table for the console."""

from rich.table import Table

from privacy.retention import AssetRetention, RetentionReport

__all__ = ["retention_sentence", "retention_table"]


def retention_table(report: RetentionReport) -> Table:
    """One row for each asset with a retention."""
    gone = "would go" if report.dry_run else "deleted"
    result = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("asset", "store"):
        result.add_column(title)
    result.add_column("kept for", justify="right")
    result.add_column("counted from")
    for title in (gone, "restricted", "left"):
        result.add_column(title, justify="right")
    result.add_column("note")
    for asset in report.assets:
        result.add_row(*_cells(asset))
    return result


def _cells(asset: AssetRetention) -> tuple[str, ...]:
    note = f"[red]{asset.error}[/]" if asset.error else asset.why
    if asset.kept:
        note = f"{asset.kept} kept: {note}"
    return (
        asset.asset,
        asset.store,
        f"{asset.days:,} days",
        asset.counted_from,
        _count(asset.deleted),
        _count(asset.restricted),
        f"[red]{asset.left:,}[/]" if asset.left else "-",
        note,
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def retention_sentence(report: RetentionReport) -> str:
    """What came of the run, in one sentence."""
    day = f"{report.as_of:%Y-%m-%d %H:%M} UTC"
    if report.dry_run:
        return f"As of {day}, {report.deleted:,} would go. Nothing was deleted."
    if report.faults:
        return f"[red]Not complete[/] as of {day}: " + "; ".join(report.faults) + "."
    return f"{report.deleted:,} deleted as of {day}; nothing overdue is left."
