"""The asset of the evaluation: every model on the held-out week, and the parameters for the next training."""

from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.contracted import contracted_asset
from orchestration.defs.models.contracts import EVALUATION, LIGHTFM
from orchestration.defs.models.inputs import (
    catalogue,
    consent_snapshot,
    data_versions,
    training_events,
)
from orchestration.defs.models.plots import metrics_plot, metrics_table, weights_plot
from recommenders.artifacts import save_artifact
from recommenders.evaluation import EvaluationError, Metrics
from recommenders.experiment import Report, run_experiment
from recommenders.interactions import InteractionsError
from recommenders.model_files import REPORT
from recommenders.signals import signals

__all__ = ["evaluation"]

BEATS_POPULARITY = dg.AssetCheckSpec(
    name="lightfm_beats_popularity",
    asset=EVALUATION.key.split("/"),
    description="NDCG@20 of LightFM lies above popularity's on the held-out week.",
)


# One row for each model that was measured.
_COLUMNS = {
    name: "string" if name == "model" else "int" if name == "subjects" else "double"
    for name in Metrics.model_fields
}


@contracted_asset(
    EVALUATION,
    group="models",
    kinds={"lightfm", "matplotlib"},
    deps=["lake/interactions", "lake/products"],
    columns=_COLUMNS,
    check_specs=[BEATS_POPULARITY],
)
def evaluation() -> dg.MaterializeResult[None]:
    """Train every model on what lies before the last seven days of data, and ask them about those days."""
    provenance: dict[str, Any] = {
        "data_versions": data_versions("interactions", "products"),
        "consent_snapshot": consent_snapshot(),
    }
    events = training_events(LIGHTFM.key, EVALUATION.key)
    try:
        report = run_experiment(events, catalogue(), signals().weights)
    except (InteractionsError, EvaluationError) as error:
        return _nothing_to_measure(str(error), provenance)
    manifest = save_artifact(
        EVALUATION,
        lambda folder: _write(report, folder),
        parameters=report.parameters.model_dump(),
        metrics={row.model: row.model_dump() for row in report.everybody},
        smallest_group=report.smallest_group,
        **provenance,
    )
    return dg.MaterializeResult(
        metadata=_metadata(report) | {"version": manifest.version},
        check_results=[_check(report)],
    )


def _write(report: Report, folder: Path) -> None:
    (folder / REPORT).write_text(report.model_dump_json(indent=1))


def _metadata(report: Report) -> dict[str, Any]:
    lightfm = report.metrics_of("lightfm")
    return {
        "dagster/row_count": len(report.everybody),
        "plot": dg.MetadataValue.md(metrics_plot(report)),
        "all_subjects": dg.MetadataValue.md(metrics_table(report.everybody)),
        "subjects_with_history": dg.MetadataValue.md(metrics_table(report.known)),
        "items_never_touched_before": dg.MetadataValue.md(metrics_table(report.discovery)),
        "tuning": dg.MetadataValue.md(weights_plot(report)),
        "parameters": dg.MetadataValue.json(report.parameters.model_dump()),
        "recall_at_20": lightfm.recall,
        "ndcg_at_20": lightfm.ndcg,
        "coverage": lightfm.coverage,
        "held_out_from": dg.MetadataValue.timestamp(report.split_at),
        "training_events": report.training_events,
        "training_subjects": report.training_subjects,
        "seconds": dg.MetadataValue.json(report.seconds),
    }


def _check(report: Report) -> dg.AssetCheckResult:
    lightfm, popularity = report.metrics_of("lightfm"), report.metrics_of("popularity")
    return dg.AssetCheckResult(
        check_name=BEATS_POPULARITY.name,
        passed=lightfm.ndcg > popularity.ndcg,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "lightfm_ndcg": lightfm.ndcg,
            "popularity_ndcg": popularity.ndcg,
            "gain_low": lightfm.ndcg_gain_low or 0.0,
            "gain_high": lightfm.ndcg_gain_high or 0.0,
            "subjects": lightfm.subjects,
        },
    )


def _nothing_to_measure(why: str, provenance: dict[str, Any]) -> dg.MaterializeResult[None]:
    """A version that says why there are no figures; training then uses the default parameters."""
    manifest = save_artifact(
        EVALUATION, lambda folder: None, metrics={"not_measured": why}, **provenance
    )
    return dg.MaterializeResult(
        metadata={"dagster/row_count": 0, "version": manifest.version, "not_measured": why},
        check_results=[
            dg.AssetCheckResult(
                check_name=BEATS_POPULARITY.name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"not_measured": why},
            )
        ],
    )
