"""``./selvedge privacy …``: what proves an erasure, and what keeps it after a restore."""

import os
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from orchestration import demo as platform_demo
from orchestration.progress import console
from privacy import audit, certificates, restore, signing
from privacy.folders import Folder

__all__ = ["add_to"]


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        # The bootstrap script changes folder; a file is named from where its caller stands.
        path = Path(os.environ.get("SELVEDGE_CALLED_FROM", ".")) / path
    if not path.is_file():
        raise typer.BadParameter(f"there is no file '{text}'")
    return path.resolve()


FileArgument = Annotated[Path, typer.Argument(parser=_file, metavar="FILE")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group ``privacy``."""
    app.command(
        epilog="Example: [bold]./selvedge privacy certificate REQUEST_ID > erasure.json[/]"
    )(certificate)
    app.command("public-key", epilog="Example: [bold]./selvedge privacy public-key > key.pem[/]")(
        public_key
    )
    app.command(
        "verify-certificate",
        epilog="Example: [bold]./selvedge privacy verify-certificate erasure.json --public-key key.pem[/]",
    )(verify_certificate)
    app.command("verify-audit", epilog="Example: [bold]./selvedge privacy verify-audit[/]")(
        verify_audit
    )
    app.command(
        "after-restore",
        epilog="Example: [bold]./selvedge privacy after-restore --tombstones journal.jsonl[/]",
    )(after_restore)


def certificate(
    request_id: Annotated[str, typer.Argument(help="Id of a completed erasure.")],
) -> None:
    """Print the certificate of an erasure: what was erased where, searched everywhere, signed; about nobody."""
    try:
        text = certificates.get(UUID(request_id))
    except ValueError as error:
        raise typer.BadParameter("not the id of a privacy request") from error
    except certificates.CertificateUnavailableError as error:
        raise typer.BadParameter(str(error)) from error
    sys.stdout.write(text.decode() + "\n")


def public_key() -> None:
    """Print the public key with which anybody checks what this platform signed."""
    sys.stdout.write(signing.public_key_pem().decode())


def verify_certificate(
    file: FileArgument,
    public_key: Annotated[
        Path, typer.Option(parser=_file, metavar="FILE", help="The platform's public key, in PEM.")
    ],
) -> None:
    """Check a certificate offline: signature, chain and completeness; no database, no network, no secret."""
    try:
        found = certificates.check(file.read_bytes(), public_key.read_bytes())
    except (certificates.CertificateError, signing.SigningError) as error:
        console.print(f"[red]✗[/] {error}")
        raise typer.Exit(1) from error
    console.print(
        f"[green]✓[/] request {found.request_id}: erased from {found.assets} assets and stores, completed "
        f"{found.completed:%Y-%m-%d %H:%M} UTC, signed by key {found.key_id}"
    )
    if found.retraining_due:
        console.print(f"  trained again by the times it names: {', '.join(found.retraining_due)}")


def verify_audit() -> None:
    """Compute the chain of the audit log again, and name each entry that was changed, removed or put in."""
    report = audit.check()
    for fault in report.faults:
        console.print(f"[red]✗[/] {fault}")
    if report.faults:
        raise typer.Exit(1)
    console.print(f"[green]✓[/] {report.entries:,} entries, the last with hash {report.head.hex()}")


def after_restore(
    tombstones: Annotated[
        list[Path] | None,
        typer.Option(
            parser=_file,
            metavar="FILE",
            help="A copy of the journal of tombstones, where the platform's own was lost, or restored as well.",
        ),
    ] = None,
    new_journal: Annotated[
        bool,
        typer.Option(
            "--new-journal",
            help="No copy of the journal is left: take what it lacks from the database.",
        ),
    ] = False,
    lost: Annotated[
        list[Folder] | None,
        typer.Option(help="A folder that is gone with all that it held."),
    ] = None,
) -> None:
    """Erase again whoever a restored backup brought back; run it between `up --only-data` and `up`."""
    platform_demo.publish_contracts()
    report = restore.after_restore(tombstones or [], lost or [], new_journal=new_journal)
    console.print(
        f"{report.tombstones:,} tombstones taken up, {report.returned:,} subjects had come back."
    )
    if report.unknown:
        console.print(
            f"[red]![/] of {report.unknown:,} erasures no tombstone is left: find out whom they were about from the requests and "
            "certificates kept elsewhere, and erase them again before the platform starts."
        )
    for request in report.incomplete:
        console.print(f"[red]✗[/] request {request.request_id}: {'; '.join(request.unfinished)}")
    if report.incomplete:
        console.print("The platform stays stopped: mend what is named, then run the command again.")
        raise typer.Exit(1)
    console.print("[green]✓[/] nobody who was erased is left: './selvedge up' starts the platform")
