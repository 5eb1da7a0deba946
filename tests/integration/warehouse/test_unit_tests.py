"""The unit tests of the models run with every build, and hold back a model whose logic is broken."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from orchestration import warehouse_project
from orchestration.warehouse_project import manifest, run_dbt, state_dir
from privacy.database import Role, connect

RESULTS = "run_results.json"


def _unit_tests(results: Path) -> dict[str, str]:
    """Name and status of each unit test of a run of dbt."""
    ran = {row["unique_id"]: row["status"] for row in json.loads(results.read_text())["results"]}
    return {name: status for name, status in ran.items() if name.startswith("unit_test.")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project that a test may break."""
    folder = tmp_path / "dbt"
    shutil.copytree(warehouse_project.PROJECT_DIR, folder)
    monkeypatch.setattr(warehouse_project, "PROJECT_DIR", folder)
    return folder


def test_the_assets_build_runs_every_unit_test(shop: None) -> None:
    from orchestration.defs.warehouse.build import warehouse

    (state_dir() / "target" / RESULTS).unlink(missing_ok=True)
    assert dg.materialize([warehouse]).success

    ran = _unit_tests(state_dir() / "target" / RESULTS)
    assert ran == dict.fromkeys(manifest()["unit_tests"], "pass")


def test_a_model_whose_logic_is_broken_is_not_built(shop: None, project: Path) -> None:
    model = project / "models" / "marts" / "kpi_daily.sql"
    right, wrong = "then sum(lines.priced)", "then round(sum(lines.priced))"
    assert right in model.read_text()
    model.write_text(model.read_text().replace(right, wrong))
    with connect(Role.DBT) as connection:
        connection.execute("drop table if exists marts.kpi_daily")

    assert run_dbt(["--quiet", "build", "--select", "+kpi_daily"]) == 1

    ran = _unit_tests(state_dir() / "target" / RESULTS)
    failed = {name.split(".")[2] for name, status in ran.items() if status == "fail"}
    assert failed == {"kpi_daily"}
    with connect(Role.DBT) as connection:
        built = connection.execute("select to_regclass('marts.kpi_daily') is not null").fetchone()
    assert built == (False,)
