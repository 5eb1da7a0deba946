"""A check for every asset, built from its contract alone: what is stored is what the contract says.

Where subjects are held, each key must be a well-formed pseudonym and no subject who left the asset may be in it; where none
are said to be held, no column may be named like one that would.
"""

import json
import re
from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from psycopg import sql

from consent import ledger
from consent.objections import objecting, withheld
from orchestration.contracted import contracts_of
from privacy.contracts import Artifacts, AssetContract, DeltaStore, PostgresStore
from privacy.database import Role, connect
from privacy.settings import platform_settings

__all__ = ["ContractFindings", "contract_checks", "examine"]

PSEUDONYM = r"^[0-9a-f]{32}$"
PERSONAL_COLUMN = re.compile(
    r"(^|_)(pseudonym|subject_id|customer_id|e_?mail|phone|birth_?date|first_name|last_name|full_name)s?$"
)


class ContractFindings(dict[str, int]):
    """Counts of what contradicts the contract, by kind; empty kinds are zero."""

    @property
    def clean(self) -> bool:
        """Whether nothing contradicts the contract."""
        return not any(count for kind, count in self.items() if kind != "rows")


def examine(contract: AssetContract) -> ContractFindings:
    """Compare the asset's store with `contract`; holds counts only, never a value."""
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            columns = _postgres_columns(schema, table)
            subjects = _postgres_subjects(contract, schema, table)
        case DeltaStore(path=path):
            delta = DeltaTable(str(platform_settings().lake_dir / path))
            columns = delta.to_pyarrow_dataset().schema.names
            subjects = (
                delta.to_pyarrow_table(columns=[contract.subject])[contract.subject]
                if contract.holds_subjects and contract.subject
                else None
            )
        case Artifacts(path=path):
            return _examine_artifacts(path)
        case _:
            return ContractFindings()
    if subjects is None:
        personal = [name for name in columns if PERSONAL_COLUMN.search(name)]
        return ContractFindings(personal_columns=len(personal))
    return _examine_subjects(contract, subjects)


def _examine_subjects(contract: AssetContract, subjects: pa.ChunkedArray) -> ContractFindings:
    known = subjects.drop_null()
    # What subjects provided is kept under a restriction; what is made of it is not.
    left_out = objecting if contract.provided or contract.key == ledger.ASSET_KEY else withheld
    left = pa.array(sorted(left_out(contract.key)), pa.string())
    return ContractFindings(
        rows=len(subjects),
        malformed_pseudonyms=len(known)
        - (pc.sum(pc.match_substring_regex(known, PSEUDONYM)).as_py() or 0),
        rows_of_withheld_subjects=pc.sum(pc.is_in(known, value_set=left)).as_py() or 0,
    )


def _postgres_columns(schema: str, table: str) -> list[str]:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [f"{schema}.{table}"],
        ).fetchall()
    return [row[0] for row in rows]


def _postgres_subjects(contract: AssetContract, schema: str, table: str) -> pa.ChunkedArray | None:
    if not contract.holds_subjects or contract.subject is None:
        return None
    query = sql.SQL("select {}::text from {}").format(
        sql.Identifier(contract.subject), sql.Identifier(schema, table)
    )
    with connect(Role.PRIVACY) as connection:
        values = [row[0] for row in connection.execute(query)]
    return pa.chunked_array([pa.array(values, pa.string())])


def _examine_artifacts(path: str) -> ContractFindings:
    manifests = list((platform_settings().models_dir / path).rglob("manifest.json"))
    unnamed = [file for file in manifests if "contract" not in json.loads(file.read_text())]
    return ContractFindings(
        missing_manifests=int(not manifests), manifests_without_contract=len(unnamed)
    )


def _check(contract: AssetContract) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=contract.key.split("/"),
        name="contract_holds",
        description="What is stored is what the asset's privacy contract says.",
        blocking=contract.holds_subjects,
    )
    def contract_holds() -> dg.AssetCheckResult:
        findings = examine(contract)
        return dg.AssetCheckResult(
            passed=findings.clean, metadata={kind: int(count) for kind, count in findings.items()}
        )

    return contract_holds


def contract_checks(definitions: dg.Definitions) -> Iterator[dg.AssetChecksDefinition]:
    """One `contract_holds` check for every asset; blocking where subjects are held."""
    for contract in contracts_of(definitions):
        yield _check(contract)
