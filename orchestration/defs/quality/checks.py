"""A data-quality check of every ingested asset; it blocks wherever an asset holds subjects."""

import dagster as dg

from orchestration.ingest.run import asset_key
from orchestration.quality.report import TableReport
from orchestration.quality.rules import Severity
from orchestration.quality.run import check_stored_table
from orchestration.sources.model import TABLES, Handling, Table

__all__ = ["quality_checks"]


def _holds_subject(table: Table) -> bool:
    return any(handling is Handling.SUBJECT_ID for _, handling, _ in table.columns.values())


BLOCKING = frozenset(asset_key(name) for name, table in TABLES.items() if _holds_subject(table))
"""Assets with rows about subjects, the consent ledger among them: nothing is made of them while a critical rule is
broken, such as that of a pseudonym or of a masked text."""


def _result(report: TableReport) -> dg.AssetCheckResult:
    critical = report.severity is Severity.CRITICAL
    return dg.AssetCheckResult(
        passed=report.success,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        description="; ".join(result.sentence() for result in report.broken) or None,
        metadata={
            "rows": report.rows or 0,
            "rules": len(report.results),
            "broken": len(report.broken),
            "results": dg.MetadataValue.md(_markdown(report)),
        },
    )


def _markdown(report: TableReport) -> str:
    lines = ["| column | rule | checked | broken | held |", "|---|---|---:|---:|---|"]
    lines += [
        f"| {result.column} | {result.says} | {result.checked:,} | "
        f"{'' if result.broken is None else f'{result.broken:,}'} | {'yes' if result.held else '**no**'} |"
        for result in report.results
    ]
    return "\n".join(lines)


def _quality_check(table_name: str) -> dg.AssetChecksDefinition:
    key = asset_key(table_name)

    @dg.asset_check(
        asset=key.split("/"),
        name="data_quality",
        blocking=key in BLOCKING,
        description="The rules of the canonical table hold on what is stored; results are counts alone.",
    )
    def data_quality() -> dg.AssetCheckResult:
        return _result(check_stored_table(table_name))

    return data_quality


quality_checks = [_quality_check(name) for name in TABLES]
