"""Settings of the ranker API: keys, limits, waiting times and logging."""

from datetime import timedelta
from functools import cache

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ServingSettings", "serving_settings"]


class ServingSettings(BaseSettings):
    """What the API reads from the environment (prefix ``SELVEDGE_``)."""

    model_config = SettingsConfigDict(env_prefix="SELVEDGE_", extra="ignore")

    api_key_storefront: SecretStr | None = Field(
        None,
        description="API key of the storefront (rankings, events, references); at least 32 characters. "
        "Unset: generated into the secrets folder (never in production)",
    )
    api_key_privacy: SecretStr | None = Field(
        None,
        description="API key of the privacy centre (assets, privacy requests); at least 32 characters. "
        "Unset: generated into the secrets folder (never in production)",
    )
    serving_subject_reference_ttl: timedelta = Field(
        timedelta(hours=12), gt=timedelta(0), description="How long a subject reference is valid"
    )
    serving_session_ttl: timedelta = Field(
        timedelta(minutes=30),
        gt=timedelta(0),
        description="How long a consented subject's recent items are kept after the last event",
    )
    serving_session_items: int = Field(
        20, ge=1, le=200, description="How many recent items of a session are kept"
    )
    serving_body_limit_bytes: int = Field(
        1_048_576, ge=1024, description="Largest request body that is read, in bytes"
    )
    serving_redis_connections: int = Field(
        64, ge=1, description="Connections to Redis per worker; requests beyond it wait"
    )
    serving_redis_timeout_seconds: float = Field(
        0.5, gt=0, description="How long one read or write of Redis may take"
    )
    serving_event_stream_limit: int = Field(
        1_000_000,
        ge=1,
        description="Events that may wait in Redis for an ingest (about 0.3 GB per million); beyond it POST /v1/events "
        "answers 503, so that nothing that was accepted is dropped for want of room",
    )
    serving_event_stream_check_seconds: float = Field(
        15.0,
        gt=0,
        description="How often a worker removes events older than the stream's retention and measures the stream",
    )
    serving_live_check_seconds: float = Field(
        1.0, gt=0, description="How often a worker looks whether another model went live"
    )
    serving_backpressure: int = Field(
        512, ge=1, description="Connections a worker holds at once; more wait in the backlog"
    )
    privacy_requests_per_requester: int = Field(
        20, ge=1, description="Calls about privacy requests that one person may make in a window"
    )
    privacy_requests_per_address: int = Field(
        120,
        ge=1,
        description="The same for one client address, where SELVEDGE_SERVING_CLIENT_ADDRESS_HEADER is set",
    )
    privacy_requests_window: timedelta = Field(
        timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="How long calls about privacy requests are counted together",
    )
    serving_profiles_per_subject: int = Field(
        60, ge=1, description="How often one subject's profile may be read in a window"
    )
    serving_profiles_window: timedelta = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="How long readings of one profile are counted together",
    )
    serving_style_questions: tuple[str, ...] = Field(
        ("style", "favourite", "occasion"),
        description="Questions of the style quiz whose answers are style tags, as JSON, the most telling first; answers to others "
        "(about the body, or in free text) never are",
    )
    serving_client_address_header: str | None = Field(
        None,
        description="Header in which the proxy before the API, or the storefront, gives the customer's address (the last entry of its last "
        "line counts); unset: calls are counted by requester alone, for all customers share the storefront's connection. Set it "
        "only where whoever stands before the API overwrites or appends to it",
    )
    serving_access_log: bool = Field(
        False,
        description="Log every request (method, route template, status, duration; never a path, "
        "a query string or a header); failed requests are always logged",
    )


@cache
def serving_settings() -> ServingSettings:
    """The settings of this process, read once from the environment."""
    return ServingSettings()
