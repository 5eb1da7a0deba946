"""The job that enforces retention each day, after the graph has run."""

from typing import Any

import dagster as dg

from orchestration.retention_clock import data_as_of, last_written
from orchestration.retries import retrying
from privacy import registry
from privacy.retention import RetentionReport, enforce

__all__ = ["retention", "retention_daily"]

_COLUMNS = ("asset", "days", "counted_from", "deleted", "restricted", "kept", "left", "why")


@dg.op(
    name="delete_what_is_overdue",
    description="Delete what is older than its contract allows, in every store, and search for what is left.",
)
@retrying
def delete_what_is_overdue(context: dg.OpExecutionContext) -> None:
    """Enforce every contract's retention; the run fails where something overdue is left without a reason."""
    found = registry.load()
    report = enforce(
        found,
        as_of=data_as_of(),
        written=last_written(context.instance, _assets(found)),
    )
    metadata = _metadata(report)
    context.log.info(f"{report.deleted} deleted, {len(report.faults)} faults")  # noqa: G004
    context.add_output_metadata(metadata)
    if report.faults:
        raise dg.Failure(
            description="Retention is not complete: "
            + "; ".join(report.faults[:10])
            + ". Mend what is named and run the "
            "job again; ./selvedge privacy retention --dry-run shows what is overdue.",
            metadata=metadata,
            allow_retries=False,
        )


def _assets(found: registry.Registry) -> list[str]:
    own = registry.PLATFORM_PREFIX
    return [contract.key for contract in found.contracts if not contract.key.startswith(own)]


def _metadata(report: RetentionReport) -> dict[str, Any]:
    rows = report.as_json()["assets"]
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in _COLUMNS])
    records = [dg.TableRecord({name: str(row[name]) for name in _COLUMNS}) for row in rows]
    return {
        "deleted": report.deleted,
        "restricted": sum(row["restricted"] for row in rows),
        "left": sum(row["left"] for row in rows),
        "faults": len(report.faults),
        "assets": dg.MetadataValue.table(records=records, schema=schema),
    }


@dg.job(
    description="Deletes what is older than its contract allows, in every store, and verifies it.",
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Enforce retention."""
    delete_what_is_overdue()


retention_daily = dg.ScheduleDefinition(
    name="retention_daily",
    job=retention,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Retention, each day at 06:00 UTC: after the nightly graph.",
)
