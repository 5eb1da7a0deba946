"""The canonical model: the tables onto which every source is mapped, as Arrow schemas.

Connectors yield batches of these schemas. They are the last place that holds raw identifiers: `Handling` says, per
column, what `privacy.pseudonymise` does to it before anything is stored. A column that a source lacks is null and stays
unknown downstream.
"""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from privacy.readmission import Anew

__all__ = ["TABLES", "Handling", "Table"]

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


class Handling(StrEnum):
    """What happens to a column on its way into the platform."""

    KEEP = "keep"  # stored as it is
    SUBJECT_ID = "subject_id"  # replaced by the pseudonym (column `pseudonym`)
    DIRECT = "direct"  # encrypted in the vault, nowhere else
    FREE_TEXT = "free_text"  # personal data masked (a column named `text` becomes `text_masked`)
    SESSION_ID = "session_id"  # replaced by a keyed hash
    BIRTH_DATE = "birth_date"  # encrypted in the vault; stored as `age_band`
    HEIGHT_CM = "height_cm"  # stored as `height_band`
    AGE = "age"  # stored as `age_band`


@dataclass(frozen=True, slots=True)
class Table:
    """One canonical table.

    Attributes
    ----------
    name: table name, also its asset's last key part.
    columns: column name to (Arrow type, handling, required).
    key: columns that identify a row in its source (the source key is a keyed hash of them).
    time: the column that says when the row happened or was last changed, in UTC microseconds.
    anew: how a row shows that a person who was erased came back by themselves; None: no row of the table does.
    """

    name: str
    columns: dict[str, tuple[pa.DataType, Handling, bool]]
    key: tuple[str, ...]
    time: str
    anew: Anew | None = None

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of a source's batches, raw identifiers included."""
        return pa.schema(
            [
                pa.field(name, kind, nullable=not required)
                for name, (kind, _, required) in self.columns.items()
            ]
        )

    def handled(self, handling: Handling) -> tuple[str, ...]:
        """Names of the columns with this handling."""
        return tuple(name for name, (_, how, _) in self.columns.items() if how is handling)


_STRING, _STRINGS = pa.string(), pa.list_(pa.string())
_KEEP, _SUBJECT, _DIRECT = Handling.KEEP, Handling.SUBJECT_ID, Handling.DIRECT


def _table(
    name: str,
    columns: dict[str, tuple[pa.DataType, Handling, bool]],
    *,
    key: tuple[str, ...],
    time: str,
    anew: Anew | None = None,
) -> Table:
    return Table(name, columns, key, time, anew)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "customers",
            {
                "subject_id": (_STRING, _SUBJECT, True),
                "name": (_STRING, _DIRECT, False),
                "email": (_STRING, _DIRECT, False),
                "phone": (_STRING, _DIRECT, False),
                "city": (_STRING, _DIRECT, False),
                "birth_date": (pa.date32(), Handling.BIRTH_DATE, False),
                "age": (pa.int32(), Handling.AGE, False),
                "country": (_STRING, _KEEP, False),
                "preferred_sizes": (_STRINGS, _KEEP, False),
                "height_cm": (pa.float64(), Handling.HEIGHT_CM, False),
                "body_shape": (_STRING, _KEEP, False),
                "signed_up_at": (UTC_MICROSECONDS, _KEEP, False),
                "updated_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("subject_id",),
            time="updated_at",
            anew=Anew("signed_up_at"),
        ),
        _table(
            "products",
            {
                "product_id": (_STRING, _KEEP, True),
                "name": (_STRING, _KEEP, False),
                "brand": (_STRING, _KEEP, False),
                "category": (_STRING, _KEEP, False),
                "sustainability_rating": (pa.float64(), _KEEP, False),
                "price": (pa.float64(), _KEEP, False),
                "cost": (pa.float64(), _KEEP, False),
                "currency": (_STRING, _KEEP, False),
                "sizes": (_STRINGS, _KEEP, False),
                "season_tags": (_STRINGS, _KEEP, False),
                "description": (_STRING, _KEEP, False),
                "released_at": (UTC_MICROSECONDS, _KEEP, False),
                "updated_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("product_id",),
            time="updated_at",
        ),
        _table(
            "inventory",
            {
                "product_id": (_STRING, _KEEP, True),
                "size": (_STRING, _KEEP, True),
                "quantity": (pa.int32(), _KEEP, False),
                "updated_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("product_id", "size"),
            time="updated_at",
        ),
        _table(
            "orders",
            {
                "order_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "ordered_at": (UTC_MICROSECONDS, _KEEP, True),
                "status": (_STRING, _KEEP, False),
                "currency": (_STRING, _KEEP, False),
                "country": (_STRING, _KEEP, False),
            },
            key=("order_id",),
            time="ordered_at",
            anew=Anew("ordered_at"),
        ),
        _table(
            "order_lines",
            {
                "order_line_id": (_STRING, _KEEP, True),
                "order_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "product_id": (_STRING, _KEEP, True),
                "size": (_STRING, _KEEP, False),
                "quantity": (pa.int32(), _KEEP, True),
                "unit_price": (pa.float64(), _KEEP, False),
                "ordered_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("order_line_id",),
            time="ordered_at",
            anew=Anew("ordered_at"),
        ),
        _table(
            "returns",
            {
                "return_id": (_STRING, _KEEP, True),
                "order_id": (_STRING, _KEEP, False),
                "order_line_id": (_STRING, _KEEP, False),
                "subject_id": (_STRING, _SUBJECT, True),
                "product_id": (_STRING, _KEEP, False),
                "quantity": (pa.int32(), _KEEP, True),
                "reason": (_STRING, Handling.FREE_TEXT, False),
                "returned_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("return_id",),
            time="returned_at",
        ),
        _table(
            "interactions",
            {
                "event_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "session_id": (_STRING, Handling.SESSION_ID, False),
                "event_type": (_STRING, _KEEP, True),
                "product_id": (_STRING, _KEEP, False),
                "size": (_STRING, _KEEP, False),
                "query": (_STRING, Handling.FREE_TEXT, False),
                "dwell_seconds": (pa.float32(), _KEEP, False),
                "position": (pa.int32(), _KEEP, False),
                "touchpoint": (_STRING, _KEEP, False),
                "ranking_id": (_STRING, _KEEP, False),
                "event_timestamp": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("event_id",),
            time="event_timestamp",
        ),
        _table(
            "quiz_answers",
            {
                "answer_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "question": (_STRING, _KEEP, True),
                "answer": (_STRING, Handling.FREE_TEXT, True),
                "answered_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("answer_id",),
            time="answered_at",
        ),
        _table(
            "feedback",
            {
                "feedback_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "product_id": (_STRING, _KEEP, False),
                "size": (_STRING, _KEEP, False),
                "rating": (pa.float64(), _KEEP, False),
                "fit": (_STRING, _KEEP, False),
                "text": (_STRING, Handling.FREE_TEXT, False),
                "given_at": (UTC_MICROSECONDS, _KEEP, True),
            },
            key=("feedback_id",),
            time="given_at",
        ),
        _table(
            "consents",
            {
                "consent_id": (_STRING, _KEEP, True),
                "subject_id": (_STRING, _SUBJECT, True),
                "purpose": (_STRING, _KEEP, True),
                "decision": (_STRING, _KEEP, True),
                "stated_at": (UTC_MICROSECONDS, _KEEP, True),
                "mechanism": (_STRING, _KEEP, True),
                "policy_version": (_STRING, _KEEP, True),
                "policy_sha256": (_STRING, _KEEP, False),  # of the text that was shown
                "language": (_STRING, _KEEP, False),  # of that text, as in de
                "proof_reference": (_STRING, _KEEP, False),  # an entry of the CMP's own log
            },
            key=("consent_id",),
            time="stated_at",
            anew=Anew("stated_at", only=("decision", "opt_in")),
        ),
    )
}
EVENT_TYPES = (
    "page_view",
    "click",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "wishlist",
    "purchase",
    "impression",
)
