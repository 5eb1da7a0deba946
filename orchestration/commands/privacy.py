"""``./selvedge privacy …``: what a privacy officer asks of the platform."""

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Column, Table

from orchestration.commands import proof
from orchestration.governance.retention_table import retention_sentence, retention_table
from orchestration.progress import console, stage
from privacy import registry, requests, rotation
from privacy.controller import load_controller
from privacy.key_providers import configured_provider
from privacy.keys import KeyProviderError, key_provider
from privacy.requester import RequesterKeyError, development_token
from privacy.retention import enforce
from privacy.settings import platform_settings

__all__ = ["app"]

app = typer.Typer(
    help="Privacy requests, keys and reports.", no_args_is_help=True, rich_markup_mode="rich"
)

proof.add_to(app)


class RotatedChoice(StrEnum):
    """What `rotate-keys` rotates."""

    LOOKUP = "lookup"
    WRAPPING = "wrapping"
    ALL = "all"


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
    table = Table(
        Column("request", no_wrap=True), "kind", "status", "received", "due", "missing steps"
    )
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


@app.command(epilog="Example: [bold]./selvedge privacy token --kind access --subject 100042[/]")
def token(
    kind: Annotated[
        requests.RequestKind, typer.Option(help="What the person asks for.", show_default=False)
    ],
    subject: Annotated[
        str,
        typer.Option(
            help="The shop's customer number, or a subject reference.", show_default=False
        ),
    ],
) -> None:
    """Sign a requester's token with the generated key of a development platform, as the shop would with its own.

    Send it with the storefront's key in the header Selvedge-Requester; it is good for one call within ten minutes.
    """
    try:
        token = development_token(kind, subject)
    except RequesterKeyError as error:
        raise typer.BadParameter(str(error)) from None
    sys.stdout.write(token + "\n")


@app.command("create-keys", epilog="Example: [bold]./selvedge privacy create-keys[/]")
def create_keys() -> None:
    """Make the platform's keys with the configured provider, once, for a platform that holds nothing yet."""
    provider = configured_provider()
    if not provider.create():
        raise KeyProviderError(
            f"{provider.path.name} is there already: it made what the platform holds, so it is left as it is."
        )
    console.print(
        f"[green]✓[/] {provider.path.name} made; back it up where only its keepers reach it"
    )


@app.command(
    "rotate-keys",
    epilog="Example: [bold]./selvedge privacy rotate-keys --key lookup --destroy-old[/]",
)
def rotate_keys(
    key: Annotated[RotatedChoice, typer.Option(help="Which key to rotate.")] = RotatedChoice.ALL,
    destroy_old: Annotated[
        bool,
        typer.Option(
            "--destroy-old", help="Destroy the old versions as well, once nothing needs them."
        ),
    ] = False,
) -> None:
    """Rotate the vault's keys while everything runs; no pseudonym changes. Cut short, it goes on where it ended."""
    keys = key_provider()
    if sealed := keys.reseal():
        console.print(f"[green]✓[/] {sealed} key versions sealed anew by the key service")
    chosen = [name for name in rotation.ROTATED if key.value in (name, "all")]
    for name in chosen:
        with stage(f"rotate the {name} key") as spinner:
            done = rotation.rotate(
                name,
                keys,
                lambda table, rows, total: spinner.update(f"{table}: {rows:,} of {total:,} rows"),
            )
        how = "finished the earlier rotation to" if done.resumed else "now at"
        rows = ", ".join(f"{table} {count:,}" for table, count in done.changed.items())
        console.print(f"  {how} version {done.version}; rows brought to it: {rows}")
    for name in chosen if destroy_old else []:
        destroyed = rotation.destroy_old(name, keys)
        numbers = ", ".join(map(str, destroyed)) or "none was left"
        console.print(f"[green]✓[/] old versions of the {name} key destroyed: {numbers}")


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


@app.command(epilog="Example: [bold]./selvedge privacy policy[/]")
def policy() -> None:
    """Check the project against the privacy policy: contracts, columns, purposes, filters, tables, keys, logs."""
    from orchestration.definitions import defs
    from orchestration.policy.rules import violations

    found = violations(defs)
    for violation in found:
        console.print(f"[red]{violation.rule}[/] {escape(str(violation))}")
    console.print(f"{len(found)} violations." if found else "The project breaks no rule.")
    if found:
        raise typer.Exit(1)


Format = Annotated[Literal["markdown", "json"], typer.Option("--format", help="How to print it.")]


@app.command(epilog="Example: [bold]./selvedge privacy ropa --format markdown > record.md[/]")
def ropa(form: Format = "markdown") -> None:
    """Print the record of processing activities (Art. 30), made from the contracts."""
    from orchestration.governance.measures import measures
    from orchestration.governance.ropa import as_markdown, record_of_processing

    record = record_of_processing(registry.load(), load_controller(), measures())
    _write(record, form, as_markdown)


@app.command(epilog="Example: [bold]./selvedge privacy dpia --format json[/]")
def dpia(form: Format = "markdown") -> None:
    """Print the facts that an impact assessment (Art. 35) needs, as they are now."""
    from orchestration.definitions import defs
    from orchestration.governance.dpia import as_markdown, facts
    from orchestration.governance.measures import measures

    _write(facts(registry.load(), defs, measures()), form, as_markdown)


def _write(found: dict[str, Any], form: str, as_markdown: Callable[[dict[str, Any]], str]) -> None:
    text = as_markdown(found) if form == "markdown" else json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
