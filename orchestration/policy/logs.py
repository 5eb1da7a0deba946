"""Rules about what is said aloud: no log line, message, label or error holds a raw identifier or a pseudonym.

The rule goes by names. It looks into the arguments and f-strings of calls that write a log, print, label a metric or add
metadata, and of exceptions that are raised. A name that stands for an identifier may appear there only inside a call that says less than the
value: its length, a count, whether it is there, or a masked form.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from orchestration.policy.source import Module
from orchestration.policy.violation import Violation

__all__ = ["silent"]

_IDENTIFIER = re.compile(
    r"(^|_)(subject_id|pseudonym|e_?mail|phone|customer_id|customer_number|identifier|first_name|last_name|full_name"
    r"|birth_?date|session_id|subject_ref)(s|es)?$"
)
# A variable of this name is a person; an attribute of it (of a contract, say) is mostly none.
_PERSON = frozenset({"subject", "subjects"})
_LOGGERS = re.compile(r"(^|_)(log|logger|logging|structlog|console|errors)$", re.IGNORECASE)
_LOG_METHODS = frozenset(
    {
        "debug",
        "info",
        "warning",
        "warn",
        "error",
        "critical",
        "exception",
        "log",
        "msg",
        "bind",
        "print",
    }
)
_ALWAYS = frozenset(
    {
        "labels",
        "add_output_metadata",
        "add_asset_metadata",
        "set_attribute",
        "set_attributes",
        "echo",
        "secho",
    }
)
_FUNCTIONS = frozenset({"print", "fail", "warn", "echo", "secho"})
_SAYS_LESS = frozenset(
    {
        "len",
        "sum",
        "count",
        "bool",
        "type",
        "isinstance",
        "any",
        "all",
        "Pii",
        "SecretStr",
        "masked",
        "described",
    }
)
_RULE = "identifier-in-log"


def silent(modules: Iterable[Module]) -> Iterator[Violation]:
    """A violation for each place where an identifier would be said aloud."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _speaks(node.func):
                parts = [*node.args, *(keyword.value for keyword in node.keywords)]
                named = [keyword.arg for keyword in node.keywords if keyword.arg]
                yield from _found(module, node, parts, named, "a log call, output or label")
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield from _found(module, node, node.exc.args, [], "the message of an error")


def _speaks(function: ast.expr) -> bool:
    match function:
        case ast.Name(id=name):
            return name in _FUNCTIONS
        case ast.Attribute(attr=method) if method in _ALWAYS:
            return True
        case ast.Attribute(attr=method, value=ast.Name(id=base) | ast.Attribute(attr=base)):
            return method in _LOG_METHODS and bool(_LOGGERS.search(base))
    return False


def _found(
    module: Module,
    node: ast.expr | ast.stmt,
    parts: Iterable[ast.expr],
    keywords: Iterable[str],
    place: str,
) -> Iterator[Violation]:
    names = {name for part in parts for name in _spoken(part)}
    names |= {name for name in keywords if _IDENTIFIER.search(name) and names}
    if names:
        yield Violation(
            module.at(node),
            f"{place} holds {', '.join(f'`{name}`' for name in sorted(names))}",
            "leave it out, or say a count or the request's id in its place",
            _RULE,
        )


def _spoken(node: ast.expr) -> Iterator[str]:
    """Names of identifiers whose value would be in the text of `node`."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _SAYS_LESS:
            return
        case ast.Name(id=name) if name in _PERSON or _IDENTIFIER.search(name):
            yield name
            return
        case ast.Attribute(attr=name) if _IDENTIFIER.search(name):
            yield name
            return
        case ast.Compare():
            return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _spoken(child)
        elif isinstance(child, ast.keyword):
            yield from _spoken(child.value)
