"""The asset that decides which versions serve."""

import statistics
import time

import dagster as dg

from orchestration.contracted import contracted_asset
from orchestration.defs.models.contracts import RANKER
from recommenders.artifacts import latest_version, publish_live
from recommenders.ranking import Ranker, RankingRequest, Touchpoint

__all__ = ["ranker"]

_MODELS = ("lightfm", "item_index", "popularity", "trending")

ANSWERS = dg.AssetCheckSpec(
    name="every_touchpoint_answers",
    asset=RANKER.key.split("/"),
    description="The published ranker fills a ranking for each touchpoint, without knowing the visitor.",
)


@contracted_asset(
    RANKER,
    group="serving",
    kinds={"python"},
    deps=[f"models/{name}" for name in (*_MODELS, "evaluation")],
    columns={"model": "string", "version": "string"},
    check_specs=[ANSWERS],
)
def ranker() -> dg.MaterializeResult[None]:
    """Publish the newest version of each model, then load and ask them as the API does."""
    live = publish_live({name: latest_version(name) for name in _MODELS})
    loaded = Ranker.load()
    requests = [RankingRequest(touchpoint) for touchpoint in Touchpoint]
    empty = [str(ask.touchpoint) for ask in requests if not loaded.recommend(ask).items]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(live.versions),
            **{f"{name}_version": version for name, version in live.versions.items()},
            "published": dg.MetadataValue.timestamp(live.published),
            "milliseconds_per_ranking": _milliseconds(loaded),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=ANSWERS.name,
                passed=not empty,
                metadata={"empty": ", ".join(empty) or "none"},
            )
        ],
    )


def _milliseconds(loaded: Ranker, times: int = 50) -> float:
    """Median time of a homepage ranking for an unknown visitor."""
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        loaded.recommend(RankingRequest(Touchpoint.HOMEPAGE))
        measured.append(time.perf_counter() - started)
    return statistics.median(measured) * 1000
