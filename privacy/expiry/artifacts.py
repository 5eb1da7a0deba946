"""Versions of a model, by the time in their manifest; the version that serves stays."""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from privacy.contracts import Artifacts, AssetContract
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.settings import platform_settings
from privacy.stores.base import StoreError

__all__ = ["ArtifactsExpiry"]

_MANIFEST, _LIVE = "manifest.json", "live.json"


class ArtifactsExpiry(Expiry):
    """Versions made before the retention began; the live one is never deleted, and counts as kept."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Versions past the retention."""
        live = _live(contract)
        old = [folder.name for folder, created in _versions(contract) if created < due.before]
        kept = int(live in old)
        why = "the live version is overdue: train and publish a new one" if kept else ""
        return Overdue(len(old) - kept, kept=kept, why=why)

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Remove the versions' folders."""
        live, gone = _live(contract), 0
        for folder, created in list(_versions(contract)):
            if created < due.before and folder.name != live:
                shutil.rmtree(folder)
                gone += 1
        return gone


def _root(contract: AssetContract) -> Path:
    if not isinstance(contract.store, Artifacts):
        raise StoreError(f"Asset {contract.key} keeps no artefacts ({contract.store.kind}).")
    return platform_settings().models_dir / contract.store.path


def _versions(contract: AssetContract) -> Iterator[tuple[Path, datetime]]:
    root = _root(contract)
    for path in sorted(root.glob(f"*/{_MANIFEST}")) if root.is_dir() else ():
        if not path.parent.name.startswith("."):
            yield path.parent, datetime.fromisoformat(json.loads(path.read_text())["created"])


def _live(contract: AssetContract) -> str | None:
    """The version of the asset that serves, None where none does."""
    path = platform_settings().models_dir / _LIVE
    if not path.exists():
        return None
    versions: dict[str, str] = json.loads(path.read_text())["versions"]
    return versions.get(_root(contract).name)
