"""Model artefacts: folders of arrays, Parquet and JSON (no pickle) under a manifest that hashes every file.

Layout: `<models>/<name>/<version>/manifest.json` beside the files it lists; `<models>/live.json` says which versions serve.
An artefact appears whole (written aside, then renamed). Who removes a subject's rows rewrites the files and their hashes
in the manifest; `fingerprint` changes with it, so that a serving process reloads.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from privacy.contracts import AssetContract, Unlearn
from privacy.folders import note_writing
from privacy.settings import platform_settings

__all__ = [
    "ArtifactError",
    "LiveModels",
    "Manifest",
    "fingerprint",
    "latest_version",
    "live_models",
    "load_manifest",
    "publish_live",
    "remove_version",
    "save_artifact",
    "version_folder",
]

_MANIFEST = "manifest.json"
_SUFFIXES = frozenset({".npy", ".parquet", ".json", ".faiss"})
_VERSION = r"^[0-9]{8}T[0-9]{6}_[0-9]{6}Z$"


class ArtifactError(RuntimeError):
    """An artefact is missing, damaged or not what its manifest says; says which file and what to do."""


class Manifest(BaseModel):
    """What an artefact is, what it was made from, and what it holds about people.

    Attributes
    ----------
    data_versions: Delta table to the version that was read.
    consent_snapshot: the newest ledger record that was taken into account (`records`) and when it was read (`at`).
    files: name of every file to its SHA-256.
    subject_arrays: Parquet file with one row per subject to the `.npy` files aligned to its rows.
    smallest_group: fewest people that any figure in the files stands for; None where nobody stands behind one, or where
        subjects are held.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str = Field(pattern=_VERSION)
    created: datetime
    data_versions: dict[str, int] = {}
    consent_snapshot: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    files: dict[str, str] = {}
    subject_arrays: dict[str, list[str]] = {}
    smallest_group: int | None = None
    unlearn: Unlearn | None = None
    contract: AssetContract


class LiveModels(BaseModel):
    """Which version of each model serves."""

    published: datetime
    versions: dict[str, str]


def version_folder(name: str, version: str, root: Path | None = None) -> Path:
    """Folder of one version of the model `name`."""
    return (root or platform_settings().models_dir) / name / version


def _new_version(now: datetime) -> str:
    return now.strftime("%Y%m%dT%H%M%S_%fZ")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_artifact(
    contract: AssetContract,
    write: Callable[[Path], None],
    *,
    data_versions: Mapping[str, int] | None = None,
    consent_snapshot: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    subject_arrays: Mapping[str, list[str]] | None = None,
    smallest_group: int | None = None,
    root: Path | None = None,
) -> Manifest:
    """Let `write` fill a new version's folder, hash its files, and put it in place whole.

    The model's name is the last part of the contract's key. Older versions are removed, apart from
    the live one: a subject who is left out of the new version must not stay in an old one. Raises ArtifactError where `write` leaves a kind of file that may not be stored.
    """
    name, now = contract.key.rpartition("/")[2], datetime.now(UTC)
    target = version_folder(name, _new_version(now), root)
    note_writing(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        write(partial)
        manifest = Manifest(
            name=name,
            version=target.name,
            created=now,
            data_versions=dict(data_versions or {}),
            consent_snapshot=dict(consent_snapshot or {}),
            parameters=dict(parameters or {}),
            metrics=dict(metrics or {}),
            files=_files_of(partial),
            subject_arrays=dict(subject_arrays or {}),
            smallest_group=smallest_group,
            unlearn=contract.unlearn,
            contract=contract,
        )
        (partial / _MANIFEST).write_text(manifest.model_dump_json(indent=2))
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _remove_old_versions(name, root)
    return manifest


def _files_of(folder: Path) -> dict[str, str]:
    files = sorted(folder.iterdir())
    refused = [path.name for path in files if path.suffix not in _SUFFIXES]
    if refused:
        raise ArtifactError(
            f"{refused[0]} may not be part of an artefact: only {', '.join(sorted(_SUFFIXES))} files are stored."
        )
    return {path.name: _digest(path) for path in files}


def _remove_old_versions(name: str, root: Path | None) -> None:
    versions = _versions(name, root)
    live = live_models(root)
    keep = {*versions[-1:], *([live.versions.get(name)] if live else [])}
    for version in versions:
        if version not in keep:
            remove_version(name, version, root)


def _versions(name: str, root: Path | None) -> list[str]:
    folder = version_folder(name, "", root)
    names = (path.parent.name for path in folder.glob(f"*/{_MANIFEST}"))
    return sorted(name for name in names if re.match(_VERSION, name))


def latest_version(name: str, root: Path | None = None) -> str:
    """Newest version of the model `name`; raises ArtifactError where there is none."""
    versions = _versions(name, root)
    if not versions:
        raise ArtifactError(f"There is no {name} model yet: materialise models/{name} first.")
    return versions[-1]


def load_manifest(folder: Path) -> Manifest:
    """Manifest of the artefact in `folder`, after checking the hash of every file.

    Raises ArtifactError where the manifest is missing or not valid, where a file is missing, changed or not listed.
    """
    try:
        manifest = Manifest.model_validate_json((folder / _MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ArtifactError(
            f"Artefact {folder.parent.name}/{folder.name} has no valid manifest: materialise "
            f"models/{folder.parent.name} again."
        ) from error
    present = {path.name for path in folder.iterdir()} - {_MANIFEST}
    for name in sorted(present | set(manifest.files)):
        if (
            name not in manifest.files
            or name not in present
            or _digest(folder / name) != manifest.files[name]
        ):
            raise ArtifactError(
                f"File {name} of artefact {manifest.name}/{manifest.version} is missing, changed or not listed in its "
                f"manifest, so the artefact is not loaded: materialise models/{manifest.name} again."
            )
    return manifest


def publish_live(versions: Mapping[str, str], root: Path | None = None) -> LiveModels:
    """Make `versions` (model name to version) the ones that serve, after verifying each; atomic.

    Versions that neither serve nor are newest are removed.
    """
    for name, version in versions.items():
        load_manifest(version_folder(name, version, root))
    live = LiveModels(published=datetime.now(UTC), versions=dict(versions))
    path = _live_path(root)
    handle, temporary = tempfile.mkstemp(prefix=".live-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(live.model_dump_json(indent=2))
    Path(temporary).replace(path)
    for name in versions:
        _remove_old_versions(name, root)
    return live


def remove_version(name: str, version: str, root: Path | None = None) -> None:
    """Remove one version of the model `name` and its files."""
    shutil.rmtree(version_folder(name, version, root))


def live_models(root: Path | None = None) -> LiveModels | None:
    """Which versions serve; None before the first publication."""
    path = _live_path(root)
    return LiveModels.model_validate_json(path.read_bytes()) if path.exists() else None


def _live_path(root: Path | None) -> Path:
    return (root or platform_settings().models_dir) / "live.json"


def fingerprint(root: Path | None = None) -> str | None:
    """A value that changes when what serves changes (a publication, or a subject's erasure); None where nothing serves."""
    live = live_models(root)
    if live is None:
        return None
    stats = {}
    for name, version in sorted(live.versions.items()):
        stat = (version_folder(name, version, root) / _MANIFEST).stat()
        stats[f"{name}/{version}"] = [stat.st_mtime_ns, stat.st_ino, stat.st_size]
    return hashlib.sha256(json.dumps([live.model_dump_json(), stats]).encode()).hexdigest()
