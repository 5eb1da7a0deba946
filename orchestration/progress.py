"""What the command line shows while something takes longer than a moment: stages with their times."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

__all__ = ["console", "fail", "stage"]

console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def stage(title: str) -> Iterator[Status]:
    """Show `title` with a spinner while the block runs, then the time it took in seconds."""
    started = time.monotonic()
    with console.status(title) as spinner:
        if not console.is_terminal:
            console.print(f"… {title}")
        yield spinner
    console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - started:.1f} s[/]")


def fail(message: str) -> None:
    """Print what went wrong and what to do, on the error stream."""
    _errors.print(f"[red]selvedge:[/] {escape(message)}")
