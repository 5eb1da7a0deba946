"""What has no age of its own: rebuilt tables, what leaves with its subject, and marks that only a training clears."""

import pytest

from consent import models
from privacy import registry
from privacy.contracts import Purpose
from privacy.corrections import Correction, keep
from privacy.database import Role, connect
from privacy.retention import enforce
from privacy.vault import Vault
from tests.integration.governance.test_retention import NOW, OLD, People, entry, people

__all__ = ["people"]  # a fixture


@pytest.fixture
def rebuilt(people: People) -> None:
    """A mart without a time of its own, which `people` takes away again."""
    with connect(Role.DBT) as connection:
        connection.execute("create table marts.rebuilt as select pseudonym from shop.orders")


def test_a_table_without_a_time_ages_with_its_last_materialisation(
    people: People, rebuilt: None
) -> None:
    fresh = enforce(registry.load(), written={"marts/rebuilt": NOW})
    assert entry(fresh, "marts/rebuilt") == (0, 0, 0)
    stale = enforce(registry.load(), written={"marts/rebuilt": OLD})
    assert entry(stale, "marts/rebuilt") == (4, 0, 0)


def test_a_table_whose_age_nothing_tells_is_a_fault_and_not_complete(
    people: People, rebuilt: None
) -> None:
    for dry_run in (True, False):
        report = enforce(registry.load(), dry_run=dry_run)
        (fault,) = report.faults
        assert fault.startswith("marts/rebuilt: ")
        assert "the age of its 4 rows cannot be told" in fault
        assert report.as_json()["complete"] is False


def test_who_corrected_something_once_still_leaves_when_nothing_else_is_left(
    people: People,
) -> None:
    keep(people.gone, [Correction("shop/customers", "", "country", "FR")], OLD)
    keep(people.active, [Correction("shop/customers", "", "country", "DE")], OLD)

    report = enforce(registry.load())

    assert report.faults == ()
    assert entry(report, "platform/rectifications") == (1, 0, 0)
    assert Vault().known(people.all) == {people.active, people.restricted}
    with connect(Role.PRIVACY) as connection:
        left = connection.execute("select pseudonym from requests.rectifications").fetchall()
    assert left == [(people.active,)]


def test_a_model_that_was_not_trained_in_time_is_a_fault_until_it_is(people: People) -> None:
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.trained_models (asset_key, version, purposes, trained_at) values ('models/lightfm', '1', '{model_training}', %s)",
            [OLD],
        )
        connection.execute(
            "insert into consent.models_due (asset_key, pseudonym, since) "
            "values ('models/lightfm', %s, %s), ('models/lightfm', %s, %s)",
            [people.active, OLD, people.restricted, NOW],
        )

    assert entry(enforce(registry.load(), dry_run=True), "platform/models_due") == (0, 0, 1)
    report = enforce(registry.load())

    assert report.faults == ("platform/models_due: 1 overdue are left",)
    snapshot = models.snapshot()
    models.trained("models/lightfm", "2", [Purpose.MODEL_TRAINING], snapshot)
    assert enforce(registry.load()).faults == ()
