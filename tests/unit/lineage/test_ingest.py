"""What the ingested columns are made of: all of what is stored, and nothing that only the vault gets."""

import pytest

from orchestration.defs.ingest.contracts import COLUMNS
from orchestration.lineage.of_ingest import ingest_lineage
from orchestration.sources.model import TABLES, Handling

# Written by the platform itself.
OWN = {
    "source",
    "ingested_at",
    "created",
    "record_id",
    "received_at",
    "proof",
    "agreed_at",
    "salt",
}


@pytest.mark.parametrize("table", TABLES)
def test_every_stored_column_has_its_raw_ones(table: str) -> None:
    lineage = ingest_lineage(table)
    assert set(COLUMNS[table]) - OWN <= set(lineage)


def test_direct_identifiers_go_into_no_stored_column() -> None:
    direct = [
        name for name, (_, how, _) in TABLES["customers"].columns.items() if how is Handling.DIRECT
    ]
    used = {source.column for sources in ingest_lineage("customers").values() for source in sources}
    assert direct
    assert not used & set(direct)
