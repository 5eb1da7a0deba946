import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from privacy.contracts import Artifacts, AssetContract, no_personal_data
from recommenders.artifacts import (
    ArtifactError,
    fingerprint,
    latest_version,
    live_models,
    load_manifest,
    publish_live,
    save_artifact,
    version_folder,
)
from recommenders.catalogue import Catalogue
from recommenders.factor_model import FactorModel
from recommenders.item_index import ItemIndex
from recommenders.model_files import (
    SUBJECT_ARRAYS,
    load_factor_model,
    load_item_index,
    write_factor_model,
    write_item_index,
)
from recommenders.profile import SubjectProfile


def contract(name: str = "numbers") -> AssetContract:
    return no_personal_data(
        f"models/{name}",
        owner="team:recommendations",
        description="For a test.",
        reason="Numbers only.",
        store=Artifacts(path=name),
    )


def numbers(folder: Path) -> None:
    np.save(folder / "numbers.npy", np.arange(5))


def test_a_version_appears_whole_with_a_manifest(tmp_path: Path) -> None:
    saved = save_artifact(
        contract(),
        numbers,
        parameters={"epochs": 3},
        data_versions={"interactions": 4},
        root=tmp_path,
    )
    folder = version_folder("numbers", saved.version, tmp_path)
    read = load_manifest(folder)
    assert read == saved
    assert read.parameters == {"epochs": 3}
    assert set(read.files) == {"numbers.npy"}
    assert latest_version("numbers", tmp_path) == saved.version
    assert [path.name for path in folder.parent.iterdir()] == [saved.version]


def test_a_failing_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        numbers(folder)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        save_artifact(contract(), fail, root=tmp_path)
    assert list((tmp_path / "numbers").iterdir()) == []


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"model\.pkl may not be part"):
        save_artifact(contract(), lambda folder: (folder / "model.pkl").touch(), root=tmp_path)


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_file_that_is_not_as_its_manifest_says_is_not_loaded(tmp_path: Path, harm: str) -> None:
    saved = save_artifact(contract(), numbers, root=tmp_path)
    folder = version_folder("numbers", saved.version, tmp_path)
    if harm == "change":
        np.save(folder / "numbers.npy", np.arange(6))
    elif harm == "remove":
        (folder / "numbers.npy").unlink()
    else:
        np.save(folder / "more.npy", np.arange(5))
    with pytest.raises(ArtifactError, match="is missing, changed or not listed"):
        load_manifest(folder)


def test_old_versions_go_but_the_live_one_stays(tmp_path: Path) -> None:
    first = save_artifact(contract(), numbers, root=tmp_path)
    publish_live({"numbers": first.version}, tmp_path)
    later = [save_artifact(contract(), numbers, root=tmp_path).version for _ in range(4)]
    kept = {path.name for path in (tmp_path / "numbers").iterdir()}
    assert kept == {first.version, later[-1]}
    publish_live({"numbers": later[-1]}, tmp_path)
    assert [path.name for path in (tmp_path / "numbers").iterdir()] == [later[-1]]


def test_a_damaged_version_is_not_published(tmp_path: Path) -> None:
    saved = save_artifact(contract(), numbers, root=tmp_path)
    (version_folder("numbers", saved.version, tmp_path) / "numbers.npy").unlink()
    with pytest.raises(ArtifactError):
        publish_live({"numbers": saved.version}, tmp_path)
    assert live_models(tmp_path) is None


def test_the_fingerprint_changes_with_a_publication_and_with_a_rewritten_manifest(
    tmp_path: Path,
) -> None:
    assert fingerprint(tmp_path) is None
    saved = save_artifact(contract(), numbers, root=tmp_path)
    publish_live({"numbers": saved.version}, tmp_path)
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first
    manifest = version_folder("numbers", saved.version, tmp_path) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=1))
    assert fingerprint(tmp_path) != first


def model() -> FactorModel:
    random = np.random.default_rng(0)
    catalogue = Catalogue.from_products(
        pl.DataFrame({"product_id": ["a", "b", "c"], "category": ["x", "x", "y"]})
    )
    return FactorModel(
        catalogue=catalogue,
        item_vectors=random.normal(size=(3, 4)).astype(np.float32),
        item_biases=np.array([0.1, 0.2, 0.3], dtype=np.float32),
        fallback=np.array([3.0, 2.0, 1.0], dtype=np.float32),
        feature_names=["category=x", "category=y"],
        feature_vectors=random.normal(size=(2, 4)).astype(np.float32),
        subjects=pl.DataFrame(
            {"pseudonym": ["s1", "s2"], "purchased": [["a"], []], "recent": [["b", "a"], ["c"]]},
            schema_overrides={"purchased": pl.List(pl.String)},
        ),
        subject_vectors=random.normal(size=(2, 4)).astype(np.float32),
        recent_weight=0.5,
        fold_in_weight=2.0,
    )


def test_a_factor_model_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = model()
    saved = save_artifact(
        contract("lightfm"),
        lambda folder: write_factor_model(written, folder),
        subject_arrays=SUBJECT_ARRAYS,
        root=tmp_path,
    )
    read = load_factor_model(saved.version, tmp_path)
    np.testing.assert_array_equal(read.scores(["s1", "s2", "?"]), written.scores(["s1", "s2", "?"]))
    assert read.purchased("s1") == ["a"]
    assert read.recent("s2") == ["c"]
    profile = SubjectProfile({"category": {"x": 1.0}}, ["c"])
    np.testing.assert_array_equal(read.fold_in(profile), written.fold_in(profile))


def test_a_trained_subject_moves_with_their_latest_items() -> None:
    known = model()
    expected = known.subject_vectors[0] + 0.5 * known.item_vectors[[1, 0]].mean(axis=0)
    np.testing.assert_allclose(known.subject_vector("s1"), expected, rtol=1e-6)
    newer = known.subject_vector("s1", SubjectProfile(recent_products=["c"]))
    np.testing.assert_allclose(
        newer, known.subject_vectors[0] + 0.5 * known.item_vectors[2], rtol=1e-6
    )


def test_a_newcomer_is_folded_in_from_features_and_items() -> None:
    known = model()
    assert known.subject_vector("new") is None
    assert known.subject_vector("new", SubjectProfile()) is None
    vector = known.subject_vector(
        "new", SubjectProfile({"category": {"x": 0.75, "unheard of": 0.25}}, ["a"])
    )
    expected = 0.75 * known.feature_vectors[0] + 2.0 * known.item_vectors[0]
    np.testing.assert_allclose(vector, expected, rtol=1e-6)


def test_a_subject_of_whom_nothing_is_known_gets_the_fallback() -> None:
    known = model()
    scores = known.scores(["s1", "nobody"])
    np.testing.assert_array_equal(scores[1], known.fallback)
    assert known.recommend(["nobody"], 3).product_ids.tolist() == [["a", "b", "c"]]


def test_keeping_some_subjects_leaves_items_as_trained() -> None:
    kept = model().keeping({"s2"})
    assert kept.subject_rows == {"s2": 0}
    np.testing.assert_array_equal(kept.subject_vectors, model().subject_vectors[1:])
    np.testing.assert_array_equal(kept.item_vectors, model().item_vectors)


def test_a_model_of_nobody_knows_nobody() -> None:
    nobody = FactorModel.of_nobody(model().catalogue)
    assert nobody.subject_vector("s1", SubjectProfile(recent_products=["a"])) is None
    assert nobody.recommend(["s1"], 2).product_ids.tolist() == [["a", "b"]]


def test_the_index_finds_what_brute_force_finds_and_is_read_back(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    index = ItemIndex.build(vectors)
    saved = save_artifact(
        contract("item_index"),
        lambda folder: write_item_index(model().catalogue, index, folder),
        root=tmp_path,
    )
    catalogue, read = load_item_index(saved.version, tmp_path)
    assert catalogue.product_ids == ["a", "b", "c"]
    rows, cosines = read.nearest(vectors, 10)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = unit @ unit.T
    assert rows.tolist() == np.argsort(-expected, axis=1).tolist()
    np.testing.assert_allclose(cosines, -np.sort(-expected, axis=1), atol=1e-6)
