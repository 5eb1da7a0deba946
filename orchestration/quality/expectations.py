"""Rules put to Great Expectations, batch by batch, with counts as the only result."""

import os
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from orchestration.quality.report import RuleResult
from orchestration.quality.rules import Rule, Severity

__all__ = ["Inquiry", "same_columns"]

COUNTS = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
}
"""The result format that holds counts and no example of a broken value."""


@cache
def _library() -> Any:
    # Read by the library when it is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


@cache
def _batch_definition() -> Any:
    """An in-memory data source; nothing of it is written anywhere."""
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = _library().get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("batch")
    return asset.add_batch_definition_whole_dataframe("batch")


def _validate(
    frame: pd.DataFrame, rules: list[Rule]
) -> list[tuple[int, int | None, bool, str | None]]:
    """(checked, broken, success, kind of error) of each rule on `frame`, in the order of `rules`."""
    library = _library()
    expectations = [
        getattr(library.expectations, rule.expectation)(
            **({"column": rule.column} if not rule.expectation.startswith("ExpectTable") else {}),
            **rule.arguments,
            meta={"rule": number},
        )
        for number, rule in enumerate(rules)
    ]
    suite = library.ExpectationSuite(name="rules", expectations=expectations)
    batch = _batch_definition().get_batch({"dataframe": frame})
    found = batch.validate(suite, result_format=COUNTS)
    ordered = sorted(found.results, key=lambda result: result.expectation_config.meta["rule"])
    return [_counts(result) for result in ordered]


def _counts(result: Any) -> tuple[int, int | None, bool, str | None]:
    counted = result.result or {}
    if "element_count" in counted:
        known = counted["element_count"] - counted.get("missing_count", 0)
        return known, counted["unexpected_count"], bool(result.success), None
    failed = "observed_value" not in counted and not result.success
    return (
        0,
        None,
        bool(result.success),
        "the column is missing or of another type" if failed else None,
    )


class Inquiry:
    """The rules of one table, asked of its batches; counts add up over batches.

    Memory: one batch, and 8 bytes a row for the key.
    """

    def __init__(self, rules: list[Rule], key: tuple[str, ...]) -> None:
        self.rows = 0
        self._rules, self._key = rules, key
        self._checked = [0] * len(rules)
        self._broken = [0] * len(rules)
        self._errors: list[str | None] = [None] * len(rules)
        self._keys: list[Any] = []

    def ask(self, frame: pd.DataFrame) -> None:
        """Put every rule to the rows of `frame`."""
        if frame.empty:
            return
        self.rows += len(frame)
        hashes = pd.util.hash_pandas_object(frame[list(self._key)].astype(str), index=False)
        self._keys.append(hashes.to_numpy(np.uint64))
        for number, (checked, broken, _, error) in enumerate(_validate(frame, self._rules)):
            self._checked[number] += checked
            self._broken[number] += broken or 0
            self._errors[number] = self._errors[number] or error

    def results(self) -> list[RuleResult]:
        """How each rule held over all batches, the uniqueness of the key last."""
        found = [self._result(number, rule) for number, rule in enumerate(self._rules)]
        return [*found, *self._uniqueness()]

    def _result(self, number: int, rule: Rule) -> RuleResult:
        checked, broken, error = self._checked[number], self._broken[number], self._errors[number]
        held = error is None and broken <= (1 - rule.mostly) * checked
        return RuleResult(rule.column, rule.says, rule.severity, checked, broken, held, error)

    def _uniqueness(self) -> list[RuleResult]:
        if not self._keys:
            return []
        frame = pd.DataFrame({"key": np.concatenate(self._keys)})
        rule = Rule("occurs once", "ExpectColumnValuesToBeUnique", "key")
        [(checked, broken, success, error)] = _validate(frame, [rule])
        name = ", ".join(self._key)
        return [RuleResult(name, rule.says, Severity.CRITICAL, checked, broken, success, error)]


def same_columns(found: list[str], expected: list[str]) -> RuleResult:
    """Whether a stored table has the columns it should have and no other, such as one of raw identifiers."""
    says = "are those of its contract, and no other"
    arguments = {"column_set": expected, "exact_match": True}
    rule = Rule(says, "ExpectTableColumnsToMatchSet", "columns", arguments)
    [(_, _, success, _)] = _validate(pd.DataFrame(columns=found), [rule])
    return RuleResult("columns", says, Severity.CRITICAL, 0, None, success)
