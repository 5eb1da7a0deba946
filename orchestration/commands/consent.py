"""``./selvedge consent …``: what the platform asks people, and what they answered."""

from typing import Annotated

import typer
from rich.table import Table

from consent.purposes import purpose_definitions
from orchestration.progress import console

__all__ = ["app"]

app = typer.Typer(
    help="Purposes and the consent ledger.", no_args_is_help=True, rich_markup_mode="rich"
)


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
