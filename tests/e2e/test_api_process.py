"""The API as its own processes: two workers behind one port, started by the command that the platform uses."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from orchestration.servers.process import read_record, stop
from orchestration.servers.ranker import start_ranker
from privacy.settings import PlatformSettings
from serving.auth import Scope, api_keys


@pytest.fixture
def address(servers: PlatformSettings) -> Any:
    start_ranker(servers)
    record = read_record(servers, "ranker")
    assert record is not None
    yield record.address
    stop(servers, "ranker")


def _get(address: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_workers_answer_share_their_metrics_and_log_no_request(
    servers: PlatformSettings, address: str
) -> None:
    key = api_keys()[Scope.STOREFRONT]
    answers = [
        _get(
            f"{address}/v1/recommendations?session=visit-{number}",
            **{"Authorization": f"Bearer {key}", "Selvedge-Subject": "token-of-nobody"},
        )
        for number in range(20)
    ]
    assert {status for status, _ in answers} == {503}, "no model is published in this test"
    assert json.loads(answers[0][1])["type"] == "/problems/not-ready"
    assert _get(f"{address}/health/ready")[0] == 503
    status, metrics = _get(f"{address}/metrics")
    assert status == 200
    counted = (
        b'selvedge_http_requests_total{method="GET",route="/v1/recommendations",status="503"} 20.0'
    )
    assert counted in metrics
    log = (servers.logs_dir / "ranker.log").read_text()
    for secret in ("visit-", "token-of-nobody", key):
        assert secret not in log
