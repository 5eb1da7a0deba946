"""One file says what each signal weighs; a mistake in it is told with its place and what to do."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from orchestration.sources.model import EVENT_TYPES
from recommenders import signals as module
from recommenders.catalogue import Catalogue
from recommenders.interactions import Interactions
from recommenders.popularity import Popularity
from recommenders.settings import recommender_settings
from recommenders.signals import SignalsError, load_signals, signals

SHIPPED = Path(module.__file__).with_name("signals.yaml")
Write = Callable[[Callable[[dict[str, Any]], Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A copy of the shipped file, changed."""

    def changed(change: Callable[[dict[str, Any]], Any]) -> Path:
        content = yaml.safe_load(SHIPPED.read_text())
        change(content)
        path = tmp_path / "signals.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return changed


@pytest.fixture
def read_anew() -> Iterator[None]:
    """Let the settings be read again, in the test and after it."""
    recommender_settings.cache_clear()
    yield
    recommender_settings.cache_clear()


def test_every_type_of_event_is_a_signal() -> None:
    assert set(EVENT_TYPES) <= set(signals().weights)


def test_what_is_said_outright_does_not_fade_and_all_else_does() -> None:
    fading = {name for name, half_life in signals().half_lives.items() if half_life}
    assert set(signals().weights) - fading == {"style_quiz", "wishlist", "feedback"}


def test_a_file_of_ones_own_changes_what_is_computed(
    write: Write, read_anew: None, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["signals"]["purchase"]["weight"] = 9
        content["summed_half_life_days"]["popularity"] = 0.5

    monkeypatch.setenv("SELVEDGE_SIGNALS_FILE", str(write(change)))
    assert signals().weights["purchase"] == 9.0
    newest = datetime(2026, 3, 1, tzinfo=UTC)
    events = pl.DataFrame(
        {
            "pseudonym": ["a" * 32, "b" * 32],
            "product_id": catalogue.product_ids[:2],
            "event_type": ["purchase", "page_view"],
            "event_timestamp": [newest - timedelta(days=1), newest],
        },
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")},
    )
    data = Interactions.from_events(events, catalogue, weights=signals().weights)
    assert Popularity().item_scores_of(data)[:2] == pytest.approx([9 / 4, 1.0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda c: c["signals"].update(purchas=c["signals"].pop("purchase")),
            "signals.purchas is no signal: write one of style_quiz, wishlist",
        ),
        (lambda c: c["signals"].pop("click"), "click not named under 'signals': add each"),
        (
            lambda c: c["signals"]["click"].update(half_life_days=-3),
            "signals.click.half_life_days is -3: Input should be greater than 0; write the days",
        ),
        (
            lambda c: c["signals"]["click"].update(half_life_days=0),
            "signals.click.half_life_days is 0:",
        ),
        (
            lambda c: c["signals"]["wishlist"].update(half_life_days=30),
            "signals.wishlist.half_life_days: an explicit signal does not fade: remove it",
        ),
        (
            lambda c: c["signals"]["click"].pop("half_life_days"),
            "signals.click.half_life_days is missing: add it",
        ),
        (lambda c: c["signals"]["click"].update(weight="1"), "signals.click.weight: "),
        (lambda c: c["signals"]["click"].update(weight=float("nan")), "signals.click.weight: "),
        (lambda c: c["signals"]["click"].update(kind="guessed"), "signals.click: "),
        (lambda c: c.update(weights={}), "weights is not known here: remove it"),
        (
            lambda c: c["summed_half_life_days"].pop("taste"),
            "summed_half_life_days.taste is missing",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(
    write: Write, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = write(change)
    with pytest.raises(SignalsError) as error:
        load_signals(path)
    assert str(path) in str(error.value)
    assert told in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SignalsError, match="SELVEDGE_SIGNALS_FILE"):
        load_signals(tmp_path / "missing.yaml")
    (tmp_path / "no.yaml").write_text("signals: [")
    with pytest.raises(SignalsError, match="is no YAML"):
        load_signals(tmp_path / "no.yaml")
