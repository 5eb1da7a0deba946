"""How far the platform's figures and features can be trusted: each module beside this one measures a promise of its own."""

from orchestration.bench import Figure
from tests.benchmarks import _feature_store, _kpis

__all__ = ["run"]


def run(quick: bool) -> list[Figure]:
    """Measure; `quick` takes a part of the data."""
    return [*_kpis.figures(quick), *_feature_store.figures(quick)]
