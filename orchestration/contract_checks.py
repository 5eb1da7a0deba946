"""A check for every asset, built from its contract alone: what is stored is what the contract says.

Where subjects are held, each key must be a well-formed pseudonym and no subject who left the asset may be in it; where none
are said to be held, no column may be named like one that would, and behind each figure of an aggregate there must be
enough people.

An objection takes effect at the asset's next materialisation. A check therefore judges by the objections that stood when the
run began which wrote the asset: one that arrived since waits for the next run, and is counted when it has waited for longer
than the contract allows.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from psycopg import sql

from consent import ledger, masks
from consent.objections import objecting, withheld
from orchestration.contracted import contracts_of
from orchestration.retries import retrying
from privacy import lake
from privacy.contracts import (
    SMALLEST_GROUP,
    Artifacts,
    AssetContract,
    Category,
    DeltaStore,
    PostgresStore,
)
from privacy.database import Role, connect
from privacy.settings import platform_settings
from privacy.stores import handler_for

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


def examine(contract: AssetContract, written: datetime | None = None) -> ContractFindings:
    """Compare the asset's store with `contract`; holds counts only, never a value.

    Parameters
    ----------
    written: when the run began that wrote the asset; None where that is not known, and every objection counts.

    Memory: a batch of rows, and the pseudonyms of those who left the asset.
    """
    findings = ContractFindings()
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            findings |= _examine_columns(contract, _postgres_columns(schema, table))
        case DeltaStore(path=path):
            findings |= _examine_columns(contract, _delta_columns(path))
        case Artifacts(path=path):
            findings |= _examine_artifacts(contract, platform_settings().models_dir / path)
    if contract.holds_subjects and contract.subject:
        findings |= _examine_subjects(contract, written)
    elif contract.people and not findings.get("missing_tables"):
        findings |= _examine_groups(contract)
    return findings


def _examine_subjects(contract: AssetContract, written: datetime | None) -> dict[str, int]:
    found = {"rows": 0, "malformed_pseudonyms": 0, "rows_of_withheld_subjects": 0}
    left = pa.array(sorted(_left(contract, _effective(contract, written))), pa.string())
    for batch in handler_for(contract).held(contract):
        known = batch.drop_null()
        formed = pc.sum(pc.match_substring_regex(known, PSEUDONYM)).as_py() or 0
        found["rows"] += len(batch)
        found["malformed_pseudonyms"] += len(known) - formed
        found["rows_of_withheld_subjects"] += pc.sum(pc.is_in(known, value_set=left)).as_py() or 0
    return found


def _effective(contract: AssetContract, written: datetime | None) -> datetime | None:
    """Before when objections must have been acted on: the write, or longer ago than the contract lets them wait."""
    if written is None or contract.withhold is None:
        return None
    return max(written, datetime.now(UTC) - contract.withhold.within)


def _left(contract: AssetContract, before: datetime | None) -> frozenset[str]:
    """Who must not be in the asset, by the objections made before that moment. The mask of who left the masks stays without a bit: it keeps their other objections."""
    # What subjects provided is kept under a restriction; what is made of it is not.
    kept = contract.provided or contract.key == ledger.ASSET_KEY
    left = objecting(contract.key, before) if kept else withheld(contract.key, before)
    return masks.with_a_bit(left) if contract.key == masks.ASSET_KEY else left


def _examine_columns(contract: AssetContract, columns: list[str]) -> dict[str, int]:
    if contract.holds_subjects:
        return {"missing_tables": int(not columns)}
    personal = [name for name in columns if PERSONAL_COLUMN.search(name)]
    return {"missing_tables": int(not columns), "personal_columns": len(personal)}


def _postgres_columns(schema: str, table: str) -> list[str]:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [f"{schema}.{table}"],
        ).fetchall()
    return [row[0] for row in rows]


def _delta_columns(path: str) -> list[str]:
    if not lake.exists(path):
        return []
    columns: list[str] = lake.open_table(path).to_pyarrow_dataset().schema.names
    return columns


def _examine_groups(contract: AssetContract) -> dict[str, int]:
    """Figures of an aggregate table that too few people stand behind; null is no figure."""
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            few = sum(_few_in_postgres(schema, table, column) for column in contract.people)
        case DeltaStore(path=path):
            rows = lake.open_table(path).to_pyarrow_dataset()
            few = sum(
                rows.count_rows(filter=ds.field(column) < SMALLEST_GROUP)
                for column in contract.people
            )
        case _:
            return {}
    return {"groups_of_too_few_people": few}


def _few_in_postgres(schema: str, table: str, column: str) -> int:
    query = sql.SQL("select count(*) from {} where {} < %s").format(
        sql.Identifier(schema, table), sql.Identifier(column)
    )
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(query, [SMALLEST_GROUP]).fetchone()
    return int(row[0]) if row else 0


def _examine_artifacts(contract: AssetContract, root: Path) -> dict[str, int]:
    manifests = [json.loads(file.read_text()) for file in root.rglob("manifest.json")]
    unnamed = [manifest for manifest in manifests if "contract" not in manifest]
    findings = {
        "missing_manifests": int(not manifests),
        "manifests_without_contract": len(unnamed),
    }
    if contract.holds_subjects:
        return findings
    findings["personal_columns"] = sum(
        bool(PERSONAL_COLUMN.search(name))
        for file in root.rglob("*.parquet")
        for name in pq.read_schema(file).names
    )
    if contract.category is Category.AGGREGATE:
        groups = [manifest.get("smallest_group", 0) for manifest in manifests]
        few = [people for people in groups if people is not None and people < SMALLEST_GROUP]
        findings["groups_of_too_few_people"] = len(few)
    return findings


def _written(instance: dg.DagsterInstance, key: str) -> datetime | None:
    """When the run began that last materialised the asset; None where none did."""
    event = instance.get_latest_materialization_event(dg.AssetKey(key.split("/")))
    run = instance.get_run_record_by_id(event.run_id) if event else None
    return datetime.fromtimestamp(run.start_time, UTC) if run and run.start_time else None


def _check(contract: AssetContract) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=contract.key.split("/"),
        name="contract_holds",
        description="What is stored is what the asset's privacy contract says.",
        blocking=contract.holds_subjects or bool(contract.people),
    )
    @retrying
    def contract_holds(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        findings = examine(contract, _written(context.instance, contract.key))
        return dg.AssetCheckResult(
            passed=findings.clean, metadata={kind: int(count) for kind, count in findings.items()}
        )

    return contract_holds


def contract_checks(definitions: dg.Definitions) -> Iterator[dg.AssetChecksDefinition]:
    """One `contract_holds` check for every asset; blocking where subjects are held, or counted in a table."""
    for contract in contracts_of(definitions):
        yield _check(contract)
