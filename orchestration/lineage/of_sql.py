"""The lineage of a query of the warehouse, read off its SQL."""

from collections.abc import Mapping

from sqlglot import exp, parse_one
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from orchestration.lineage.columns import ColumnLineage, Source

__all__ = ["sql_lineage"]

_DIALECT = "postgres"


def sql_lineage(query: str, columns: Mapping[str, Mapping[str, str]]) -> ColumnLineage:
    """What each column of a compiled `query` is made of, in columns of relations named ``schema/table``.

    `columns` maps a relation to its columns and their types; columns of relations that are not among them have no source here.
    Raises sqlglot.errors.SqlglotError where the query cannot be read.
    """
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for relation, types in columns.items():
        name, _, table = relation.partition("/")
        schema.setdefault(name, {})[table] = dict(types)
    parsed = _without_database(parse_one(query, dialect=_DIALECT))
    qualified = qualify(parsed, dialect=_DIALECT, schema=schema, validate_qualify_columns=False)
    scope = build_scope(qualified)
    assert scope is not None, "a model is a query"
    assert isinstance(qualified, exp.Query), "a model is a query"
    return {
        name: _sources(lineage(name, qualified, scope=scope, dialect=_DIALECT), columns)
        for name in qualified.named_selects
    }


def _without_database(query: exp.Expression) -> exp.Expression:
    """dbt names the database too, which is the same for all."""
    for table in query.find_all(exp.Table):
        table.set("catalog", None)
    return query


def _sources(root: Node, columns: Mapping[str, Mapping[str, str]]) -> frozenset[Source]:
    found = set()
    for node in root.walk():
        if isinstance(node.expression, exp.Table):
            relation = f"{node.expression.db}/{node.expression.name}"
            column = exp.to_column(node.name).name
            if column in columns.get(relation, {}):
                found.add(Source(relation, column))
    return frozenset(found)
