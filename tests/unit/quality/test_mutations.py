"""Each rule notices its own breach: good rows, then one column spoilt."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from orchestration.defs.ingest.contracts import COLUMNS
from orchestration.quality.expectations import Inquiry, same_columns
from orchestration.quality.rules import Rule, Stage, key_columns, rules_of
from orchestration.sources.model import TABLES

ROWS = 40
GOOD = {
    "ExpectColumnValuesToNotMatchRegex": "a warm coat",
    "ExpectColumnValuesToNotBeNull": "something",
}
# In this order a rule says more about what a good value is than those before it.
TELLING = ("ExpectColumnValuesToNotBeNull", "ExpectColumnValuesToNotMatchRegex", "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToMatchRegex", "ExpectColumnValuesToBeInSet")  # fmt: skip
FITS = {r"^[A-Z]{3}$": "EUR", r"^[0-9a-f]{32}$": "0" * 32, r"^\S+@\S+\.\S+$": "a@b.de"}
CASES = [
    pytest.param(table, stage, number, id=f"{table}-{stage}-{rule.column} {rule.says}")
    for table in TABLES
    for stage in (Stage.RAW, Stage.STORED)
    for number, rule in enumerate(rules_of(table, stage))
]


def _good(rule: Rule) -> Any:
    arguments = rule.arguments
    if "value_set" in arguments:
        return arguments["value_set"][0]
    if "min_value" in arguments:
        low, high = arguments["min_value"], arguments["max_value"]
        return high if low is None else low
    if rule.expectation == "ExpectColumnValuesToMatchRegex":
        return FITS[arguments["regex"]]
    return GOOD[rule.expectation]


def _spoilt(rule: Rule) -> Any:
    arguments = rule.arguments
    if rule.expectation == "ExpectColumnValuesToNotBeNull":
        return None
    if rule.expectation == "ExpectColumnValuesToNotMatchRegex":
        return "write to anna.muster@example.org"
    if "min_value" in arguments:
        low = arguments["min_value"]
        if isinstance(low, datetime):
            return datetime(1880, 1, 1, tzinfo=UTC)
        return low - 1
    return "no such value"


def _frame(table: str, stage: Stage, rules: list[Rule]) -> pd.DataFrame:
    ordered = sorted(rules, key=lambda rule: TELLING.index(rule.expectation))
    columns: dict[str, Any] = {rule.column: [_good(rule)] * ROWS for rule in ordered}
    for name in key_columns(TABLES[table], stage):
        columns[name] = [f"{number:032x}" for number in range(ROWS)]
    return pd.DataFrame(columns)


def _held(frame: pd.DataFrame, table: str, stage: Stage, rules: list[Rule]) -> list[bool]:
    inquiry = Inquiry(rules, key_columns(TABLES[table], stage))
    inquiry.ask(frame)
    return [result.held for result in inquiry.results()]


@pytest.mark.parametrize(("table", "stage", "number"), CASES)
def test_a_spoilt_column_breaks_its_rule(table: str, stage: Stage, number: int) -> None:
    rules = rules_of(table, stage)
    frame = _frame(table, stage, rules)
    spoilt = frame.assign(**{rules[number].column: pd.Series([_spoilt(rules[number])] * ROWS)})
    assert not _held(spoilt, table, stage, rules)[number]


@pytest.mark.parametrize("stage", [Stage.RAW, Stage.STORED])
@pytest.mark.parametrize("table", TABLES)
def test_good_rows_break_nothing(table: str, stage: Stage) -> None:
    rules = rules_of(table, stage)
    assert all(_held(_frame(table, stage, rules), table, stage, rules))


@pytest.mark.parametrize("stage", [Stage.RAW, Stage.STORED])
@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_there_twice_breaks_the_key(table: str, stage: Stage) -> None:
    rules = rules_of(table, stage)
    frame = _frame(table, stage, rules)
    twice = pd.concat([frame, frame.head(1)], ignore_index=True)
    assert not _held(twice, table, stage, rules)[-1]


@pytest.mark.parametrize("table", TABLES)
def test_a_column_too_many_or_too_few_is_noticed(table: str) -> None:
    expected = list(COLUMNS[table])
    assert same_columns(expected, expected).held
    assert not same_columns([*expected, "subject_id"], expected).held
    assert not same_columns(expected[1:], expected).held
