import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from feast import Entity, ValueType

from feature_repo.definitions import subject_profile
from feature_repo.views import PROJECT
from privacy.database import Role, connect
from privacy.settings import PROJECT_ROOT, PlatformSettings
from recommenders.features import apply_definitions, feast_environment, feature_store
from recommenders.materialisation import materialise

NOTHING: dict[str, list[str]] = {"created": [], "updated": [], "deleted": []}


def _registry_bytes() -> bytes:
    with connect(Role.FEAST) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'feast'"
        ).fetchall()
        assert tables
        rows = [
            value
            for (table,) in tables
            for row in connection.execute(f'select * from feast."{table}"').fetchall()
            for value in row
        ]
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in rows)


def test_a_second_apply_changes_nothing(servers: PlatformSettings) -> None:
    apply_definitions()
    before = _registry_bytes()
    assert apply_definitions() == NOTHING
    assert _registry_bytes() == before


def test_what_is_no_longer_defined_is_deleted(servers: PlatformSettings) -> None:
    apply_definitions()
    feature_store().apply(
        Entity(name="forgotten", join_keys=["forgotten_id"], value_type=ValueType.STRING)
    )
    assert apply_definitions()["deleted"] == ["forgotten"]


def test_a_materialisation_leaves_nothing_about_subjects_in_the_registry(
    small_lake: None, consent: Callable[..., None]
) -> None:
    apply_definitions()
    consent("subject-a", "personalisation")
    before = _registry_bytes()
    materialise(subject_profile)
    after = _registry_bytes()
    assert after == before
    assert b"subject-a" not in after
    assert b"dresses" not in after


def test_the_services_name_their_views(servers: PlatformSettings) -> None:
    apply_definitions()
    for name in ("ranker_v1", "training_v1"):
        service = feature_store().get_feature_service(name)
        views = {projection.name for projection in service.feature_view_projections}
        assert views == {"subject_profile", "product_popularity", "product_attributes", "affinity"}


def test_an_apply_after_feasts_own_materialisation_changes_nothing(
    small_lake: None, consent: Callable[..., None]
) -> None:
    apply_definitions()
    consent("subject-a", "personalisation")
    feature_store().materialize(
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2025, 1, 1, tzinfo=UTC),
        feature_views=["subject_profile"],
    )
    feature_store().apply(subject_profile)
    assert apply_definitions() == NOTHING


@pytest.mark.timeout(180)
def test_feasts_command_line_applies_the_same_definitions(servers: PlatformSettings) -> None:
    apply_definitions()
    feast = Path(sys.executable).with_name("feast")
    done = subprocess.run(
        [feast, "apply", "--skip-source-validation"],
        cwd=PROJECT_ROOT / "feature_repo",
        env={**os.environ, **feast_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Applying changes for project {PROJECT}" in done.stdout
    assert apply_definitions() == NOTHING
