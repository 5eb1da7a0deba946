"""The lineage of what is ingested: each stored column and the raw ones of the shop's table."""

from orchestration.lineage.columns import ColumnLineage, Source
from orchestration.sources.model import TABLES, Handling
from privacy.lineage import RAW

__all__ = ["ingest_lineage"]

_STORED_AS = {
    Handling.SUBJECT_ID: "pseudonym",
    Handling.SESSION_ID: "session",
    Handling.BIRTH_DATE: "age_band",
    Handling.AGE: "age_band",
    Handling.HEIGHT_CM: "height_band",
}


def ingest_lineage(table: str) -> ColumnLineage:
    """What each stored column of a canonical table is made of; what goes into the vault alone is in none."""
    made: dict[str, set[Source]] = {}
    for name, (_, handling, _) in TABLES[table].columns.items():
        if handling is Handling.DIRECT:
            continue
        stored = _STORED_AS.get(handling, name)
        if handling is Handling.FREE_TEXT and name == "text":
            stored = "text_masked"
        made.setdefault(stored, set()).add(Source(RAW + table, name))
    made["source_key"] = {Source(RAW + table, name) for name in TABLES[table].key}
    return made
