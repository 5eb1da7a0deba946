"""A model that must be trained again to forget is followed up until it was."""

import json
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from orchestration.defs.privacy.follow_up import privacy_follow_up
from privacy import registry, requests, unlearning
from privacy.certificates import get as certificate_of
from privacy.contracts import (
    Artifacts,
    AssetContract,
    Category,
    LegalBasis,
    Purpose,
    Retention,
    Unlearn,
)
from privacy.database import Role, connect
from privacy.requests import RequestKind, RequestStatus
from recommenders.artifacts import save_artifact
from tests.integration.people.conftest import CONTRACTS, MODEL

POPULARITY = AssetContract(
    key="models/popularity",
    owner="team:data-platform",
    description="One score per product.",
    category=Category.AGGREGATE,
    purposes=(Purpose.ANALYTICS,),
    legal_basis=LegalBasis.CONSENT,
    retention=Retention(days=30),
    store=Artifacts(path="popularity"),
    unlearn=Unlearn.RETRAIN,
    retrain_within=timedelta(days=7),
)


def train(**parameters: str) -> None:
    save_artifact(
        POPULARITY,
        lambda folder: (folder / "scores.json").write_text("{}") and None,
        parameters=parameters,
    )


@pytest.fixture
def done(people) -> Iterator[requests.PrivacyRequest]:
    """An erasure after which the model has yet to be trained."""
    registry.publish((*CONTRACTS, POPULARITY))
    train()
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    finished = requests.process(request.request_id)
    assert (finished.status, finished.unfinished) == (RequestStatus.COMPLETED, ())
    yield finished
    registry.publish(CONTRACTS)


def retrained(request: requests.PrivacyRequest) -> bool:
    [due] = unlearning.due_of(request.request_id)
    return due.retrained is not None


def test_the_certificate_says_how_each_model_forgets_and_by_when(done) -> None:
    models = {
        model["asset"]: model for model in json.loads(certificate_of(done.request_id))["models"]
    }
    [due] = unlearning.due_of(done.request_id)
    assert models["models/lightfm"] == {"asset": MODEL.key, "unlearn": "fold_out"}
    assert models["models/popularity"]["unlearn"] == "retrain"
    assert models["models/popularity"]["due"] == due.due.isoformat()
    assert due.due - due.erased_at == timedelta(days=7)


def test_it_is_settled_once_the_model_was_trained_since(done) -> None:
    unlearning.settle(registry.load())
    assert not retrained(done), "the version was made before the erasure"
    train()
    assert unlearning.settle(registry.load()) == 1
    assert retrained(done)


def test_a_model_made_since_from_an_older_one_settles_nothing(done) -> None:
    train(lightfm_version="20200101T000000_000000Z")
    assert unlearning.settle(registry.load()) == 0


def test_a_model_that_is_late_fails_the_follow_up(done) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert privacy_follow_up.execute_in_process(instance=instance).success
        with connect(Role.PRIVACY) as connection:
            connection.execute("update requests.retraining set due = now() - interval '1 minute'")
        late = privacy_follow_up.execute_in_process(instance=instance, raise_on_error=False)
        assert not late.success
        told = " ".join(str(record) for record in instance.all_logs(late.run_id))
        assert "models/popularity should have been trained" in told
        train()
        assert privacy_follow_up.execute_in_process(instance=instance).success
