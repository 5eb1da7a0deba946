"""The sensor that tells a person about failed runs and late assets."""

from datetime import UTC, datetime

import dagster as dg

from orchestration.alerts import AlertState, deliver, news
from orchestration.settings import orchestration_settings

__all__ = ["alerts"]


@dg.sensor(
    name="alerts",
    # It starts no run; Dagster wants to know what a sensor could start.
    target=None,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends failed runs, late assets and their recovery to SELVEDGE_ALERT_WEBHOOK; what was not taken is sent again.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Deliver what is new; the cursor moves only once everything was taken."""
    now = datetime.now(UTC)
    state = (
        AlertState.model_validate_json(context.cursor) if context.cursor else AlertState(since=now)
    )
    repository = context.repository_def
    assert repository is not None
    found, after = news(context.instance, repository.asset_graph, state, now)
    webhook = orchestration_settings().alert_webhook
    if webhook is not None:
        deliver(found, webhook)
    context.update_cursor(after.model_dump_json())
    told = " ".join(alert.text for alert in found) or "Nothing new."
    return dg.SkipReason(told if webhook else f"No SELVEDGE_ALERT_WEBHOOK is set. {told}")
