"""``./selvedge consent …``: what the platform asks people, and what they answered."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from consent import chain
from consent.purposes import purpose_definitions
from consent.verification import ChainReport, verify_chain
from orchestration.progress import console, fail, stage
from privacy.signing import SigningError, public_key_pem

__all__ = ["app"]

app = typer.Typer(
    help="Purposes and the consent ledger.", no_args_is_help=True, rich_markup_mode="rich"
)


_SHOWN = 20


@app.callback()
def _group() -> None:
    """Purposes and the consent ledger."""


@app.command(epilog="Example: [bold]./selvedge consent purposes --language de[/]")
def purposes(
    language: Annotated[str, typer.Option(help="de, en or fr.")] = "en",
) -> None:
    """Show each purpose with its legal basis and the text that a person is asked."""
    table = Table("purpose", "legal basis", "text")
    for purpose, definition in purpose_definitions().items():
        if language not in definition.text:
            raise typer.BadParameter(
                f"no texts in '{language}'; there are {', '.join(sorted(definition.text))}"
            )
        table.add_row(purpose.value, definition.legal_basis.value, definition.text[language])
    console.print(table)


@app.command(
    epilog="Example: [bold]./selvedge consent verify --public-key selvedge.pem --head head-of-monday.json[/]"
)
def verify(
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Public key (PEM) of those that signed heads and erasures; the platform's own if none is given.",
        ),
    ] = None,
    head: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A head that was kept elsewhere (what 'consent head' printed).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the whole ledger: name every record that was edited, removed, moved or cut off. Exits with 1 where one is."""
    keys = [path.read_bytes() for path in public_key or ()]
    kept = [_kept_head(path) for path in head or ()]
    try:
        if as_json:
            report = verify_chain(keys, kept)
        else:
            with stage("verify the consent ledger") as spinner:
                report = verify_chain(keys, kept, _shown(spinner))
    except SigningError as error:
        fail(str(error))
        raise typer.Exit(2) from None
    (_print_json if as_json else _print_report)(report)
    raise typer.Exit(1 if report.findings else 0)


@app.command(epilog="Example: [bold]./selvedge consent head --sign > head-of-monday.json[/]")
def head(
    sign: Annotated[bool, typer.Option(help="Sign the chain's present end first.")] = False,
) -> None:
    """Print the newest signed head as JSON: kept elsewhere, it shows later that nothing was cut off."""
    try:
        newest = chain.sign_head() if sign else chain.latest_head()
    except SigningError as error:
        fail(str(error))
        raise typer.Exit(2) from None
    if newest is None:
        fail("No head was signed yet: the job consent_daily does, or add --sign.")
        raise typer.Exit(1)
    sys.stdout.write(json.dumps(newest.document(), indent=1) + "\n")


@app.command("public-key", epilog="Example: [bold]./selvedge consent public-key > selvedge.pem[/]")
def print_public_key() -> None:
    """Print the public key with which anybody checks heads and erasures."""
    try:
        sys.stdout.write(public_key_pem().decode())
    except SigningError as error:
        fail(str(error))
        raise typer.Exit(2) from None


def _kept_head(path: Path) -> chain.Head:
    try:
        return chain.Head.from_document(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter(
            f"{path.name} is no head: give a file that './selvedge consent head' wrote."
        ) from None


def _shown(spinner: Status) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        text = f"verify the consent ledger: {done:,} of {total:,} records"
        spinner.update(text)
        if not console.is_terminal and done < total and done % 200_000 == 0:
            console.print(f"… {text}")

    return progress


def _print_report(report: ChainReport) -> None:
    for finding in report.findings[:_SHOWN]:
        console.print(f"[red]✗[/] {escape(finding)}")
    if len(report.findings) > _SHOWN:
        console.print(f"… and {len(report.findings) - _SHOWN:,} more; --json lists them all.")
    console.print(
        f"{report.records:,} records, {report.erased:,} of them erased lawfully; {report.heads:,} signed heads, "
        f"the newest valid one over record {report.signed_until:,}; {len(report.findings):,} findings."
    )
    if report.records > report.signed_until:
        console.print(
            f"Records {report.signed_until + 1:,} to {report.records:,} are under no signed head yet: "
            "had some after them been cut off, it would not show."
        )


def _print_json(report: ChainReport) -> None:
    document = {
        "sound": not report.findings,
        "records": report.records,
        "erased": report.erased,
        "heads": report.heads,
        "signed_until": report.signed_until,
        "findings": report.findings,
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
