"""The connector: one way to read any shop's data as canonical tables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from orchestration.sources.batch import (
    Batch,
    MappingError,
    QuarantinedRow,
    SimulationError,
    SourceError,
)
from orchestration.sources.files import FileSource
from orchestration.sources.mapping import load_mapping, shipped_mappings
from privacy.settings import platform_settings

__all__ = [
    "Batch",
    "MappingError",
    "QuarantinedRow",
    "SimulationError",
    "Source",
    "SourceError",
    "open_source",
]


@runtime_checkable
class Source(Protocol):
    """A shop's data, mapped onto the canonical model.

    Attributes
    ----------
    name: stable name, stored with every row.
    declares_consent: whether it provides the table `consents`.
    """

    name: str
    declares_consent: bool

    def tables(self) -> tuple[str, ...]:
        """Names of the canonical tables it provides, in the canonical model's order."""
        ...

    def read(self, table: str, *, batch_rows: int = 50_000) -> Iterator[Batch]:
        """Batches of one table, in the same order at every read; raises `SourceError`."""
        ...


def open_source(name: str, path: Path | None = None) -> Source:
    """The source `name` (a shipped mapping, or the path of a mapping YAML) over the files in `path`.

    Without `path`, the simulator's files are looked for in the shop's folder, and those of a mapping of one's own
    beside the mapping. Raises `SourceError` where the mapping or a file or column that it needs is missing.
    """
    shipped = shipped_mappings()
    mapping_file = shipped.get(name) or Path(name)
    if not mapping_file.is_file():
        raise SourceError(
            f"no source named {name!r}: use {', '.join(sorted(shipped))} or the path of a mapping YAML"
        )
    return FileSource(load_mapping(mapping_file), path or _default_folder(name, mapping_file))


def _default_folder(name: str, mapping_file: Path) -> Path:
    if name == "simulator":
        return platform_settings().shop_home
    if name in shipped_mappings():
        raise SourceError(f"source {name!r} needs the folder of its files: give it with --path")
    return mapping_file.parent
