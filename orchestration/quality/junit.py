"""The report in JUnit's XML, which every CI can show: a suite for each table, a case for each rule; counts alone."""

from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from orchestration.quality.report import QualityReport, RuleResult, TableReport

__all__ = ["as_junit"]


def as_junit(report: QualityReport) -> ElementTree:
    """`report` as a document with the root ``testsuites``; a table that is not stored is one skipped case."""
    root = Element("testsuites", name=f"Data quality of {report.subject}")
    for table in report.tables:
        root.append(_suite(table))
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    indent(root)
    return ElementTree(root)


def _suite(table: TableReport) -> Element:
    suite = Element("testsuite", name=table.name)
    if table.rows is None:
        SubElement(_case(suite, "is stored"), "skipped", message="not stored")
    for result in table.results:
        _add_result(suite, result)
    if table.max_quarantined is not None:
        case = _case(suite, "its rows are accepted")
        for fault in table.faults:
            SubElement(case, "failure", message=fault)
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    return suite


def _case(suite: Element, name: str) -> Element:
    return SubElement(suite, "testcase", classname=str(suite.get("name")), name=name)


def _add_result(suite: Element, result: RuleResult) -> None:
    case = _case(suite, f"{result.column} {result.says}")
    if not result.held:
        kind = "error" if result.error else "failure"
        SubElement(case, kind, message=result.sentence(), type=result.severity.value)
