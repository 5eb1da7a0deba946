"""dbt's models in Dagster's words: key, owner, contract and columns of each asset come from the model."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from orchestration.cadence import FRESH, NIGHTLY
from orchestration.contracted import contract_metadata, contract_tags
from orchestration.warehouse_contracts import contract_of

__all__ = ["TRANSLATOR", "WarehouseTranslator"]


class WarehouseTranslator(DagsterDbtTranslator):  # type: ignore[misc]  # untyped in our settings
    """dbt's resources as the platform's assets: keys, owners and contracts from the models themselves."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """``schema/name``; the consent views stand for the ledger they are made of."""
        if dbt_resource_props.get("source_name") == "consent":
            return dg.AssetKey(["consent", "records"])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """The spec of a model or snapshot, under its contract; sources keep dagster-dbt's."""
        spec: dg.AssetSpec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] not in ("model", "snapshot"):
            return spec
        contract = contract_of(node)
        return spec.replace_attributes(
            group_name="warehouse",
            owners=[contract.owner],
            description=contract.description,
            kinds={"dbt", "postgres", node["config"]["materialized"]},
            tags=contract_tags(contract),
            automation_condition=NIGHTLY,
            freshness_policy=FRESH,
            metadata={**spec.metadata, **contract_metadata(contract), **_column_schema(node)},
        )

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        """The check of a dbt test, with the test's description."""
        spec: dg.AssetCheckSpec | None = super().get_asset_check_spec(
            asset_spec, manifest, unique_id, project
        )
        description = self.get_resource_props(manifest, unique_id)["description"]
        return spec._replace(description=description) if spec and description else spec


def _column_schema(node: Mapping[str, Any]) -> dict[str, dg.TableSchema]:
    columns = [
        dg.TableColumn(name, column["data_type"] or "", description=column["description"])
        for name, column in node["columns"].items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


TRANSLATOR = WarehouseTranslator(
    # The consent views collapse into one asset, the ledger.
    DagsterDbtTranslatorSettings(
        enable_duplicate_source_asset_keys=True, enable_source_metadata=False
    )
)
