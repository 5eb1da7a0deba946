"""Every rule over the whole project: what `./selvedge privacy policy` prints and the tests hold empty."""

from collections.abc import Iterator
from itertools import chain

import dagster as dg

from orchestration.policy import assets, columns, logs, redis_keys, tables
from orchestration.policy.source import modules
from orchestration.policy.violation import Violation
from orchestration.warehouse_contracts import layering_faults
from orchestration.warehouse_project import manifest
from privacy.registry import PLATFORM_CONTRACTS

__all__ = ["violations", "warehouse_layers"]


def violations(definitions: dg.Definitions) -> list[Violation]:
    """What breaks the policy in `definitions`, the dbt project, the migrations and the code; empty where nothing does."""
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    contracts = assets.contracts_in(specs)
    everything = [*contracts.values(), *PLATFORM_CONTRACTS]
    declared = {key.to_user_string(): columns.columns_of(spec) for key, spec in specs.items()}
    by_name = {key.to_user_string(): contract for key, contract in contracts.items()}
    code = list(modules())
    return sorted(
        chain(
            assets.with_contract(specs),
            assets.erasable(contracts),
            assets.ending(everything),
            assets.purposes(specs, contracts),
            assets.kept_no_longer_than_inputs(specs, contracts),
            columns.tagged(declared, by_name),
            warehouse_layers(layering_faults(manifest())),
            tables.tables_in_contracts(tables.contracted_tables(everything)),
            logs.silent(code),
            redis_keys.keys_registered(code, redis_keys.registered_prefixes(everything)),
            redis_keys.keys_expire(code),
        )
    )


def warehouse_layers(faults: list[str]) -> Iterator[Violation]:
    """A violation for each model that reads past the consent filter."""
    for fault in faults:
        name, _, what = fault.partition(" ")
        yield Violation(
            f"dbt model {name}",
            f"it {what}",
            "read the model's `int_…__consented`, or filter with the macro `serves`",
            "unfiltered-mart",
        )
