"""The assets of the trained model and of its item index.

A model is published only if nobody whose data it was trained on has left since the data was read: otherwise it is discarded and
trained anew, once; the next attempt is the run's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from consent import models
from orchestration.contracted import contracted_asset
from orchestration.defs.models.contracts import ITEM_INDEX, LIGHTFM
from orchestration.defs.models.inputs import (
    catalogue,
    data_versions,
    training_events,
)
from orchestration.defs.models.lineage import ITEM_VECTORS, SUBJECT_VECTORS
from orchestration.lineage.columns import lineage_metadata
from privacy.contracts import Purpose
from privacy.stores import handler_for
from recommenders.artifacts import (
    Manifest,
    latest_version,
    load_manifest,
    remove_version,
    save_artifact,
    version_folder,
)
from recommenders.factor_model import FactorModel
from recommenders.interactions import Interactions, InteractionsError
from recommenders.item_index import ItemIndex
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from recommenders.model_files import (
    SUBJECT_ARRAYS,
    load_factor_model,
    write_factor_model,
    write_item_index,
)
from recommenders.permission import permitted
from recommenders.signals import signals

__all__ = ["item_index", "lightfm"]

_ATTEMPTS = 2


@contracted_asset(
    LIGHTFM,
    group="models",
    kinds={"lightfm", "numpy"},
    deps=["lake/interactions", "lake/products", "consent/records", "models/evaluation"],
    columns={
        "pseudonym": "string",
        "purchased": "list<string>",
        "recent": "list<string>",
        "subject_vector": "list<float>",
    },
)
def lightfm() -> dg.MaterializeResult[None]:
    """Train on everything that may be used, with the parameters that the evaluation chose.

    Subjects who agree to model training but not to personalisation shape the products' vectors; their own are not kept.
    """
    measured = load_manifest(version_folder("evaluation", latest_version("evaluation")))
    parameters = LightFMParameters.model_validate(measured.parameters)
    published = _published(parameters, measured.metrics)
    trained, manifest = published.trained, published.manifest
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": published.model.subjects.height,
            "version": manifest.version,
            "training_subjects": trained.subjects.height,
            "kept_subjects": published.model.subjects.height,
            "items": len(published.model.catalogue),
            "seconds": published.seconds,
            "discarded": published.discarded,
            "parameters": dg.MetadataValue.json(parameters.model_dump()),
            "evaluation": dg.MetadataValue.json(measured.metrics),
            "consent_snapshot": dg.MetadataValue.json(manifest.consent_snapshot),
            **lineage_metadata(SUBJECT_VECTORS),
        }
    )


@dataclass(frozen=True)
class _Published:
    """A model in place: as trained, as kept, its manifest, how long the training took, and how many were discarded before it."""

    trained: FactorModel
    model: FactorModel
    manifest: Manifest
    seconds: float
    discarded: int


def _published(parameters: LightFMParameters, metrics: Mapping[str, Any]) -> _Published:
    """Train and publish; raises dagster.Failure, which a run may retry, where people left during every attempt."""
    for attempt in range(_ATTEMPTS):
        before, versions = models.snapshot(), data_versions("interactions", "products")
        started = perf_counter()
        events = training_events(LIGHTFM.key)
        trained = _trained(parameters, events)
        seconds = perf_counter() - started
        saved = _saved(
            trained,
            events["pseudonym"].unique().to_list(),
            before,
            data_versions=versions,
            consent_snapshot=before.as_json(),
            parameters=parameters.model_dump(),
            metrics=metrics,
        )
        if saved:
            model, manifest = saved
            models.trained(LIGHTFM.key, manifest.version, LIGHTFM.purposes, before)
            return _Published(trained, model, manifest, seconds, attempt)
    raise dg.Failure(
        f"No model was published: during each of {_ATTEMPTS} trainings people whose data was in use withdrew, objected or were "
        "erased. The model before it goes on serving, without them; materialise models/lightfm again.",
        allow_retries=True,
    )


def _saved(
    trained: FactorModel, used: list[str], before: models.ConsentSnapshot, **provenance: Any
) -> tuple[FactorModel, Manifest] | None:
    """Publish the model with the subjects who permit to be kept; None where one of `used`, whose events trained it, has left.

    It looks once more after the write: who left while it was written must not come back with it.
    """
    while not models.left_since(before, used, Purpose.MODEL_TRAINING, [LIGHTFM.key]):
        model = trained.keeping(permitted(trained.subjects["pseudonym"].to_list(), LIGHTFM))
        manifest = save_artifact(
            LIGHTFM,
            partial(write_factor_model, model),
            subject_arrays=SUBJECT_ARRAYS,
            **provenance,
        )
        left = models.left_since(before, used, Purpose.MODEL_TRAINING, [LIGHTFM.key])
        if not left and set(model.subject_rows) <= permitted(list(model.subject_rows), LIGHTFM):
            _take_out_of_older_versions()
            return model, manifest
        remove_version(manifest.name, manifest.version)
    return None


def _take_out_of_older_versions() -> None:
    """The live version serves until the next is published; who left must not wait for that."""
    handler = handler_for(LIGHTFM)
    held = {name for batch in handler.held(LIGHTFM) for name in batch.to_pylist()}
    left = held - permitted(held, LIGHTFM)
    if left:
        handler.erase(LIGHTFM, sorted(left))


def _trained(parameters: LightFMParameters, events: pl.DataFrame) -> FactorModel:
    """The trained arrays; where nobody agrees to model training, a model that knows nobody."""
    items = catalogue()
    try:
        data = Interactions.from_events(events, items, weights=signals().weights)
    except InteractionsError:
        return FactorModel.of_nobody(items)
    return LightFMRecommender(parameters).fit(data).model


@contracted_asset(
    ITEM_INDEX,
    group="models",
    kinds={"faiss"},
    deps=["models/lightfm", "lake/products"],
    columns={"product_id": "string", "item_vector": "list<float>"},
)
def item_index() -> dg.MaterializeResult[None]:
    """Index the trained product vectors, beside the catalogue with its stock as of now."""
    version = latest_version("lightfm")
    model = load_factor_model(version)
    index = ItemIndex.build(model.item_vectors)
    items = catalogue().aligned_to(model.catalogue.product_ids)
    manifest = save_artifact(
        ITEM_INDEX,
        lambda folder: write_item_index(items, index, folder),
        data_versions=data_versions("products"),
        parameters={"lightfm_version": version, "items": len(index)},
        smallest_group=model.smallest_group,
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(index),
            "version": manifest.version,
            "lightfm_version": version,
            "components": int(model.item_vectors.shape[1]),
            "in_stock": int(items.in_stock().sum()),
            **lineage_metadata(ITEM_VECTORS),
        }
    )
