"""Everything Dagster knows: the definitions under `defs/`, each asset with a contract."""

import dagster as dg

from orchestration.contract_checks import contract_checks
from orchestration.pii_checks import pii_checks
from privacy.settings import PROJECT_ROOT

__all__ = ["defs", "load"]


def load() -> dg.Definitions:
    """All definitions; raises ContractError where an asset is without a contract."""
    loaded = dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=PROJECT_ROOT / "orchestration"),
        # One process for a whole run: its assets share one Spark session and a bounded memory.
        dg.Definitions(executor=dg.in_process_executor),
    )
    checks = [*contract_checks(loaded), *pii_checks(loaded)]
    return dg.Definitions.merge(loaded, dg.Definitions(asset_checks=checks))


defs = load()
