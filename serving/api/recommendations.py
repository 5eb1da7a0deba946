"""Recommendations: ranked items for a place in the shop."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from recommenders.ranking import Ranking, Touchpoint
from recommenders.reasons import Reason
from serving.auth import RequireStorefront
from serving.deps import GpcDep, ResourcesDep, SubjectDep
from serving.gpc import record_objection
from serving.identifiers import ProductId, SessionId
from serving.problems import NOT_READY, Problem, problem_responses
from serving.rankings import make_ranking

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["recommendations"], dependencies=[RequireStorefront])
_EXAMPLE: dict[str, Any] = {
    "ranking_id": "0b9d5f5e2f6f4a0c9d3c1f0e8a7b6c5d",
    "touchpoint": "homepage",
    "personalised": True,
    "model": "lightfm/20261123T230000_000000Z",
    "items": [
        {
            "position": 1,
            "product_id": "P0042",
            "score": 0.91,
            "reason": "similar to items you looked at",
        },
        {"position": 2, "product_id": "P0317", "score": 0.84, "reason": "picked for you"},
    ],
}


class RankedItem(BaseModel):
    """One item of a ranking."""

    position: Annotated[int, Field(ge=1, description="Place in the ranking, from 1")]
    product_id: Annotated[str, Field(description="The shop's product number")]
    score: Annotated[
        float, Field(description="Higher is better; comparable within this ranking only")
    ]
    reason: Annotated[Reason, Field(description="Why it is here, to be told to the shopper")]


class Recommendations(BaseModel):
    """A ranking."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    ranking_id: Annotated[
        str, Field(description="Send it back with the events that this ranking led to")
    ]
    touchpoint: Annotated[Touchpoint, Field(description="The place that it was made for")]
    personalised: Annotated[
        bool,
        Field(
            description="Whether data about the subject shaped it; false for everybody who did not agree"
        ),
    ]
    model: Annotated[str, Field(description="Name and version of the model that made it")]
    items: Annotated[
        list[RankedItem], Field(description="Best first; may hold fewer than asked for")
    ]


@router.get(
    "/recommendations",
    summary="Get ranked items",
    response_model=Recommendations,
    response_description="The ranking",
    responses=problem_responses(NOT_READY),
)
async def get_recommendations(
    resources: ResourcesDep,
    pseudonym: SubjectDep,
    gpc: GpcDep,
    touchpoint: Annotated[
        Touchpoint, Query(description="Where the items will be shown", examples=["homepage"])
    ] = Touchpoint.HOMEPAGE,
    limit: Annotated[
        int, Query(ge=1, le=100, description="How many items at most", examples=[10])
    ] = 20,
    context_item: Annotated[
        ProductId | None,
        Query(
            description="The product that is looked at or was found; ranks what goes with it. One that is not known is ignored",
            examples=["P0042"],
        ),
    ] = None,
    among: Annotated[
        list[ProductId] | None,
        Query(
            min_length=1,
            max_length=200,
            description="For search: the products that matched (repeat the parameter); only these are ranked",
            examples=[["P0042", "P0317"]],
        ),
    ] = None,
    session: Annotated[
        SessionId | None,
        Query(
            description="A visit's own id, if the storefront sends one. It is neither stored nor logged, and does not change the "
            "ranking: what an anonymous visitor does is not followed",
        ),
    ] = None,
) -> Response:
    """Rank the catalogue for a touchpoint.

    For a subject who agreed to personalisation, the ranking follows their profile and what they did in the last half hour;
    what lies in their cart is left out. Everybody else gets the same shop without a profile, as fast; so does whose browser
    sends Global Privacy Control, whatever they agreed to before.
    """
    ranker = resources.live_ranker.current
    if ranker is None:
        raise Problem(
            NOT_READY,
            "No model answers yet: materialise the asset serving/ranker, then ask again.",
            headers={"Retry-After": "30"},
        )
    if gpc and pseudonym is not None:
        await record_objection(resources, pseudonym)
    ranking = await make_ranking(
        resources.redis,
        ranker,
        pseudonym=None if gpc else pseudonym,
        touchpoint=touchpoint,
        limit=limit,
        context_item=context_item,
        among=among,
    )
    return Response(orjson.dumps(_document(ranking, touchpoint)), media_type="application/json")


def _document(ranking: Ranking, touchpoint: Touchpoint) -> dict[str, Any]:
    # Written straight to JSON: building the models costs more than the ranking.
    return {
        "ranking_id": ranking.ranking_id,
        "touchpoint": touchpoint.value,
        "personalised": ranking.personalised,
        "model": ranking.model,
        "items": [
            {
                "position": position,
                "product_id": item.product_id,
                "score": float(item.score),
                "reason": item.reason,
            }
            for position, item in enumerate(ranking.items, start=1)
        ],
    }
