"""Whose address a call is counted under: what the trusted proxy added, never what the client sent."""

import pytest
from fastapi import Request

from serving.rate_limits import client_address, count_address
from serving.settings import serving_settings

HEADER = "X-Forwarded-For"


def _request(*lines: str, header: str = HEADER) -> Request:
    headers = [(header.lower().encode(), line.encode()) for line in lines]
    return Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 80)})


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9", "203.0.113.10, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9", " "], "192.0.2.1"),
        ([], "192.0.2.1"),
    ],
)
def test_the_proxys_entry_counts_and_no_line_of_the_clients(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], address: str
) -> None:
    monkeypatch.setattr(serving_settings(), "serving_client_address_header", HEADER)
    assert client_address(_request(*lines)) == address


def test_without_a_header_that_is_trusted_nobody_is_counted_by_the_storefronts_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving_settings(), "serving_client_address_header", None)
    monkeypatch.setattr(serving_settings(), "privacy_requests_per_address", 0)
    request = _request("203.0.113.9")
    assert client_address(request) is None
    count_address(request)  # would be one too many, if it were counted
