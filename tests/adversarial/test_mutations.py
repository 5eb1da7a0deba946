"""Each handler of the registry forgets to erase one canary, and only that one: verification must find each of them.

Which handlers there are says the registry. An asset that is added without a canary in it fails here, and so is covered.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from consent import objections
from privacy import certificates, duties, erasure, registry, requests
from privacy.certificates import CertificateUnavailableError
from privacy.contracts import AssetContract, PostgresStore
from privacy.database import Role, connect
from privacy.rectification import Corrections
from privacy.requests import PrivacyRequest, RequestKind, RequestStatus
from privacy.stores import handler_for
from tests.adversarial.traces import traces
from tests.adversarial.whole_platform import Platform

# In these nobody can be found: what the law keeps leads to no one, and of temporary files all old ones go, whoever is in them.
NOBODY_IS_FOUND = {"platform/retained_records", "platform/temporary_files"}


def _export(pseudonym: str) -> None:
    request, _ = requests.submit(RequestKind.ACCESS, pseudonym, "test")
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def _open_request(pseudonym: str) -> None:
    requests.submit(RequestKind.ACCESS, pseudonym, "test")


def _objection(pseudonym: str) -> None:
    objections.object_to(pseudonym, "models/popularity", "test")


def _minor(pseudonym: str) -> None:
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.minors (pseudonym, minor_until) values (%s, current_date + 365)",
            [pseudonym],
        )


def _model_due(pseudonym: str) -> None:
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.models_due (asset_key, pseudonym) "
            "select asset_key, %s from consent.trained_models limit 1",
            [pseudonym],
        )


def _correction(pseudonym: str) -> None:
    corrections = Corrections.model_validate({"country": "FR"})
    requests.submit(RequestKind.RECTIFICATION, pseudonym, "test", corrections=corrections)


# What no entry of the shop fills, and how a canary gets into it.
FILLED: Mapping[str, Callable[[str], None]] = {
    "platform/exports": _export,
    "platform/privacy_requests": _open_request,
    "platform/objections": _objection,
    "platform/minors": _minor,
    "platform/models_due": _model_due,
    "platform/rectifications": _correction,
}


class Forgetful:
    """A handler that leaves one subject out when it erases."""

    def __init__(self, handler: Any, left_out: str | None) -> None:
        self._handler, self._left_out = handler, left_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        removed: int = self._handler.erase(contract, self.others(pseudonyms))
        return removed

    def others(self, pseudonyms: Sequence[str]) -> list[str]:
        return [name for name in pseudonyms if name != self._left_out]


def erasing_contracts() -> list[AssetContract]:
    """Contracts whose handler erases something of its own: a view's rows are its tables'."""
    return [
        contract
        for contract in registry.load().holding_subjects
        if contract.key not in NOBODY_IS_FOUND
        and not (isinstance(contract.store, PostgresStore) and contract.store.is_view)
    ]


def same_keys(contract: AssetContract) -> str:
    """What two contracts share that erase the same keys: one view of the online store, and all of them."""
    return contract.store.kind if contract.store.kind == "feast_online" else contract.key


def test_an_erasure_that_any_one_handler_forgets_is_found_and_not_certified(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = erasing_contracts()
    groups = {same_keys(contract): contract for contract in contracts}
    canaries = platform.take(len(groups))
    names = dict(zip(groups, platform.pseudonyms(canaries), strict=True))
    platform.send_events(canaries)
    for key, fill in FILLED.items():
        fill(names[key])
    for contract in contracts:
        name = names[same_keys(contract)]
        assert handler_for(contract).find(contract, [name]), (
            f"no canary is in {contract.key}: plant them there (tests/adversarial/canaries.py, or FILLED here)"
        )

    def forgetful(contract: AssetContract) -> Forgetful:
        return Forgetful(handler_for(contract), names.get(same_keys(contract)))

    retain = duties.retain

    def retain_others(contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        return retain(contract, forgetful(contract).others(pseudonyms))

    with monkeypatch.context() as broken:
        broken.setattr(erasure, "handler_for", forgetful)
        broken.setattr(duties, "retain", retain_others)
        made = requests.submit_erasures(list(names.values()), "test")
        requests.process_open(limit=1_000)
    tried = [requests.get(request.request_id) for request in made]
    assert {request.status for request in tried} == {RequestStatus.INCOMPLETE}
    assert not any(_certificate(request) for request in tried)
    missing = {reason.partition(" (")[0] for reason in tried[0].unfinished if "(verify)" in reason}
    forgotten = {contract.key for contract in contracts}
    assert forgotten - missing == set(), (
        "a handler did not erase, and its verification did not say so"
    )

    requests.process_open(limit=1_000)
    done = [requests.get(request.request_id) for request in made]
    assert [request.unfinished for request in done] == [()] * len(done)
    assert all(_certificate(request) for request in done)
    assert traces(platform, canaries) == []


def _certificate(request: PrivacyRequest) -> bytes | None:
    try:
        return certificates.get(request.request_id)
    except CertificateUnavailableError:
        return None
