"""Consent statements of a source, and those that are assumed for a source that has none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from consent.purposes import needs_consent
from orchestration.ingest.summary import IngestError
from orchestration.sources.batch import Batch
from orchestration.sources.connector import Source
from orchestration.sources.model import TABLES
from privacy.contracts import Purpose

__all__ = ["ASSUMED", "consent_batches"]

ASSUMED = "assumed"
"""Mechanism and policy version of a statement that nobody made."""

_BATCH_SUBJECTS = 10_000


def consent_batches(source: Source, *, assume_consent: bool) -> Iterator[Batch]:
    """The source's statements, or, where it has none and that was said, an assumed opt-in of every subject.

    An assumed opt-in is for each purpose that needs consent, as of the subject's first row. Raises IngestError where the
    source has none and nothing was said.
    """
    if source.declares_consent:
        yield from source.read("consents")
    elif not assume_consent:
        raise IngestError(
            f"Source '{source.name}' has no consent records, so nothing may be personalised or trained on. Add "
            "--assume-consent (SELVEDGE_ASSUME_CONSENT=true) to record an assumed opt-in, marked as such in the ledger."
        )
    else:
        yield from _assumed(_first_seen(source))


def _first_seen(source: Source) -> dict[str, datetime]:
    """Each raw subject of the source and the time of its first row."""
    first: dict[str, datetime] = {}
    for name in source.tables():
        table = TABLES[name]
        if "subject_id" not in table.columns:
            continue
        for batch in source.read(name):
            times = pa.table(
                {"subject": batch.rows["subject_id"], "at": batch.rows[table.time]}
            ).group_by("subject")
            earliest = times.aggregate([("at", "min")])
            for subject, at in zip(*(earliest[c].to_pylist() for c in ("subject", "at_min")), strict=True):  # fmt: skip
                if subject and (subject not in first or at < first[subject]):
                    first[subject] = at
    return first


def _assumed(first_seen: dict[str, datetime]) -> Iterator[Batch]:
    # What nobody stated shows of nobody that they came back.
    table = replace(TABLES["consents"], anew=None)
    purposes = [purpose.value for purpose in Purpose if needs_consent(purpose)]
    subjects = sorted(first_seen)
    for start in range(0, len(subjects), _BATCH_SUBJECTS):
        some = subjects[start : start + _BATCH_SUBJECTS]
        rows = [
            {
                "consent_id": f"{ASSUMED}|{subject}|{purpose}",
                "subject_id": subject,
                "purpose": purpose,
                "decision": "opt_in",
                "stated_at": first_seen[subject],
                "mechanism": ASSUMED,
                "policy_version": ASSUMED,
            }
            for subject in some
            for purpose in purposes
        ]
        yield Batch(table, pa.RecordBatch.from_pylist(rows, schema=table.schema), [], len(rows))
