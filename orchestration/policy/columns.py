"""Rules about columns: personal data is where a contract says so, and direct identifiers are in the vault alone."""

import re
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from orchestration.contract_checks import PERSONAL_COLUMN
from orchestration.policy.violation import Violation
from privacy.contracts import AssetContract, Category

__all__ = ["columns_of", "tagged"]

_PSEUDONYM = re.compile(r"(^|_)pseudonyms?$")
_RULE = "untagged-personal-column"


def columns_of(spec: dg.AssetSpec) -> list[str]:
    """Names of the columns that an asset declares: dbt's, Feast's, a Delta table's, a Postgres table's."""
    schema = spec.metadata.get("dagster/column_schema")
    schema = getattr(schema, "value", schema)
    return [column.name for column in schema.columns] if isinstance(schema, dg.TableSchema) else []


def tagged(
    columns: Mapping[str, Iterable[str]], contracts: Mapping[str, AssetContract]
) -> Iterator[Violation]:
    """No column named like personal data that its asset's contract does not tell of.

    `columns` maps asset keys to names of columns; `contracts` the same keys to contracts.
    """
    for key in sorted(columns):
        contract = contracts.get(key)
        for name in columns[key]:
            what = _fault(name, contract)
            if what:
                yield Violation(f"{key}, column {name}", *what, _RULE)


def _fault(name: str, contract: AssetContract | None) -> tuple[str, str] | None:
    if not PERSONAL_COLUMN.search(name) or contract is None:
        return None
    if not contract.holds_subjects:
        return (
            f"it is named like personal data, and the contract's category is '{contract.category}'",
            "leave the column out, or declare category 'pseudonymous' (or 'direct', 'sensitive') and `subject`",
        )
    if _PSEUDONYM.search(name):
        return (
            None
            if name == contract.subject
            else (
                f"it holds a pseudonym, and the contract finds people by '{contract.subject}'",
                "name one column as `subject`, so that erasure finds every row",
            )
        )
    if contract.category is Category.DIRECT:
        return None
    return (
        f"it is named like a direct identifier, and the contract's category is '{contract.category}'",
        "keep it in the vault (Vault.store_direct) and the pseudonym here, or declare category 'direct'",
    )
