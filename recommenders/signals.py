"""What each signal says about a subject's taste: the weights and half-lives of `signals.yaml`, the one source of them."""

from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from recommenders.settings import recommender_settings

__all__ = [
    "Explicit",
    "Implicit",
    "SignalName",
    "Signals",
    "SignalsError",
    "load_signals",
    "signals",
]

SignalName = Literal[
    "style_quiz",
    "wishlist",
    "feedback",
    "page_view",
    "click",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "search",
    "impression",
]
"""Every signal that the platform receives: the answers and ratings of the shop, and the types of an event."""

_NAMES: tuple[str, ...] = get_args(SignalName)
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
# A century: what fades no faster does not fade.
Days = Annotated[float, Field(gt=0, le=36_525, description="Days after which half of it is left")]
Weight = Annotated[
    float, Field(description="What one such signal adds; below 0: it speaks against, 0: nothing")
]


class SignalsError(ValueError):
    """The file of signals cannot be used; says where it is wrong and what to do."""


class Explicit(BaseModel):
    """Said outright: it holds until the person says something else."""

    model_config = _STRICT

    kind: Literal["explicit"]
    weight: Weight

    @property
    def half_life(self) -> timedelta | None:
        """None: it does not fade."""
        return None


class Implicit(BaseModel):
    """Concluded from what is done: it fades."""

    model_config = _STRICT

    kind: Literal["implicit"]
    weight: Weight
    half_life_days: Days

    @property
    def half_life(self) -> timedelta | None:
        """After this time half of the weight is left."""
        return timedelta(days=self.half_life_days)


class SummedHalfLives(BaseModel):
    """With what the sums over all events fade."""

    model_config = _STRICT

    taste: Days
    popularity: Days


class Signals(BaseModel):
    """Every signal's kind, weight and half-life."""

    model_config = _STRICT

    signals: dict[SignalName, Annotated[Explicit | Implicit, Field(discriminator="kind")]]
    summed_half_life_days: SummedHalfLives

    @model_validator(mode="after")
    def _every_signal(self) -> "Signals":
        missing = [name for name in _NAMES if name not in self.signals]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} not named under 'signals': add each, with weight 0 where it says nothing"
            )
        return self

    @cached_property
    def weights(self) -> dict[str, float]:
        """Signal to weight."""
        return {name: signal.weight for name, signal in self.signals.items()}

    @cached_property
    def half_lives(self) -> dict[str, timedelta | None]:
        """Signal to half-life; None where it does not fade."""
        return {name: signal.half_life for name, signal in self.signals.items()}

    @cached_property
    def half_lives_days(self) -> dict[str, float | None]:
        """Signal to half-life in days; None where it does not fade."""
        return {
            name: None if half_life is None else half_life / timedelta(days=1)
            for name, half_life in self.half_lives.items()
        }

    @property
    def taste_half_life(self) -> timedelta:
        """With what a subject's summed-up events fade, whatever their type."""
        return timedelta(days=self.summed_half_life_days.taste)

    @property
    def popularity_half_life(self) -> timedelta:
        """With what a product's summed-up events fade."""
        return timedelta(days=self.summed_half_life_days.popularity)


def signals() -> Signals:
    """The signals in use: those of the file that SELVEDGE_SIGNALS_FILE names, or the platform's own. Read once."""
    return _read(recommender_settings().signals_file)


@cache
def _read(path: Path) -> Signals:
    return load_signals(path)


def load_signals(path: Path) -> Signals:
    """The signals in the YAML at `path`; raises SignalsError."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SignalsError(
            f"{path} cannot be read ({error.strerror}): set SELVEDGE_SIGNALS_FILE to a file of signals, or unset it."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SignalsError(f"{path} is no YAML in UTF-8: {error}") from None
    try:
        return Signals.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(_told(item) for item in error.errors(include_url=False))
        raise SignalsError(f"{path} cannot be used: {wrong}.") from None


def _told(error: ErrorDetails) -> str:
    """One mistake: where it is, what is wrong, what to write in its place."""
    parts = [str(part) for part in error["loc"] if part not in ("explicit", "implicit", "[key]")]
    where, kind = ".".join(parts), error["type"]
    if error["loc"][-1:] == ("[key]",):
        return f"{where} is no signal: write one of {', '.join(_NAMES)}"
    if kind == "extra_forbidden" and parts[-1] == "half_life_days":
        return f"{where}: an explicit signal does not fade: remove it, or make the signal implicit"
    if kind == "extra_forbidden":
        return f"{where} is not known here: remove it"
    if kind == "missing":
        return f"{where} is missing: add it"
    message = error["msg"].removeprefix("Value error, ")
    if parts and parts[-1] == "half_life_days":
        return f"{where} is {error['input']!r}: {message}; write the days after which half of it is left"
    return f"{where}: {message}" if where else message
