"""``./selvedge privacy …``: what a privacy officer asks of the platform."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from orchestration.progress import console, stage
from privacy import requests, rotation
from privacy.key_providers import configured_provider
from privacy.keys import KeyProviderError, key_provider

__all__ = ["app"]

app = typer.Typer(
    help="Privacy requests, keys and reports.", no_args_is_help=True, rich_markup_mode="rich"
)


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
