"""Settings of the recommenders."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["RecommenderSettings", "recommender_settings"]


class RecommenderSettings(BaseSettings):
    """What profiles, models and the ranker read from the environment (prefix ``SELVEDGE_``)."""

    model_config = SettingsConfigDict(env_prefix="SELVEDGE_", extra="ignore")

    signals_file: Path = Field(
        Path(__file__).with_name("signals.yaml"),
        description="YAML of the signals' weights and half-lives, every signal named; unset: recommenders/signals.yaml",
    )


@cache
def recommender_settings() -> RecommenderSettings:
    """The settings of this process, read once from the environment."""
    return RecommenderSettings()
