"""The assets of the trained model and of its item index."""

from functools import partial
from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from orchestration.contracted import contracted_asset
from orchestration.defs.models.contracts import ITEM_INDEX, LIGHTFM
from orchestration.defs.models.inputs import (
    catalogue,
    consent_snapshot,
    data_versions,
    training_events,
)
from orchestration.defs.profiles.weights import EVENT_WEIGHTS
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

__all__ = ["item_index", "lightfm"]


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
    versions, ledger = data_versions("interactions", "products"), consent_snapshot()
    measured = load_manifest(version_folder("evaluation", latest_version("evaluation")))
    parameters = LightFMParameters.model_validate(measured.parameters)
    started = perf_counter()
    trained = _trained(parameters, training_events(LIGHTFM.key))
    seconds = perf_counter() - started
    model, manifest = _saved(
        trained,
        data_versions=versions,
        consent_snapshot=ledger,
        parameters=parameters.model_dump(),
        metrics=measured.metrics,
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": model.subjects.height,
            "version": manifest.version,
            "training_subjects": trained.subjects.height,
            "kept_subjects": model.subjects.height,
            "items": len(model.catalogue),
            "seconds": seconds,
            "parameters": dg.MetadataValue.json(parameters.model_dump()),
            "evaluation": dg.MetadataValue.json(measured.metrics),
            "consent_snapshot": dg.MetadataValue.json(ledger),
        }
    )


def _saved(trained: FactorModel, **provenance: Any) -> tuple[FactorModel, Manifest]:
    """Keep the subjects who permit it, and look again: who left while it was written must not come back with it."""
    while True:
        model = trained.keeping(permitted(trained.subjects["pseudonym"].to_list(), LIGHTFM))
        manifest = save_artifact(
            LIGHTFM,
            partial(write_factor_model, model),
            subject_arrays=SUBJECT_ARRAYS,
            **provenance,
        )
        if set(model.subject_rows) <= permitted(list(model.subject_rows), LIGHTFM):
            _take_out_of_older_versions()
            return model, manifest
        remove_version(manifest.name, manifest.version)


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
        data = Interactions.from_events(events, items, weights=EVENT_WEIGHTS)
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
        }
    )
