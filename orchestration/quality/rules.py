"""The rules of every canonical table, as data: which expectation, on which column, raw or stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from orchestration.sources.checks import EARLIEST_YEAR, OLDEST_AGE, YOUNGEST_AGE
from orchestration.sources.model import EVENT_TYPES, TABLES, Handling, Table
from privacy.contracts import Purpose

__all__ = ["Rule", "Severity", "Stage", "key_columns", "rules_of", "stored_name"]

HEX_128 = r"^[0-9a-f]{32}$"
"""A pseudonym, a source key and the hash of a session: 128 bits in hexadecimal digits."""
CONTACT = r"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}"
"""An e-mail address or an IBAN; masked texts hold none."""
CLOCK_SKEW = timedelta(days=1)


class Stage(StrEnum):
    """Where a rule is asked: of a raw source, of what is stored, or of both."""

    RAW = "raw"
    STORED = "stored"
    BOTH = "both"


class Severity(StrEnum):
    """What a broken rule means: `CRITICAL` stops what depends on the table, `WARNING` is shown."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes
    ----------
    says: the rule in words, as it is shown.
    expectation: class name in `great_expectations.expectations`.
    column: name of the column at the stage it is asked.
    arguments: of the expectation, beside the column.
    mostly: share of known values that must hold.
    """

    says: str
    expectation: str
    column: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stage: Stage = Stage.BOTH
    severity: Severity = Severity.CRITICAL
    mostly: float = 1.0


def _known(column: str, stage: Stage = Stage.BOTH) -> Rule:
    return Rule("is known", "ExpectColumnValuesToNotBeNull", column, stage=stage)


def _between(
    column: str,
    low: float | datetime | None,
    high: float | datetime | None,
    says: str,
    stage: Stage = Stage.BOTH,
) -> Rule:
    limits = {"min_value": low, "max_value": high}
    return Rule(says, "ExpectColumnValuesToBeBetween", column, limits, stage)


def _one_of(column: str, values: tuple[str, ...], stage: Stage = Stage.BOTH) -> Rule:
    arguments = {"value_set": list(values)}
    return Rule(
        f"is one of {len(values)} values", "ExpectColumnValuesToBeInSet", column, arguments, stage
    )


def _matches(column: str, regex: str, says: str, stage: Stage = Stage.BOTH) -> Rule:
    return Rule(says, "ExpectColumnValuesToMatchRegex", column, {"regex": regex}, stage)


def _masked(column: str) -> Rule:
    """No address or bank account is left in a text that was masked."""
    return Rule(
        "holds no e-mail address or IBAN",
        "ExpectColumnValuesToNotMatchRegex",
        column,
        {"regex": CONTACT},
        Stage.STORED,
    )


def _plausible(rule: Rule, mostly: float) -> Rule:
    return Rule(
        rule.says,
        rule.expectation,
        rule.column,
        rule.arguments,
        rule.stage,
        Severity.WARNING,
        mostly,
    )


_CURRENCY = _matches("currency", r"^[A-Z]{3}$", "is an ISO 4217 code")
_AGE_BANDS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_HEIGHT_BANDS = ("under 150", "150-159", "160-169", "170-179", "180-189", "190+")

_OWN: dict[str, tuple[Rule, ...]] = {
    "customers": (
        _between("age", YOUNGEST_AGE, OLDEST_AGE, "is a possible age", Stage.RAW),
        _between("height_cm", 100, 230, "is a possible height", Stage.RAW),
        _plausible(_matches("email", r"^\S+@\S+\.\S+$", "is an address", Stage.RAW), 0.99),
        _one_of("age_band", _AGE_BANDS, Stage.STORED),
        _one_of("height_band", _HEIGHT_BANDS, Stage.STORED),
    ),
    "products": (
        _between("price", 0, None, "is not negative"),
        _between("cost", 0, None, "is not negative"),
        _between("sustainability_rating", 0, 5, "lies from 0 to 5"),
        _CURRENCY,
    ),
    "inventory": (_between("quantity", 0, None, "is not negative"),),
    "orders": (_CURRENCY,),
    "order_lines": (
        _between("quantity", 1, None, "is 1 or more"),
        _between("unit_price", 0, None, "is not negative"),
    ),
    "returns": (_between("quantity", 1, None, "is 1 or more"),),
    "interactions": (
        _one_of("event_type", EVENT_TYPES),
        _between("dwell_seconds", 0, None, "is not negative"),
        _plausible(_between("dwell_seconds", 0, 4 * 3600, "is under four hours"), 0.99),
        _between("position", 0, None, "is not negative"),
        _matches("session", HEX_128, "is a keyed hash", Stage.STORED),
        _masked("query"),
    ),
    "quiz_answers": (_masked("answer"),),
    "feedback": (
        _between("rating", 0, 10, "lies from 0 to 10"),
        _one_of("fit", ("small", "fit", "large")),
        _masked("text"),
    ),
    "consents": (
        _one_of("purpose", tuple(purpose.value for purpose in Purpose)),
        _one_of("decision", ("opt_in", "opt_out")),
    ),
}


def stored_name(table: Table, column: str) -> str | None:
    """Name under which a canonical column is stored; None where it is not stored."""
    if column not in table.columns:
        return column
    handling = table.columns[column][1]
    if handling in (Handling.DIRECT, Handling.BIRTH_DATE, Handling.AGE, Handling.HEIGHT_CM):
        return None
    if column in table.key and column in ("event_id", "consent_id"):
        return None
    renamed = {"subject_id": "pseudonym", "session_id": "session", "text": "text_masked"}
    return renamed.get(column, column)


def key_columns(table: Table, stage: Stage) -> tuple[str, ...]:
    """Columns that together occur once: the source's key, or the keyed hash that is stored of it."""
    return table.key if stage is Stage.RAW else ("source_key",)


def _common(table: Table) -> list[Rule]:
    required = [_known(name) for name, (_, _, needed) in table.columns.items() if needed]
    earliest, latest = datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC), datetime.now(UTC) + CLOCK_SKEW
    rules = [*required, _between(table.time, earliest, latest, "is a possible time")]
    if "subject_id" in table.columns:
        rules.append(_matches("pseudonym", HEX_128, "is a pseudonym", Stage.STORED))
    return [
        *rules,
        _known("source", Stage.STORED),
        _matches("source_key", HEX_128, "is a keyed hash", Stage.STORED),
    ]


def rules_of(table_name: str, stage: Stage) -> list[Rule]:
    """The rules of a canonical table at `stage` (raw or stored), columns named as they are there."""
    table = TABLES[table_name]
    asked = [
        rule for rule in (*_common(table), *_OWN[table_name]) if rule.stage in (stage, Stage.BOTH)
    ]
    if stage is Stage.RAW:
        return asked
    named = [(rule, stored_name(table, rule.column)) for rule in asked]
    return [
        Rule(
            rule.says,
            rule.expectation,
            name,
            rule.arguments,
            rule.stage,
            rule.severity,
            rule.mostly,
        )
        for rule, name in named
        if name
    ]
