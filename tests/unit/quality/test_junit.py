"""The report as JUnit XML: what CI shows of it."""

from collections import Counter
from xml.etree.ElementTree import Element

from orchestration.quality.junit import as_junit
from orchestration.quality.report import QualityReport, RuleResult, TableReport
from orchestration.quality.rules import Severity


def _rule(says: str, broken: int = 0, error: str | None = None) -> RuleResult:
    held = not broken and error is None
    return RuleResult("price", says, Severity.CRITICAL, 10, broken, held, error)


def _root(*tables: TableReport) -> Element:
    root = as_junit(QualityReport("the source shop", list(tables))).getroot()
    assert root is not None
    return root


def test_each_rule_is_a_case_and_a_broken_one_says_how_often() -> None:
    results = [_rule("is known"), _rule("is not negative", 3), _rule("is odd", error="KeyError")]
    root = _root(TableReport("products", 10, results))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == ["price is known", "price is not negative", "price is odd"]
    assert not list(cases["price is known"])
    (failure,) = cases["price is not negative"]
    assert failure.get("message") == "price is not negative: 3 of 10 break it"
    assert cases["price is odd"][0].tag == "error"


def test_too_many_refused_rows_fail_and_a_missing_table_is_skipped() -> None:
    refused = TableReport("orders", 5, read=10, quarantined=Counter(late=5), max_quarantined=0.05)
    root = _root(refused, TableReport("returns", None))
    assert (root.get("failures"), root.get("skipped")) == ("1", "1")
    assert [case.get("classname") for case in root.iter("testcase")] == ["orders", "returns"]
