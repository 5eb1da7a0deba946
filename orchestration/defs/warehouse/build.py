"""The dbt models as Dagster assets, their tests as checks, and the documentation of the warehouse."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation, dbt_assets
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
from packaging.version import Version
from psycopg import sql

from orchestration.contracted import contracted_asset
from orchestration.defs.ingest.contracts import COLUMNS
from orchestration.lineage.columns import ColumnLineage, Source, lineage_metadata
from orchestration.lineage.of_sql import sql_lineage
from orchestration.warehouse_contracts import check_layers, models
from orchestration.warehouse_project import (
    PROJECT_DIR,
    WarehouseProjectError,
    dbt_environment,
    dbt_executable,
    manifest,
    state_dir,
)
from orchestration.warehouse_translator import TRANSLATOR
from privacy.contracts import NoStore, no_personal_data
from privacy.database import Role, connect
from privacy.lineage import record_sources

MANIFEST = manifest()
check_layers(MANIFEST)
MODELS = sorted(f"{node['schema']}/{node['name']}" for node in models(MANIFEST))


def _invoke(args: list[str], context: dg.AssetExecutionContext) -> DbtCliInvocation:
    """dbt with `args` for the assets that `context` selects; the password reaches that process alone."""
    chosen = get_updated_cli_invocation_params_for_context(
        context=context, manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR
    )
    environment = {
        **os.environ,
        **dbt_environment(),
        "DBT_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    if chosen.indirect_selection:
        environment["DBT_INDIRECT_SELECTION"] = chosen.indirect_selection
    return DbtCliInvocation.run(
        args=[dbt_executable(), "--no-use-colors", *args, *chosen.selection_args],
        env=environment,
        manifest=chosen.manifest,
        dagster_dbt_translator=chosen.dagster_dbt_translator,
        project_dir=PROJECT_DIR,
        target_path=state_dir() / "target",
        raise_on_error=True,
        context=context,
        adapter=None,
        cli_version=Version(version("dbt-core")),
    )


def _rows(relation: tuple[str, str]) -> int:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(*relation))
    with connect(Role.DBT) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _counted(event: Any) -> Any:
    """A model's event with its row count and what its columns are made of; others as they are."""
    if not isinstance(event, dg.Output):
        return event
    schema, _, table = event.output_name.partition("__")
    lineage = _lineage(f"{schema}/{table}")
    record_sources(f"{schema}/{table}", lineage)
    rows = {"dagster/row_count": _rows((schema, table))}
    return event.with_metadata({**event.metadata, **rows, **lineage_metadata(lineage)})


def _lineage(relation: str) -> ColumnLineage:
    """What the columns of a model that was just built are made of, by the SQL that dbt made of it."""
    (node,) = (each for each in models(MANIFEST) if f"{each['schema']}/{each['name']}" == relation)
    if node["resource_type"] == "snapshot":
        return _snapshot_lineage(node)
    compiled = (
        state_dir() / "target" / "compiled" / node["package_name"] / node["original_file_path"]
    )
    return sql_lineage(compiled.read_text(), _columns())


def _snapshot_lineage(node: Mapping[str, Any]) -> ColumnLineage:
    """Of a snapshot's columns those of the model that it keeps; of the times and the name of a state, when that was changed."""
    (parent,) = (MANIFEST["nodes"][name] for name in node["depends_on"]["nodes"])
    kept, settings = f"{parent['schema']}/{parent['name']}", node["config"]
    changed, key = Source(kept, settings["updated_at"]), Source(kept, settings["unique_key"])
    names = settings["snapshot_meta_column_names"]
    return {
        **{name: {Source(kept, name)} for name in node["columns"] if name in parent["columns"]},
        **{names[f"dbt_{what}"]: {changed} for what in ("valid_from", "valid_to", "updated_at")},
        names["dbt_scd_id"]: {key, changed},
    }


@cache
def _columns() -> dict[str, dict[str, str]]:
    """Columns and types of every relation that a model may read."""
    made = {
        f"{node['schema']}/{node['name']}": {
            name: column["data_type"] or "" for name, column in node["columns"].items()
        }
        for node in models(MANIFEST)
    }
    return made | {f"shop/{table}": columns for table, columns in COLUMNS.items()}


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR, name="warehouse")  # type: ignore[untyped-decorator]
def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """Build the selected models, then run their tests; a failed test stops what depends on it."""
    for event in _invoke(["build"], context).stream():
        yield _counted(event)


@contracted_asset(
    no_personal_data(
        "warehouse/docs",
        owner="team:analytics",
        description="The warehouse explained: every model, column, test and their lineage as one page.",
        reason="Describes tables and columns; holds no rows.",
        store=NoStore(),
    ),
    group="warehouse",
    kinds=("dbt", "html"),
    deps=MODELS,
    columns={"model": "string", "description": "string", "columns": "list<string>"},
)
def docs() -> dg.MaterializeResult[None]:
    """Write the page to `dbt/docs/index.html` in the state folder."""
    done = subprocess.run(
        [dbt_executable(), "--quiet", "--no-use-colors", "docs", "generate", "--static"],
        cwd=PROJECT_DIR,
        env={**os.environ, **dbt_environment("docs")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WarehouseProjectError(f"dbt docs generate failed:\n{done.stdout}{done.stderr}")
    page = state_dir() / "docs" / "index.html"
    shutil.copyfile(page.with_name("static_index.html"), page)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(MODELS),
            "page": "dbt/docs/index.html",
            "bytes": page.stat().st_size,
        }
    )
