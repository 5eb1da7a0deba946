"""Assets that are about nobody and hold one row, for tests of what runs when."""

from collections.abc import Callable

import dagster as dg

from orchestration.contracted import ROW_COUNT, contracted_asset
from privacy.contracts import NoStore, no_personal_data

__all__ = ["asset"]


def asset(name: str, *deps: str, first: Callable[[str], None]) -> dg.AssetsDefinition:
    """``runs/name``, made of ``runs/…``; calls `first` with its name, which may raise, before it is made."""
    contract = no_personal_data(
        f"runs/{name}", owner="team:tests", description="Made.", reason="A number.", store=NoStore()
    )

    @contracted_asset(
        contract, group="runs", kinds=("python",), deps=[f"runs/{dep}" for dep in deps]
    )
    def made() -> dg.MaterializeResult[None]:
        first(name)
        return dg.MaterializeResult(metadata={ROW_COUNT: 1})

    return made
