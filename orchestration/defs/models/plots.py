"""Plots for the metadata of model assets, as PNG inside Markdown."""

import base64
import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recommenders.evaluation import Metrics
from recommenders.experiment import Report

__all__ = ["metrics_plot", "metrics_table", "weights_plot"]

_MEASURES = (("recall", "recall@20"), ("ndcg", "NDCG@20"), ("coverage", "coverage"))
_OURS, _BASELINE, _TEXT = "#1b6e5a", "#b9c2bf", "#24302c"


def metrics_plot(report: Report) -> str:
    """Markdown image: one panel per measure, one bar per model, each with its value."""
    figure = Figure(figsize=(10, 2.9), dpi=110, layout="constrained")
    models = list(reversed(report.everybody))
    names = [metrics.model.replace("_", " ") for metrics in models]
    panels = figure.subplots(1, len(_MEASURES), sharey=True)
    for panel, (measure, title) in zip(panels, _MEASURES, strict=True):
        values = [getattr(metrics, measure) for metrics in models]
        colours = [_OURS if name.startswith("lightfm") else _BASELINE for name in names]
        bars = panel.barh(names, values, color=colours)
        panel.bar_label(bars, [f"{value:.3f}" for value in values], padding=3, color=_TEXT)
        panel.set_title(title, color=_TEXT)
        panel.set_xlim(0, max([*values, 0.01]) * 1.25)
        panel.spines[["top", "right"]].set_visible(False)
    week = f"{report.split_at:%Y-%m-%d} to {report.until:%Y-%m-%d}"
    figure.suptitle(f"Held-out week {week}, {models[0].subjects} subjects", color=_TEXT)
    return _markdown(figure, f"Recall, NDCG and coverage of each model, {week}")


def weights_plot(report: Report) -> str:
    """Markdown image: NDCG@20 on the validation week for every tried pair of weights; empty where none was tried."""
    if not report.tried:
        return ""
    figure = Figure(figsize=(6, 3.2), dpi=110, layout="constrained")
    panel = figure.subplots()
    for recent in sorted({entry["recent_weight"] for entry in report.tried}):
        line = [entry for entry in report.tried if entry["recent_weight"] == recent]
        panel.plot(
            [str(entry["popularity_weight"]) for entry in line],
            [entry["ndcg"] for entry in line],
            marker="o",
            label=f"{recent:g}",
        )
    panel.set_xlabel("weight of recent popularity")
    panel.set_ylabel("NDCG@20, validation week")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(title="latest items", frameon=False)
    return _markdown(figure, "NDCG on the validation week by weights")


def metrics_table(metrics: list[Metrics]) -> str:
    """Markdown table of `metrics`, gains over popularity with their 95 % interval."""
    lines = ["| model | subjects | recall@20 | NDCG@20 | coverage | NDCG gain (95 %) |"]
    lines.append("|---|---:|---:|---:|---:|---|")
    lines += [
        f"| {row.model} | {row.subjects} | {row.recall:.4f} | {row.ndcg:.4f} | {row.coverage:.3f} | {_gain(row)} |"
        for row in metrics
    ]
    return "\n".join(lines)


def _gain(row: Metrics) -> str:
    if row.ndcg_gain is None:
        return "reference"
    return f"{row.ndcg_gain:+.4f} ({row.ndcg_gain_low:+.4f} to {row.ndcg_gain_high:+.4f})"


def _markdown(figure: Figure, alternative: str) -> str:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
