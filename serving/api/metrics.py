"""Metrics for Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.feature_metrics import rendered_features
from serving.metrics import rendered
from serving.request_metrics import rendered_requests

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    summary="Metrics of all workers",
    response_class=Response,
    responses={
        200: {
            "description": "Metrics in Prometheus's text format",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": '# TYPE selvedge_rankings_total counter\nselvedge_rankings_total{personalised="true",touchpoint="homepage"} 42.0\n',
                }
            },
        }
    },
)
def get_metrics() -> Response:
    """Counts and times of requests, rankings and events, summed over the workers, the freshness of features, and the privacy
    requests that are due.

    Nothing in it is about a person.
    """
    shown = rendered() + rendered_features() + rendered_requests()
    return Response(shown, media_type=CONTENT_TYPE_LATEST)
