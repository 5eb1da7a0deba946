"""How often every asset is made anew, and how old it may get before it counts as late."""

from datetime import timedelta

import dagster as dg

__all__ = ["FRESH", "NIGHT", "NIGHTLY", "pool_of"]

NIGHT = "0 4 * * *"
"""When the night's run begins (UTC)."""

_TICK = dg.AutomationCondition.cron_tick_passed(NIGHT)
_HANDLED = (
    dg.AutomationCondition.newly_requested()
    | dg.AutomationCondition.newly_updated()
    | dg.AutomationCondition.execution_failed().newly_true()
)
NIGHTLY = (
    dg.AutomationCondition.in_latest_time_window()
    & _TICK.since(dg.AutomationCondition.newly_updated())
    & dg.AutomationCondition.all_deps_updated_since_cron(NIGHT)
    & (_TICK | dg.AutomationCondition.any_deps_updated()).since(_HANDLED)
    & ~dg.AutomationCondition.in_progress()
).with_label("made once a night, from what was made that night")
"""Once a night, with or after everything that the asset is made of. What a failure kept from it is asked for when that was mended, by
hand or otherwise; what failed itself is not asked for again, and nothing is made from yesterday's input. (Dagster's `on_cron` asks once,
and no more where that run failed.)"""

FRESH = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=26), fail_window=timedelta(hours=50)
)
"""Two nights: one may be missed before an asset counts as stale."""


def pool_of(kinds: set[str]) -> str | None:
    """The pool of an asset of these kinds, of whose assets one run goes at a time (`orchestration.servers.dagster`).

    A Spark session takes the memory of a machine, so one may run at a time.
    """
    return "spark" if "spark" in kinds else None
