"""Every night asks for the whole graph at once; what a failure kept back is asked for when it is mended, and nothing twice."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from tests.unit.runs.made import asset

# Dagster's own evaluation uses a parameter that it calls beta.
pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
BEFORE = datetime(2026, 3, 1, 3, 59, tzinfo=UTC)
broken: set[str] = set()


def _asset(name: str, *deps: str) -> dg.AssetsDefinition:
    def fail(name: str) -> None:
        if name in broken:
            raise ValueError(name)

    return asset(name, *deps, first=fail)


ASSETS = [
    _asset("source"),
    _asset("other"),
    _asset("model", "source"),
    _asset("online", "model", "other"),
]
DEFINITIONS = dg.Definitions(ASSETS)


class Night:
    """A platform whose sensor is evaluated at given times, each time running what it asks for."""

    def __init__(self) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor = None
        dg.materialize(ASSETS, instance=self.instance)
        assert self.asked(BEFORE) == set()

    def asked(self, now: datetime) -> set[str]:
        """What is asked for at `now`."""
        result = dg.evaluate_automation_conditions(
            DEFINITIONS, self.instance, cursor=self.cursor, evaluation_time=now
        )
        self.cursor = result.cursor
        keys = [made.key for made in ASSETS if result.get_num_requested(made.key)]
        return {key.path[-1] for key in keys}

    def run(self, names: set[str]) -> None:
        """Make what was asked for, as far as it can be made."""
        chosen = [dg.AssetKey(["runs", name]) for name in names]
        dg.materialize(ASSETS, instance=self.instance, selection=chosen, raise_on_error=False)


@pytest.fixture
def night() -> Night:
    broken.clear()
    return Night()


def test_four_in_the_morning_asks_for_everything_once(night: Night) -> None:
    now = BEFORE + timedelta(minutes=2)
    asked = night.asked(now)
    assert asked == {"source", "other", "model", "online"}
    night.run(asked)
    for minute in (1, 60, 600):
        assert night.asked(now + timedelta(minutes=minute)) == set()


def test_what_waited_for_a_failure_is_asked_for_when_it_is_mended(night: Night) -> None:
    broken.add("source")
    now = BEFORE + timedelta(minutes=2)
    night.run(night.asked(now))
    assert night.asked(now + timedelta(hours=1)) == set()
    broken.clear()
    night.run({"source"})
    waiting = night.asked(now + timedelta(hours=2))
    assert waiting == {"model", "online"}
    night.run(waiting)
    assert night.asked(now + timedelta(hours=3)) == set()


def test_what_failed_itself_is_not_asked_for_again_that_night(night: Night) -> None:
    broken.add("model")
    now = BEFORE + timedelta(minutes=2)
    night.run(night.asked(now))
    for minute in (1, 2, 60):
        assert night.asked(now + timedelta(minutes=minute)) == set()
    assert night.asked(now + timedelta(days=1)) == {"source", "other", "model", "online"}


def test_making_one_thing_by_hand_asks_for_nothing_else(night: Night) -> None:
    night.run({"source"})
    assert night.asked(BEFORE + timedelta(seconds=30)) == set()
