"""What each asset is made of, down to its columns: published beside the contracts, recorded by every run.

A source of a column is ``(asset, column)``; of the shop's raw data, the asset is ``source/`` and the canonical table's name.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from privacy.database import Role, connect

__all__ = ["RAW", "AssetShape", "ColumnSources", "publish_shapes", "record_sources", "shapes"]

RAW = "source/"
"""Prefix of the names of the shop's raw tables."""
ColumnSources = Mapping[str, Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class AssetShape:
    """One asset's inputs and columns.

    Attributes
    ----------
    inputs: keys of the assets that it is made from.
    columns: name to type.
    sources: name to (asset, column) of what its values were made of when it was last materialised; a column that is missing
        was not recorded, one with none is made of no column, such as a count or a constant.
    """

    key: str
    inputs: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def publish_shapes(shapes: Iterable[AssetShape]) -> None:
    """Note inputs and columns of assets whose contracts are published; what runs recorded stays."""
    with connect(Role.PRIVACY) as connection:
        connection.cursor().executemany(
            "update requests.assets set inputs = %s, columns = %s where key = %s",
            [(list(each.inputs), json.dumps(dict(each.columns)), each.key) for each in shapes],
        )


def record_sources(key: str, sources: ColumnSources) -> None:
    """Note what the columns of a published asset are made of; of one that is not published, nothing."""
    noted = {column: sorted(set(found)) for column, found in sources.items()}
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.assets set lineage = %s where key = %s", [json.dumps(noted), key]
        )


def shapes() -> list[AssetShape]:
    """Every published asset, ordered by key."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select key, inputs, columns, lineage from requests.assets order by key"
        ).fetchall()
    return [
        AssetShape(
            key,
            tuple(inputs),
            columns,
            {
                name: tuple((asset, column) for asset, column in found)
                for name, found in lineage.items()
            },
        )
        for key, inputs, columns, lineage in rows
    ]
