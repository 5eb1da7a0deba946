"""Rules about Postgres tables: every table that a migration creates is in a contract."""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from orchestration.policy.violation import Violation
from privacy.contracts import AssetContract, PostgresStore
from privacy.settings import PROJECT_ROOT
from privacy.stores import handler_for

__all__ = ["MIGRATIONS", "contracted_tables", "tables_in_contracts"]

MIGRATIONS = PROJECT_ROOT / "privacy" / "migrations" / "versions"
_CREATE = re.compile(
    r"\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?([a-z_]+)\.([a-z_0-9]+)",
    re.IGNORECASE,
)
# What one contract of a table covers with its handler: parts of the same store.
_PARTS = {
    ("vault", "identifiers"): ("vault", "subjects"),
    ("vault", "direct_identifiers"): ("vault", "subjects"),
}


def contracted_tables(contracts: Iterable[AssetContract]) -> set[tuple[str, str]]:
    """(schema, table) of every table that a contract, or the handler it names, tells of."""
    tables = set()
    for contract in contracts:
        if isinstance(contract.store, PostgresStore):
            tables.add((contract.store.schema_name, contract.store.table))
        if contract.handler and contract.holds_subjects:
            tables |= set(handler_for(contract).tables(contract))
    return tables


def tables_in_contracts(
    known: Collection[tuple[str, str]], folder: Path = MIGRATIONS
) -> Iterator[Violation]:
    """A violation for each ``create table`` in the migrations whose table is in no contract."""
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".sql", ".py"):
            continue
        text = path.read_text()
        for found in _CREATE.finditer(text):
            table = (found[1].lower(), found[2].lower())
            if table not in known and _PARTS.get(table) not in known:
                line = text.count("\n", 0, found.start()) + 1
                yield Violation(
                    f"{_shown(path)}:{line}",
                    f"table {'.'.join(table)} is in no contract",
                    "give it an AssetContract, or register it in PLATFORM_CONTRACTS of privacy/registry.py, so that erasure "
                    "and retention reach it",
                    "table-without-contract",
                )


def _shown(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path.name)
