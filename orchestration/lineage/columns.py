"""A column's sources, and how a run says them: in Dagster's metadata."""

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import dagster as dg

from privacy.lineage import ColumnSources

__all__ = ["METADATA_KEY", "ColumnLineage", "Source", "lineage_metadata", "lineage_of"]

METADATA_KEY = "dagster/column_lineage"


class Source(NamedTuple):
    """One column of one asset; of the shop's raw data, the asset is ``source/`` and the canonical table's name."""

    asset: str
    column: str


ColumnLineage = Mapping[str, Set[Source]]
"""Column of an asset to the columns whose values its own are made of.

What only decides which rows there are (a filter, the condition of a join) is no source of a value; what a window is parted and
ordered by is.
"""


def lineage_metadata(lineage: ColumnLineage) -> dict[str, dg.TableColumnLineage]:
    """The metadata entry of a materialisation that says what each column was made of."""
    columns = {
        column: [dg.TableColumnDep(source.asset.split("/"), source.column) for source in sorted(sources)]
        for column, sources in lineage.items()
    }  # fmt: skip
    return {METADATA_KEY: dg.TableColumnLineage(columns)}


def lineage_of(metadata: Mapping[str, Any]) -> ColumnSources | None:
    """What `lineage_metadata` put into a materialisation's metadata; None where nothing is."""
    entry = metadata.get(METADATA_KEY)
    lineage = getattr(entry, "value", entry)
    if not isinstance(lineage, dg.TableColumnLineage):
        return None
    return {
        column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }
