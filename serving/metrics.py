"""Prometheus metrics of the API, summed over its worker processes.

`python -m serving` gives the workers a shared folder (`PROMETHEUS_MULTIPROC_DIR`); without one (tests, one process) the
metrics of this process are shown. Labels are closed sets: route templates, statuses, touchpoints; never a value that a
caller sent.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

__all__ = [
    "EVENTS",
    "LIVE_MODEL",
    "MODEL_LOADS",
    "RANKINGS",
    "RANKING_SECONDS",
    "REFERENCES",
    "REQUESTS",
    "REQUEST_SECONDS",
    "STREAM_ENTRIES",
    "STREAM_OLDEST_SECONDS",
    "STREAM_TRIMMED",
    "rendered",
]

PREFIX = "selvedge_"
_registry = CollectorRegistry()

REQUESTS = Counter(
    "selvedge_http_requests",
    "Requests answered",
    ["method", "route", "status"],
    registry=_registry,
)
REQUEST_SECONDS = Histogram(
    "selvedge_http_request_seconds",
    "Time from the first byte of a request to the end of its answer",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=_registry,
)
RANKINGS = Counter(
    "selvedge_rankings",
    "Rankings made",
    ["touchpoint", "personalised"],
    registry=_registry,
)
RANKING_SECONDS = Histogram(
    "selvedge_ranking_seconds",
    "Time of a ranking's parts: the online read and the ranking itself",
    ["part"],
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
    registry=_registry,
)
REFERENCES = Counter(
    "selvedge_subject_references",
    "Subject references read, by what came of them",
    ["outcome"],
    registry=_registry,
)
EVENTS = Counter(
    "selvedge_events",
    "Events received, by type and outcome",
    ["event_type", "outcome"],
    registry=_registry,
)
STREAM_ENTRIES = Gauge(
    "selvedge_event_stream_entries",
    "Events that wait for an ingest",
    registry=_registry,
    multiprocess_mode="mostrecent",
)
STREAM_OLDEST_SECONDS = Gauge(
    "selvedge_event_stream_oldest_seconds",
    "Age of the oldest event that waits for an ingest, 0 where none waits",
    registry=_registry,
    multiprocess_mode="mostrecent",
)
STREAM_TRIMMED = Counter(
    "selvedge_event_stream_trimmed",
    "Events that reached the end of the stream's retention before an ingest took them in",
    registry=_registry,
)
MODEL_LOADS = Counter(
    "selvedge_model_loads", "Attempts to load the live model", ["outcome"], registry=_registry
)
LIVE_MODEL = Gauge(
    "selvedge_live_model_published_seconds",
    "When the model that answers was published (Unix time)",
    registry=_registry,
    multiprocess_mode="mostrecent",
)


class _OwnMetrics(Collector):
    """The workers' metrics, without those that libraries keep in the same folder."""

    def __init__(self) -> None:
        self._all = MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """The platform's metrics of all workers."""
        return [
            metric
            for metric in self._all.collect()  # type: ignore[no-untyped-call]
            if metric.name.startswith(PREFIX)
        ]


def rendered() -> bytes:
    """All metrics in Prometheus's text format."""
    # Not the environment: Feast sets its variable on import, after the kind of value was chosen.
    if not ValueClass._multiprocess:
        return generate_latest(_registry)
    registry = CollectorRegistry()
    registry.register(_OwnMetrics())
    return generate_latest(registry)
