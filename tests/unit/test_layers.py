"""Imports run one way: privacy <- consent <- recommenders <- serving; orchestration may import all of them."""

import ast
from pathlib import Path

import pytest

from privacy.settings import PROJECT_ROOT

ALLOWED = {
    "privacy": {"privacy"},
    "consent": {"privacy", "consent"},
    "feature_repo": {"privacy", "consent", "feature_repo"},
    "recommenders": {"privacy", "consent", "feature_repo", "recommenders"},
    "serving": {"privacy", "consent", "recommenders", "serving"},
    "orchestration": {
        "privacy",
        "consent",
        "feature_repo",
        "recommenders",
        "serving",
        "orchestration",
    },
}


def _imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split(".")[0])
    return modules & ALLOWED.keys()


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = [
        f"{path.relative_to(PROJECT_ROOT)} imports {', '.join(sorted(extra))}"
        for path in sorted((PROJECT_ROOT / package).rglob("*.py"))
        if (extra := _imported(path) - ALLOWED[package])
    ]
    assert not wrong, "; ".join(wrong)
