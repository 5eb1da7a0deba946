"""A small shop in memory, with markers in every raw identifier."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from orchestration.sources.batch import Batch, QuarantinedRow
from orchestration.sources.model import TABLES

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARKERS = ("Qxmarkername", "qxmarkermail", "qx4711marker", "qxmarkercity", "qxmarkersession")


def customer(number: str, **changes: Any) -> dict[str, Any]:
    return {
        "subject_id": number,
        "name": "Ada Qxmarkername",
        "email": "qxmarkermail@shop.test",
        "phone": "+49 30 99887766",
        "city": "Qxmarkercity",
        "birth_date": date(1990, 5, 17),
        "country": "DE",
        "preferred_sizes": ["M", "L"],
        "height_cm": 171.5,
        "updated_at": AT,
        **changes,
    }


def interaction(event: str, number: str, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": event,
        "subject_id": number,
        "session_id": "qxmarkersession-1",
        "event_type": "page_view",
        "product_id": "P1",
        "dwell_seconds": 3.5,
        "event_timestamp": AT,
        **changes,
    }


def consent(
    number: str, purpose: str, decision: str = "opt_in", at: datetime = AT
) -> dict[str, Any]:
    return {
        "consent_id": f"{number}-{purpose}-{at.isoformat()}",
        "subject_id": number,
        "purpose": purpose,
        "decision": decision,
        "stated_at": at,
        "mechanism": "banner",
        "policy_version": "1",
    }


def shop_rows(number: str = "qx4711marker") -> dict[str, list[dict[str, Any]]]:
    """Rows of every table, about one person with markers and one without."""
    return {
        "customers": [customer(number), customer("other", name="Bob", email="bob@b.test")],
        "products": [
            {"product_id": "P1", "name": 'Skirt, "red"', "price": 19.99, "sizes": ["S", "M"],
             "season_tags": [], "description": "", "updated_at": AT},
            {"product_id": "P2", "updated_at": AT},
        ],
        "inventory": [{"product_id": "P1", "size": "M", "quantity": 3, "updated_at": AT}],
        "orders": [{"order_id": "O1", "subject_id": number, "ordered_at": AT, "status": "paid"}],
        "order_lines": [
            {"order_line_id": "L1", "order_id": "O1", "subject_id": number, "product_id": "P1",
             "quantity": 1, "unit_price": 19.99, "ordered_at": AT},
        ],
        "returns": [
            {"return_id": "R1", "order_id": "O1", "subject_id": number, "quantity": 1, "returned_at": AT},
        ],
        "interactions": [
            interaction("E1", number, query="dress for Ada QXMARKERNAME"),
            interaction("E2", number, event_type="purchase", session_id=None),
            interaction("E3", "other"),
        ],
        "quiz_answers": [
            {"answer_id": "A1", "subject_id": number, "question": "style",
             "answer": "write qxmarkermail@shop.test", "answered_at": AT},
        ],
        "feedback": [
            {"feedback_id": "F1", "subject_id": number, "product_id": "P1", "rating": 4.5,
             "text": f"Fits. Qxmarkername from Qxmarkercity, no. {number}, 030 99887766", "given_at": AT},
        ],
        "consents": [consent(number, "personalisation"), consent("other", "analytics", "opt_out")],
    }  # fmt: skip


@dataclass
class SmallShop:
    """A source over rows in memory; a table may have refused rows, too."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    quarantined: Mapping[str, list[QuarantinedRow]] = field(default_factory=dict)
    name: str = "small"

    @property
    def declares_consent(self) -> bool:
        return "consents" in self.rows

    def tables(self) -> tuple[str, ...]:
        return tuple(name for name in TABLES if name in self.rows)

    def read(self, table: str, *, batch_rows: int = 2) -> Iterator[Batch]:
        rows, size = self.rows[table], min(batch_rows, 2)
        refused = self.quarantined.get(table, [])
        for start in range(0, max(len(rows), 1), size):
            some = [
                {name: row.get(name) for name in TABLES[table].columns}
                for row in rows[start:][:size]
            ]
            batch = pa.RecordBatch.from_pylist(some, schema=TABLES[table].schema)
            yield Batch(TABLES[table], batch, refused, len(some) + len(refused))
            refused = []
