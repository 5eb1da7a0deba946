"""``./selvedge privacy …``: what a privacy officer asks of the platform."""

import json
import sys
from typing import Annotated

import typer
from rich.table import Table

from orchestration.governance.retention_table import retention_sentence, retention_table
from orchestration.progress import console
from privacy import registry, requests
from privacy.retention import enforce
from privacy.settings import platform_settings

__all__ = ["app"]

app = typer.Typer(
    help="Privacy requests, keys and reports.", no_args_is_help=True, rich_markup_mode="rich"
)


@app.callback()
def _group() -> None:
    """Privacy requests, keys and reports."""


@app.command("requests", epilog="Example: [bold]./selvedge privacy requests --json[/]")
def list_requests(
    closed: Annotated[
        bool, typer.Option("--all", help="Those that are completed or cancelled as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List privacy requests with their deadline, the most urgent first; they say nothing of whom they are about."""
    found = requests.listed(open_only=not closed)
    if as_json:
        sys.stdout.write(json.dumps([_row(request) for request in found], indent=2) + "\n")
        return
    table = Table("request", "kind", "status", "received", "due", "missing steps")
    for request in found:
        row = _row(request)
        table.add_row(
            str(row["request_id"]),
            str(row["kind"]),
            str(row["status"]),
            f"{request.created:%Y-%m-%d %H:%M} UTC",
            f"{request.expected_completion_time:%Y-%m-%d}",
            str(len(request.unfinished)),
        )
    console.print(table if found else "No privacy request is open.")


def _row(request: requests.PrivacyRequest) -> dict[str, object]:
    return {
        "request_id": str(request.request_id),
        "kind": request.kind.value,
        "status": request.status.value,
        "created": request.created.isoformat(),
        "expected_completion_time": request.expected_completion_time.isoformat(),
        "unfinished": list(request.unfinished),
    }


@app.command(epilog="Example: [bold]./selvedge privacy retention --dry-run[/]")
def retention(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what is overdue and delete nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Delete what is older than its contract allows, in every store, and search for what is left."""
    from orchestration.retention_clock import data_as_of, last_written
    from orchestration.servers.dagster import instance

    found = registry.load()
    with instance(platform_settings()) as dagster:
        assets = [c.key for c in found.contracts if not c.key.startswith(registry.PLATFORM_PREFIX)]
        written = last_written(dagster, assets)
    report = enforce(found, as_of=data_as_of(), dry_run=dry_run, written=written)
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
    else:
        console.print(retention_table(report))
        console.print(retention_sentence(report))
    if report.faults:
        raise typer.Exit(1)
