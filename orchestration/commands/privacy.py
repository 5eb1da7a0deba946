"""``./selvedge privacy …``: what a privacy officer asks of the platform."""

import json
import sys
from typing import Annotated

import typer
from rich.table import Table

from orchestration.progress import console
from privacy import requests
from privacy.requester import RequesterKeyError, development_token

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
        sys.stdout.write(development_token(kind, subject) + "\n")
    except RequesterKeyError as error:
        raise typer.BadParameter(str(error)) from None


def _row(request: requests.PrivacyRequest) -> dict[str, object]:
    return {
        "request_id": str(request.request_id),
        "kind": request.kind.value,
        "status": request.status.value,
        "created": request.created.isoformat(),
        "expected_completion_time": request.expected_completion_time.isoformat(),
        "unfinished": list(request.unfinished),
    }
