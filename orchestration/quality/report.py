"""What the rules found, as counts: no value, row or identifier of the data is in it."""

from collections import Counter
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

from orchestration.quality.rules import Severity

__all__ = ["QualityReport", "RuleResult", "TableReport"]


@dataclass(frozen=True)
class RuleResult:
    """How one rule held.

    Attributes
    ----------
    column, says: the rule.
    checked: values it was asked of (known ones, unless it asks whether they are known).
    broken: values that break it; None where it concerns the table as a whole.
    held: whether the rule holds, `mostly` considered.
    error: kind of the error where it could not be asked.
    """

    column: str
    says: str
    severity: Severity
    checked: int
    broken: int | None
    held: bool
    error: str | None = None

    def sentence(self) -> str:
        """The rule and its counts in words."""
        rule = f"{self.column} {self.says}"
        if self.error:
            return f"{rule}: could not be asked ({self.error})"
        if self.broken is None:
            return rule
        return f"{rule}: {self.broken:,} of {self.checked:,} break it"


@dataclass
class TableReport:
    """The results of one table.

    Attributes
    ----------
    name: the canonical table.
    rows: rows that the rules were asked of; None where there is no such table.
    results: how each rule held.
    read: rows of the source's files; 0 for what is stored.
    quarantined: rows that the connector refused, counted by reason; no rule sees them.
    max_quarantined: largest share of `read` that may be refused; None for what is stored, which may also be empty.
    """

    name: str
    rows: int | None = 0
    results: list[RuleResult] = field(default_factory=list)
    read: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    max_quarantined: float | None = None

    @property
    def broken(self) -> list[RuleResult]:
        """The rules that do not hold."""
        return [result for result in self.results if not result.held]

    @property
    def quarantined_share(self) -> float:
        """Share of the rows read that the connector refused, from 0 to 1."""
        return self.quarantined.total() / self.read if self.read else 0.0

    @property
    def faults(self) -> list[str]:
        """What is wrong with a raw table beside its rules: too many rows refused, or none there."""
        if self.max_quarantined is None:
            return []
        found = []
        if self.quarantined_share > self.max_quarantined:
            limit = _percent(self.max_quarantined)
            found.append(f"quarantined {_percent(self.quarantined_share)}, limit {limit}")
        if not self.rows:
            found.append("no rows")
        return found

    @property
    def success(self) -> bool:
        """Whether every rule holds and nothing else is wrong."""
        return not self.broken and not self.faults

    @property
    def severity(self) -> Severity:
        """The worst of what is wrong."""
        critical = any(result.severity is Severity.CRITICAL for result in self.broken)
        return Severity.CRITICAL if critical or self.faults else Severity.WARNING


@dataclass
class QualityReport:
    """The results of all tables of `subject`, a source or what is stored."""

    subject: str
    tables: list[TableReport]

    @property
    def rows(self) -> int:
        """Rows that were checked."""
        return sum(table.rows or 0 for table in self.tables)

    @property
    def success(self) -> bool:
        """Whether there was something to check and every rule holds."""
        return self.rows > 0 and all(table.success for table in self.tables)

    def table(self) -> Table:
        """The report as a table for the console."""
        shown = Table(title=f"Data quality of {self.subject}", title_justify="left")
        for heading in ("table", "read", "quarantined (%)", "rows", "rules", "result"):
            left = heading in ("table", "result")
            shown.add_column(heading, justify="left" if left else "right")
        for table in self.tables:
            shown.add_row(*_cells(table))
        if not self.rows:
            shown.caption = "Nothing to check: there are no rows."
        return shown


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _cells(table: TableReport) -> tuple[str, ...]:
    if table.rows is None:
        return (table.name, "-", "-", "-", "-", "[dim]not stored[/]")
    held = len(table.results) - len(table.broken)
    faults = [*table.faults, *(result.sentence() for result in table.broken)]
    passed = "[green]ok[/]" if table.rows else "[dim]no rows[/]"
    raw = table.max_quarantined is not None
    return (
        table.name,
        f"{table.read:,}" if raw else "-",
        _quarantined(table) if raw else "-",
        f"{table.rows:,}",
        f"{held}/{len(table.results)}",
        "\n".join(f"[red]{escape(fault)}[/]" for fault in faults) or passed,
    )


def _quarantined(table: TableReport) -> str:
    """Rows refused, their share, and the three commonest reasons."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in table.quarantined.most_common(3))
    counted = f"{table.quarantined.total():,} ({_percent(table.quarantined_share)})"
    return counted + (f"\n[dim]{escape(reasons)}[/]" if reasons else "")
