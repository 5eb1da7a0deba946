"""The lineage of a Spark result, read off the plan that Spark itself made of it."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pyspark.sql import DataFrame

from orchestration.lineage.columns import ColumnLineage, Source
from privacy.settings import platform_settings

__all__ = ["spark_lineage"]


def spark_lineage(df: DataFrame) -> ColumnLineage:
    """What each column of `df` is made of, in columns of the lake's tables (``lake/…``).

    Spark gives each attribute of its analysed plan a number. A leaf of the plan has the numbers of a table's columns; every other
    number is defined by an alias, a union or a generator, from others. Columns that were handed to Spark from memory, such as
    the ledger's, have no source here.
    """
    plan = df._jdf.queryExecution().analyzed()
    made_of: defaultdict[int, set[int]] = defaultdict(set)
    leaves: dict[int, Source] = {}
    for node in _nodes(plan):
        if not node.children().size():
            leaves |= _columns_of(node)
        else:
            _define(node, made_of)
    return {
        attribute.name(): frozenset(_sources(_number(attribute), made_of, leaves))
        for attribute in _sequence(plan.output())
    }


def _nodes(plan: Any) -> Iterator[Any]:
    todo = [plan]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(_sequence(node.children()))


def _columns_of(leaf: Any) -> dict[int, Source]:
    """The columns of a leaf that reads files of the lake."""
    if leaf.getClass().getSimpleName() != "LogicalRelation":
        return {}
    paths = list(_sequence(leaf.relation().location().rootPaths()))
    table = _table(str(paths[0].toUri())) if paths else None
    if table is None:
        return {}
    columns = _sequence(leaf.output())
    return {_number(column): Source(f"lake/{table}", column.name()) for column in columns}


def _table(uri: str) -> str | None:
    """The table of the lake in whose folder a file lies: the first folder below the lake's root."""
    path = PurePosixPath(unquote(urlsplit(uri).path))
    root = PurePosixPath(platform_settings().lake_dir)
    return path.relative_to(root).parts[0] if path.is_relative_to(root) else None


def _define(node: Any, made_of: defaultdict[int, set[int]]) -> None:
    """Note which attributes `node` defines, and from which."""
    kind = node.getClass().getSimpleName()
    for expression in _sequence(node.expressions()):
        if expression.getClass().getSimpleName() == "Alias":
            made_of[_number(expression)] |= _references(expression)
    if kind == "Generate":
        made = _references(node.generator())
        for attribute in _sequence(node.generatorOutput()):
            made_of[_number(attribute)] |= made
    elif kind == "Union":
        for child in _sequence(node.children()):
            for own, theirs in zip(
                _sequence(node.output()), _sequence(child.output()), strict=True
            ):
                if _number(own) != _number(theirs):
                    made_of[_number(own)].add(_number(theirs))


def _sources(
    number: int, made_of: defaultdict[int, set[int]], leaves: dict[int, Source]
) -> Iterator[Source]:
    seen, todo = {number}, [number]
    while todo:
        current = todo.pop()
        if current in leaves:
            yield leaves[current]
        new = made_of.get(current, set()) - seen
        seen |= new
        todo.extend(new)


def _references(expression: Any) -> set[int]:
    references = expression.references().toSeq()
    return {_number(attribute) for attribute in _sequence(references)}


def _number(attribute: Any) -> int:
    return int(attribute.exprId().id())


def _sequence(scala: Any) -> Iterator[Any]:
    return (scala.apply(position) for position in range(scala.size()))
