"""The job of the whole graph, and the sensor that asks for each night's run."""

import dagster as dg

__all__ = ["everything", "nightly"]

everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="Materialise every asset, from the source to the live model.",
)

nightly = dg.AutomationConditionSensorDefinition(
    "nightly",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    # A run whose process died is taken up again where it was; one that failed waits for whoever mends it.
    run_tags={"dagster/max_retries": "2"},
    description="Asks for what is due: every asset once a night from 04:00 UTC, and what waited for a failure when it is mended.",
)
