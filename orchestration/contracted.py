"""Dagster assets that carry a privacy contract, and the check that none is without one."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, get_origin

import dagster as dg
from pydantic import ValidationError

from orchestration.cadence import FRESH, NIGHTLY, pool_of
from orchestration.lineage.columns import lineage_of
from orchestration.retries import retrying
from privacy.contracts import (
    SMALLEST_GROUP,
    AssetContract,
    Category,
    ContractError,
    DeltaStore,
    PostgresStore,
)
from privacy.lineage import AssetShape, record_sources

__all__ = [
    "CONTRACT_METADATA_KEY",
    "ROW_COUNT",
    "RowCountError",
    "contract_metadata",
    "contracted_asset",
    "contracted_spec",
    "contracts_of",
    "shapes_of",
]

CONTRACT_METADATA_KEY = "selvedge/contract"
ROW_COUNT = "dagster/row_count"


class RowCountError(ValueError):
    """An asset was materialised and did not say how many rows it holds."""


def contract_metadata(contract: AssetContract) -> dict[str, Any]:
    """Metadata entry that carries `contract` on an asset."""
    return {CONTRACT_METADATA_KEY: dg.MetadataValue.json(json.loads(contract.model_dump_json()))}


def contract_tags(contract: AssetContract) -> dict[str, str]:
    """Tags that let the Dagster UI filter assets by what they hold about people."""
    return {
        "selvedge/category": contract.category.value,
        **({"selvedge/legal_basis": contract.legal_basis.value} if contract.legal_basis else {}),
        **{f"selvedge/purpose.{purpose.value}": "yes" for purpose in contract.purposes},
    }


def contracted_spec(
    contract: AssetContract,
    *,
    group: str,
    kinds: Iterable[str],
    deps: Sequence[str | dg.AssetKey] = (),
    columns: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetSpec:
    """Spec of an asset under `contract`: its key, owner and description come from the contract; it is made every night.

    `columns` maps column name to type and is shown as the asset's column schema; `deps` are keys in their
    ``a/b`` form.
    """
    schema = (
        {
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(name, kind) for name, kind in columns.items()]
            )
        }
        if columns
        else {}
    )
    return dg.AssetSpec(
        key=contract.key.split("/"),
        deps=[dep.split("/") if isinstance(dep, str) else dep for dep in deps],
        description=contract.description,
        group_name=group,
        kinds=set(kinds),
        owners=[contract.owner],
        tags=contract_tags(contract),
        automation_condition=NIGHTLY,
        freshness_policy=FRESH,
        metadata={**contract_metadata(contract), **schema, **(metadata or {})},
    )


def contracted_asset(
    contract: AssetContract,
    *,
    group: str,
    kinds: Iterable[str],
    deps: Sequence[str | dg.AssetKey] = (),
    columns: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    check_specs: Sequence[dg.AssetCheckSpec] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator: one asset under `contract`. The function writes its own store and returns MaterializeResult.

    The asset raises RowCountError where its result does not say how many rows were written. After a transient failure
    (`orchestration.retries`) the function is called again.
    """
    spec = contracted_spec(
        contract, group=group, kinds=kinds, deps=deps, columns=columns, metadata=metadata
    )

    declare = dg.asset(
        key=spec.key,
        deps=spec.deps,
        description=spec.description,
        group_name=spec.group_name,
        kinds=set(kinds),
        owners=spec.owners,
        tags=contract_tags(contract),
        automation_condition=spec.automation_condition,
        freshness_policy=spec.freshness_policy,
        pool=pool_of(set(kinds)),
        metadata=spec.metadata,
        check_specs=check_specs,
    )

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        repeated = retrying(function)

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            return _counted(contract, repeated(*args, **kwargs))

        # Dagster knows the result type only where it is written without its parameter.
        if get_origin(function.__annotations__.get("return")) is dg.MaterializeResult:
            counted.__annotations__["return"] = dg.MaterializeResult
        return declare(counted)

    return decorate


def _counted(contract: AssetContract, result: Any) -> Any:
    """`result`, which says how many rows were written; raises RowCountError where it does not.

    What it says of its columns' sources is recorded beside the contract.
    """
    if not isinstance(result, dg.MaterializeResult):
        return result
    metadata = result.metadata or {}
    if ROW_COUNT not in metadata:
        raise RowCountError(
            f"Asset {contract.key} does not say how many rows it holds: add '{ROW_COUNT}' to the metadata of its result."
        )
    if (sources := lineage_of(metadata)) is not None:
        record_sources(contract.key, sources)
    return result


def shapes_of(definitions: dg.Definitions) -> list[AssetShape]:
    """Inputs and columns of every asset in `definitions`."""
    return [
        AssetShape(
            spec.key.to_user_string(),
            tuple(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
            _column_types(spec),
        )
        for spec in definitions.resolve_all_asset_specs()
    ]


def _column_types(spec: dg.AssetSpec) -> dict[str, str]:
    entry = spec.metadata.get("dagster/column_schema")
    schema = getattr(entry, "value", entry)
    return {column.name: column.type for column in schema.columns} if schema else {}


def _contract_of(spec: dg.AssetSpec) -> AssetContract:
    name = spec.key.to_user_string()
    entry = spec.metadata.get(CONTRACT_METADATA_KEY)
    if entry is None:
        raise ContractError(
            f"Asset {name} has no AssetContract. Declare it with contracted_asset(AssetContract(…)), "
            "in a dbt model's `meta.contract`, or state no_personal_data(reason=…)."
        )
    try:
        contract = AssetContract.model_validate(getattr(entry, "value", entry))
    except ValidationError as error:
        raise ContractError(f"The AssetContract of {name} is not valid: {error}") from error
    if contract.key != name:
        raise ContractError(
            f"Asset {name} carries the contract of {contract.key}: correct its key."
        )
    return contract


def contracts_of(definitions: dg.Definitions) -> list[AssetContract]:
    """The contract of every asset in `definitions`, ordered by key.

    Raises ContractError, naming the asset, where a contract is missing, invalid or of another asset, where an asset
    serves a purpose that one of its personal inputs was not collected for, or where an aggregate table does not say how
    many people stand behind its rows.
    """
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    contracts = {key: _contract_of(spec) for key, spec in specs.items()}
    for key, spec in specs.items():
        _check_people(contracts[key])
        for dep in spec.deps:
            _check_purposes(contracts[key], contracts.get(dep.asset_key))
    return sorted(contracts.values(), key=lambda contract: contract.key)


def _check_people(contract: AssetContract) -> None:
    table = isinstance(contract.store, PostgresStore | DeltaStore)
    if contract.category is Category.AGGREGATE and table and not contract.people:
        raise ContractError(
            f"Asset {contract.key} is an aggregate and does not say how many people stand behind its rows: name the columns "
            f"that count them in `people`, so that it can be checked that there are {SMALLEST_GROUP} or more."
        )


def _check_purposes(contract: AssetContract, source: AssetContract | None) -> None:
    if source is None or not source.holds_subjects:
        return
    extra = set(contract.purposes) - set(source.purposes)
    if extra:
        raise ContractError(
            f"Asset {contract.key} serves {', '.join(sorted(extra))}, but its input {source.key} was not collected for "
            "that: narrow the asset's purposes, or extend the input's."
        )
