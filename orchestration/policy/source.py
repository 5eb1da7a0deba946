"""The project's own modules as syntax trees, for rules that read code."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from privacy.settings import PROJECT_ROOT

__all__ = ["PACKAGES", "Module", "modules"]

PACKAGES = ("privacy", "consent", "feature_repo", "recommenders", "serving", "orchestration")


@dataclass(frozen=True)
class Module:
    """One Python file; `root` is what its path is shown from."""

    path: Path
    root: Path = PROJECT_ROOT

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.path.read_text(), filename=str(self.path))

    def at(self, node: ast.expr | ast.stmt) -> str:
        """``file:line`` of a node."""
        return f"{self.path.relative_to(self.root)}:{node.lineno}"


def modules(root: Path = PROJECT_ROOT, packages: tuple[str, ...] = PACKAGES) -> Iterator[Module]:
    """Every module of the packages under `root`."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            yield Module(path, root)
