"""What the rules found, as counts: no value, row or identifier of the data is in it."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table

from orchestration.quality.rules import Severity

__all__ = ["QualityReport", "RuleResult", "TableReport"]

MOST_QUARANTINED = 0.5
"""A source of which more than half is refused is another source than its mapping says."""


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
    """The results of one table. `rows` is None where there is no such table."""

    name: str
    rows: int | None = 0
    results: list[RuleResult] = field(default_factory=list)
    quarantined: Counter[str] = field(default_factory=Counter)
    read: int = 0

    @property
    def broken(self) -> list[RuleResult]:
        """The rules that do not hold."""
        return [result for result in self.results if not result.held]

    @property
    def mostly_quarantined(self) -> bool:
        """Whether more than half of what was read was refused."""
        return self.quarantined.total() > MOST_QUARANTINED * max(self.read, 1)

    @property
    def success(self) -> bool:
        """Whether every rule holds."""
        return not self.broken and not self.mostly_quarantined

    @property
    def severity(self) -> Severity:
        """The worst of the broken rules."""
        critical = any(result.severity is Severity.CRITICAL for result in self.broken)
        return Severity.CRITICAL if critical or self.mostly_quarantined else Severity.WARNING


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
        for heading in ("table", "rows", "quarantined", "rules", "result"):
            right = heading in ("rows", "quarantined", "rules")
            shown.add_column(heading, justify="right" if right else "left")
        for table in self.tables:
            shown.add_row(*_cells(table))
        if not self.rows:
            shown.caption = "Nothing to check: there are no rows."
        return shown


def _cells(table: TableReport) -> tuple[str, ...]:
    if table.rows is None:
        return (table.name, "-", "-", "-", "[dim]not stored[/]")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in table.quarantined.most_common(3))
    held = len(table.results) - len(table.broken)
    faults = [f"[red]{result.sentence()}[/]" for result in table.broken]
    if table.mostly_quarantined:
        faults.append("[red]more than half of it is refused[/]")
    return (
        table.name,
        f"{table.rows:,}",
        f"{table.quarantined.total():,}" + (f"\n[dim]{reasons}[/]" if reasons else ""),
        f"{held}/{len(table.results)}",
        "\n".join(faults) or ("[green]ok[/]" if table.rows else "[dim]no rows[/]"),
    )
