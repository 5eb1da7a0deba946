"""Somebody withdraws while a model that uses them is trained: the model is rejected before it is published."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import polars as pl
import pytest

from consent import models
from orchestration.defs.models import lightfm
from orchestration.defs.models.contracts import LIGHTFM
from privacy.contracts import AssetContract
from recommenders.artifacts import latest_version, version_folder
from recommenders.factor_model import FactorModel
from recommenders.model_files import load_factor_model
from serving.auth import Scope
from tests.adversarial.canaries import Canary
from tests.adversarial.whole_platform import Platform

_ANSWERS = 12  # each on a connection of its own, so that hardly ever one worker gives them all
MODELS = ("models/lightfm", "models/item_index", "serving/ranker")


@dataclass
class Trainings:
    """Real trainings, at the end of each of which the next of `leaving` withdraws through the API; what was trained and saved."""

    platform: Platform
    leaving: list[Canary]
    train: Callable[..., FactorModel] = lightfm._trained
    save: Callable[..., Any] = lightfm.save_artifact
    trained: list[set[str]] = field(default_factory=list)
    saved: int = 0

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> "Trainings":
        monkeypatch.setattr(lightfm, "_trained", self._train)
        monkeypatch.setattr(lightfm, "save_artifact", self._save)
        return self

    def _train(self, parameters: object, events: pl.DataFrame) -> FactorModel:
        model = self.train(parameters, events)
        self.trained.append(set(model.subject_rows))
        if self.leaving:
            withdraw(self.platform, self.leaving.pop(0))
        return model

    def _save(self, contract: AssetContract, *arguments: Any, **keywords: Any) -> Any:
        self.saved += contract.key == LIGHTFM.key
        return self.save(contract, *arguments, **keywords)


def withdraw(platform: Platform, canary: Canary) -> None:
    statement = {
        "statement_id": f"battery-{token_hex(8)}",
        "stated_at": datetime.now(UTC).isoformat(),
        "mechanism": "privacy_centre",
        "policy_version": "3.0",
        "decisions": {"model_training": "opt_out"},
    }
    with platform.api(Scope.STOREFRONT) as client:
        headers = {"Selvedge-Subject": platform.reference(client, canary)}
        answer = client.post("/v1/consents", json=statement, headers=headers)
        assert answer.status_code == 200, answer.text


def versions() -> set[str]:
    return {path.name for path in version_folder("lightfm", "").iterdir()}


def ranked_by(platform: Platform, canary: Canary) -> tuple[bool, str]:
    """Whether the API personalises for a canary, and with which model."""
    with platform.api(Scope.STOREFRONT) as client:
        headers = {"Selvedge-Subject": platform.reference(client, canary)}
        answer = client.get("/v1/recommendations", headers=headers).json()
    return answer["personalised"], answer["model"]


def loaded_by_every_worker(platform: Platform, canary: Canary) -> tuple[bool, str]:
    """What ranks for a canary once the workers, which look for it every few seconds, have loaded what was published last."""
    wanted = (True, f"lightfm/{latest_version('lightfm')}")
    deadline = time.monotonic() + 60
    while {ranked_by(platform, canary) for _ in range(_ANSWERS)} != {wanted}:
        assert time.monotonic() < deadline, "the API does not load what was published"
        time.sleep(0.5)
    return wanted


def test_a_model_is_rejected_whose_consents_changed_while_it_trained(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    [leaving] = platform.take()
    name, before = platform.pseudonym(leaving), versions()
    with monkeypatch.context() as patched:
        trainings = Trainings(platform, [leaving]).watch(patched)
        platform.materialise(MODELS)
    first, second = trainings.trained
    assert name in first, "the first model was trained on them"
    assert name not in second
    assert trainings.saved == 1, "the first model was never written"
    assert versions() - before == {latest_version("lightfm")}
    assert name not in load_factor_model(latest_version("lightfm")).subject_rows
    assert "models/lightfm" not in models.due()


def test_no_model_is_published_while_people_go_on_leaving(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    staying, *leaving = platform.take(3)
    live = platform.settings.models_dir / "live.json"
    before, published = versions(), live.read_bytes()
    served = loaded_by_every_worker(platform, staying)
    with monkeypatch.context() as patched:
        trainings = Trainings(platform, list(leaving)).watch(patched)
        assert not platform.try_to_materialise(MODELS)
    assert (len(trainings.trained), trainings.saved) == (2, 0)
    assert (versions(), live.read_bytes()) == (before, published)
    assert ranked_by(platform, staying) == served, "the model before goes on serving"
    assert models.due()["models/lightfm"].subjects >= len(leaving)

    platform.materialise(MODELS)
    gone: Sequence[str] = platform.pseudonyms(leaving)
    assert not set(load_factor_model(latest_version("lightfm")).subject_rows) & set(gone)
    assert "models/lightfm" not in models.due()
