"""What makes a row dirty: the rules of the quarantine, per canonical table, with the reason that each stores.

A rule is an SQL condition over canonical columns; it applies only where all columns that it names are mapped, and
never to unknown (null) values. Apart from these rules a row is refused as

- ``unparsable:<column>``: the source has a value that is none of the column's type or of its mapping's values;
- ``missing_customer`` or ``missing:<column>``: a required value is not there;
- ``exact_duplicate``: an earlier row of the source says the same in all columns;
- ``repeated_key``: an earlier row of the source has the same key and says something else.
"""

from typing import NamedTuple

from orchestration.sources.model import EVENT_TYPES, TABLES
from privacy.contracts import Purpose

__all__ = ["OLDEST_AGE", "YOUNGEST_AGE", "Rule", "missing_reason", "rules_of"]

YOUNGEST_AGE = 0
"""A child may be a customer whose guardian agrees; refused, the row would leave nobody to know that they are one."""
OLDEST_AGE = 100
EARLIEST_YEAR = 1995
"""Before web shops; times before it are clocks that were never set."""


class Rule(NamedTuple):
    """A reason to refuse a row: `condition` is true of a dirty row; `$now` in it is the latest time allowed."""

    reason: str
    columns: tuple[str, ...]
    condition: str


def _none_of(column: str, values: tuple[str, ...], reason: str) -> Rule:
    listed = ", ".join(f"'{value}'" for value in values)
    return Rule(reason, (column,), f"{column} not in ({listed})")


_AGE = f"not between {YOUNGEST_AGE} and {OLDEST_AGE}"
_NOT_POSITIVE = Rule("quantity_not_positive", ("quantity",), "quantity <= 0")
_FITS = ("small", "fit", "large")

_RULES: dict[str, tuple[Rule, ...]] = {
    "customers": (
        Rule("impossible_age", ("age",), f"age {_AGE}"),
        Rule(
            "impossible_age",
            ("birth_date", "updated_at"),
            f"date_sub('year', birth_date, updated_at::date) {_AGE}",
        ),
        Rule("impossible_height", ("height_cm",), "height_cm not between 100 and 230"),
    ),
    "products": (
        Rule("negative_price", ("price",), "price < 0"),
        Rule("negative_price", ("cost",), "cost < 0"),
    ),
    "inventory": (Rule("negative_quantity", ("quantity",), "quantity < 0"),),
    "order_lines": (
        _NOT_POSITIVE,
        Rule("negative_price", ("unit_price",), "unit_price < 0"),
    ),
    "returns": (_NOT_POSITIVE,),
    "interactions": (
        _none_of("event_type", EVENT_TYPES, "unknown_event_type"),
        Rule("negative_dwell", ("dwell_seconds",), "dwell_seconds < 0"),
    ),
    "feedback": (_none_of("fit", _FITS, "unknown_fit"),),
    "consents": (
        _none_of("purpose", tuple(purpose.value for purpose in Purpose), "unknown_purpose"),
        _none_of("decision", ("opt_in", "opt_out"), "unknown_decision"),
    ),
}


def rules_of(table: str) -> tuple[Rule, ...]:
    """The rules of one canonical table, in the order in which they are asked."""
    time = TABLES[table].time
    return (
        Rule("time_in_future", (time,), f"{time} > $now"),
        Rule("impossible_time", (time,), f"year({time}) < {EARLIEST_YEAR}"),
        *_RULES.get(table, ()),
    )


def missing_reason(column: str) -> str:
    """The reason of a row without the required value of `column`."""
    return "missing_customer" if column == "subject_id" else f"missing:{column}"
