"""`./selvedge bench`: figures with a baseline measured in the same run, as a table or as one JSON object.

A benchmark is a module `tests/benchmarks/<name>.py` with a function ``run(quick: bool) -> list[Figure]``.
"""

import importlib
import operator
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psutil
from rich.table import Table

from privacy.settings import PROJECT_ROOT

__all__ = [
    "BenchmarkError",
    "Figure",
    "Goal",
    "benchmarks",
    "output_to_stderr",
    "report",
    "run",
    "table",
]

FOLDER = PROJECT_ROOT / "tests" / "benchmarks"
_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


class BenchmarkError(ValueError):
    """There is no such benchmark; names those that exist."""


@dataclass(frozen=True)
class Goal:
    """What a figure should reach; compared with its ratio where `of` says so."""

    op: Literal["<=", ">="]
    value: float
    of: Literal["value", "ratio"] = "value"


@dataclass(frozen=True)
class Figure:
    """One measured figure; a value that could not be measured is None and `why` says so."""

    name: str
    value: float | None
    unit: str
    baseline: float | None = None
    goal: Goal | None = None
    why: str | None = None

    @property
    def ratio(self) -> float | None:
        """Value divided by baseline, where both are known."""
        if self.value is None or not self.baseline:
            return None
        return self.value / self.baseline

    @property
    def held(self) -> bool | None:
        """Whether the goal is reached; None without a goal, False where it could not be measured."""
        if self.goal is None:
            return None
        measured = self.value if self.goal.of == "value" else self.ratio
        return measured is not None and _OPERATORS[self.goal.op](measured, self.goal.value)

    def as_json(self) -> dict[str, Any]:
        """The figure in the machine-readable form."""
        goal = {"op": self.goal.op, "value": self.goal.value} if self.goal else None
        fields = {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "goal": goal,
            "held": self.held,
        }
        return fields | ({"why": self.why} if self.why else {})


@contextmanager
def output_to_stderr() -> Iterator[None]:
    """What this process and those that it starts print goes to standard error, so that one JSON object is all of the output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def benchmarks() -> list[str]:
    """Names of all benchmarks."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def run(name: str, *, quick: bool) -> list[Figure]:
    """Run one benchmark; raises BenchmarkError for an unknown name."""
    if name not in benchmarks():
        raise BenchmarkError(f"no benchmark '{name}'; one of: {', '.join(benchmarks())}")
    figures: list[Figure] = importlib.import_module(f"tests.benchmarks.{name}").run(quick)
    return figures


def _commit() -> str:
    result = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"


def report(name: str, figures: list[Figure]) -> dict[str, Any]:
    """The JSON object of a run."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    return {
        "name": name,
        "machine": machine,
        "commit": _commit(),
        "figures": [figure.as_json() for figure in figures],
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def table(name: str, figures: list[Figure]) -> Table:
    """The figures as a table with units."""
    result = Table(title=name, box=None, pad_edge=False, header_style="bold", title_justify="left")
    result.add_column("figure")
    for title in ("value", "baseline", "ratio"):
        result.add_column(title, justify="right")
    for title in ("unit", "goal", "held"):
        result.add_column(title)
    for figure in figures:
        goal = f"{figure.goal.of} {figure.goal.op} {figure.goal.value:g}" if figure.goal else ""
        held = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure.held]
        result.add_row(
            figure.name,
            _number(figure.value),
            _number(figure.baseline),
            _number(figure.ratio),
            figure.why or figure.unit,
            goal,
            held,
        )
    return result
