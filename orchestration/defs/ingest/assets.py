"""The ingest assets: one for each canonical table of the source that the settings name."""

import dagster as dg

from orchestration.contracted import contracted_asset
from orchestration.defs.ingest.contracts import COLUMNS, CONTRACTS
from orchestration.ingest.run import ingest
from orchestration.ingest.summary import IngestSummary
from orchestration.lineage.columns import lineage_metadata
from orchestration.lineage.of_ingest import ingest_lineage
from orchestration.settings import orchestration_settings
from orchestration.sources.connector import open_source

__all__ = ["ingest_assets"]

# What customers write is masked with what the vault knows of them, and whether a statement counts depends on their age: they
# come first.
_AFTER_CUSTOMERS = ("quiz_answers", "feedback", "interactions", "consents")
_KINDS = {"interactions": ("python", "deltalake")}


def _metadata(summary: IngestSummary) -> dict[str, int | str]:
    return {
        "dagster/row_count": summary.total,
        "source": summary.source,
        "read": summary.read,
        "written": summary.written,
        "unchanged": summary.unchanged,
        "quarantined": summary.quarantined,
        "tombstoned": summary.tombstoned,
        "contested identifiers": summary.contested,
        "withheld": summary.withheld,
        "overdue": summary.overdue,
        "streamed": summary.streamed,
    }


def _ingest_asset(table_name: str) -> dg.AssetsDefinition:
    @contracted_asset(
        CONTRACTS[table_name],
        group="ingest",
        kinds=_KINDS.get(table_name, ("python", "postgres")),
        deps=["shop/customers"] if table_name in _AFTER_CUSTOMERS else [],
        columns=COLUMNS[table_name],
    )
    def _asset() -> dg.MaterializeResult[None]:
        settings = orchestration_settings()
        source = open_source(settings.source, settings.source_path)
        summary = ingest(table_name, source, assume_consent=settings.assume_consent)
        return dg.MaterializeResult(
            metadata={**_metadata(summary), **lineage_metadata(ingest_lineage(table_name))}
        )

    return _asset


ingest_assets = [_ingest_asset(name) for name in CONTRACTS]
