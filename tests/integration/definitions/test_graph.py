"""The asset graph as it is reviewed: a snapshot of every asset, and what each must carry.

After an intended change, write the snapshot anew: `python -m tests.integration.definitions.test_graph`.
"""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.contracted import CONTRACT_METADATA_KEY, contracts_of
from privacy.contracts import Artifacts, Category, NoStore
from privacy.settings import PROJECT_ROOT

SNAPSHOT = Path(__file__).with_name("assets.json")


@cache
def _definitions() -> dg.Definitions:
    from orchestration.definitions import load

    return load()


def _graph() -> dict[str, dict[str, Any]]:
    return {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "owners": list(spec.owners),
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        }
        for spec in sorted(_definitions().resolve_all_asset_specs(), key=lambda spec: spec.key)
    }


def _checks() -> dict[str, set[str]]:
    checks: dict[str, set[str]] = {}
    for key in _definitions().resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    return checks


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    assert _graph() == json.loads(SNAPSHOT.read_text())


def test_every_asset_has_group_kinds_owner_description_and_contract() -> None:
    for spec in _definitions().resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.group_name not in (None, "default"), name
        assert spec.kinds, name
        assert spec.owners, name
        assert spec.description, name
        assert CONTRACT_METADATA_KEY in spec.metadata, name


def test_every_asset_shows_the_columns_of_what_it_writes() -> None:
    for spec in _definitions().resolve_all_asset_specs():
        schema = spec.metadata.get("dagster/column_schema")
        assert isinstance(schema, dg.TableSchema), spec.key
        assert schema.columns, spec.key
        assert all(column.type for column in schema.columns), spec.key


def test_every_asset_is_made_by_what_counts_its_rows() -> None:
    """The warehouse counts in `_counted`; a contracted asset refuses a result without a count."""
    for definition in _definitions().resolve_asset_graph().assets_defs:
        if definition.is_executable and definition.keys:
            name = str(definition.op.name)
            function = definition.op.compute_fn.decorated_fn  # type: ignore[union-attr]
            assert name == "warehouse" or hasattr(function, "__wrapped__"), name


def test_every_aggregate_is_held_to_the_smallest_group() -> None:
    checks = _checks()
    aggregates = [c for c in contracts_of(_definitions()) if c.category is Category.AGGREGATE]
    assert {contract.key for contract in aggregates} == {
        "features/product_popularity",
        "lake/product_popularity",
        "marts/kpi_daily",
        "models/evaluation",
        "models/item_index",
        "models/popularity",
        "models/trending",
    }
    for contract in aggregates:
        by_contract = bool(contract.people) or isinstance(contract.store, Artifacts)
        assert by_contract or "no_count_of_few_people" in checks[contract.key], contract.key


def test_every_asset_has_a_check_of_its_contract() -> None:
    checks = _checks()
    missing = [name for name in _graph() if "contract_holds" not in checks.get(name, set())]
    assert not missing


def test_every_asset_that_stores_something_is_scanned_for_personal_data() -> None:
    checks, stores = _checks(), {one.key: one.store for one in contracts_of(_definitions())}
    scanned = {name for name, names in checks.items() if "no_untagged_personal_data" in names}
    assert scanned == {key for key, store in stores.items() if not isinstance(store, NoStore)}


@pytest.mark.parametrize("name", ["consent/records", "shop/customers", "lake/interactions"])
def test_bad_consents_and_identities_block_what_depends_on_them(name: str) -> None:
    key = dg.AssetKey(name.split("/"))
    blocking = {
        spec.name
        for checks in _definitions().asset_checks or []
        if isinstance(checks, dg.AssetChecksDefinition)
        for spec in checks.check_specs
        if spec.asset_key == key and spec.blocking
    }
    assert {"contract_holds", "data_quality", "no_untagged_personal_data"} <= blocking


def test_the_workspace_loads_the_definitions_that_the_project_entry_names() -> None:
    import tomllib

    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (location,) = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["module_name"] == project["code_location_target_module"]
    assert location["python_module"]["location_name"] == project["code_location_name"]


def test_everything_runs_daily_and_privacy_requests_are_watched() -> None:
    repository = _definitions().get_repository_def()
    assert repository.get_sensor_def("nightly").default_status is dg.DefaultSensorStatus.RUNNING
    signing = repository.get_schedule_def("consent_daily")
    assert signing.default_status is dg.DefaultScheduleStatus.RUNNING
    for name in ("privacy_requests_sensor", "privacy_deadlines_sensor", "alerts"):
        assert repository.get_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING
    everything = repository.get_job("everything").asset_layer.executable_asset_keys
    assert {key.to_user_string() for key in everything} == set(_graph())


@pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
def test_one_night_asks_for_the_whole_graph_in_one_go() -> None:
    definitions, instance = _definitions(), dg.DagsterInstance.ephemeral()
    before = datetime(2026, 3, 1, 3, 59, tzinfo=UTC)
    first = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=before)
    after = dg.evaluate_automation_conditions(
        definitions, instance, cursor=first.cursor, evaluation_time=before + timedelta(minutes=2)
    )
    assert (first.total_requested, after.total_requested) == (0, len(_graph()))


def test_every_asset_may_be_late_and_spark_has_a_pool() -> None:
    for spec in _definitions().resolve_all_asset_specs():
        assert spec.freshness_policy is not None, spec.key
        assert spec.automation_condition is not None, spec.key
    graph = _definitions().resolve_asset_graph()
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.materializable_asset_keys}
    assert pools["lake/sessions"] == {"spark"}
    assert pools["shop/products"] == set()


def test_contracts_can_be_published() -> None:
    assert {contract.key for contract in contracts_of(_definitions())} == set(_graph())


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(_graph(), indent=2) + "\n")
