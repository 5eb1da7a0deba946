"""Rules about what is said aloud: no log line, message, label or error holds a raw identifier or a pseudonym.

The rule goes by names. It looks into the arguments and f-strings of calls that write a log, print, warn, label a metric or add
metadata, and of exceptions that are raised and assertions. A name that stands for an identifier (a variable's, an attribute's, a field's) may appear
there only inside a call that says less than the value: its length, a count, whether it is there, or a masked form. A variable that was given
such a value, in a text or as it is, stands for it too; what a function makes of one does not, for most return something else.
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
_LOGGERS = re.compile(
    r"(^|_)(log|logger|logging|structlog|console|errors|warnings)$", re.IGNORECASE
)
_MAKES_LOGGER = re.compile(r"^get_?\w*log(ger)?$", re.IGNORECASE)
_STREAMS = frozenset({"stdout", "stderr", "__stdout__", "__stderr__"})
_WRITES = frozenset({"write", "writelines"})
_TEXTS = frozenset(
    {"str", "repr", "format", "join", "strip", "lower", "upper", "encode", "replace", "dumps"}
)
_LOG_METHODS = frozenset(
    {
        "debug",
        "info",
        "warning",
        "warn",
        "warn_explicit",
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
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def silent(modules: Iterable[Module]) -> Iterator[Violation]:
    """A violation for each place where an identifier would be said aloud."""
    for module in modules:
        yield from _said_in(module, module.tree, frozenset())


def _said_in(module: Module, scope: ast.AST, outer: frozenset[str]) -> Iterator[Violation]:
    """Violations in a module or function and in the functions in it; `outer` are names that stand for an identifier outside."""
    nodes = list(_own(scope))
    seen = outer - _bound(scope, nodes)
    known = seen | _standing_for(nodes, seen)
    for node in nodes:
        if isinstance(node, _FUNCTION):
            yield from _said_in(module, node, known)
        elif isinstance(node, ast.Call) and _speaks(node.func):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            named = [keyword.arg for keyword in node.keywords if keyword.arg]
            yield from _found(module, node, parts, named, "a log call, output or label", known)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from _found(module, node, node.exc.args, [], "the message of an error", known)
        elif isinstance(node, ast.Assert) and node.msg is not None:
            yield from _found(module, node, [node.msg], [], "the message of an error", known)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Every node of a scope, but of the functions in it only themselves."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, _FUNCTION):
            waiting += ast.iter_child_nodes(node)


def _bound(scope: ast.AST, nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Names that the scope gives a value of its own."""
    arguments = ast.walk(scope.args) if isinstance(scope, _FUNCTION) else ()
    given = {node.arg for node in arguments if isinstance(node, ast.arg)}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(given | stored)


def _standing_for(nodes: Iterable[ast.AST], outer: frozenset[str]) -> frozenset[str]:
    """Names that are given an identifier, or a text with one, anywhere in the scope."""
    given = [pair for node in nodes for pair in _assignments(node)]
    found: frozenset[str] = frozenset()
    while new := {name for name, value in given if any(_carried(value, outer | found))} - found:
        found |= new
    return found


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
        case (
            ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            | ast.AugAssign(target=ast.Name(id=name), value=value)
            | ast.NamedExpr(target=ast.Name(id=name), value=value)
            | ast.For(target=ast.Name(id=name), iter=value)
        ):
            yield name, value


def _carried(node: ast.expr, known: frozenset[str]) -> Iterator[str]:
    """Names of identifiers that are in the value of `node` itself; what a function made of one is another value."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if (
            name in _TEXTS or _field(node)
        ):
            yield from _spoken(node, known)
        case (
            ast.Call()
            | ast.Await()
            | ast.Lambda()
            | ast.ListComp()
            | ast.SetComp()
            | ast.DictComp()
            | ast.GeneratorExp()
        ):
            return
        case ast.Name() | ast.Attribute() | ast.Subscript() | ast.Compare():
            yield from _spoken(node, known)
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from _carried(child, known)


def _speaks(function: ast.expr) -> bool:
    match function:
        case ast.Name(id=name):
            return name in _FUNCTIONS
        case ast.Attribute(attr=method) if method in _ALWAYS:
            return True
        case ast.Attribute(attr=method, value=base) if method in _LOG_METHODS:
            return _is_logger(base)
        case ast.Attribute(attr=method, value=ast.Name(id=base) | ast.Attribute(attr=base)):
            return method in _WRITES and base in _STREAMS
    return False


def _is_logger(node: ast.expr) -> bool:
    """Whether `node` is a logger: by its name, made where it is used, or bound to something."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(_LOGGERS.search(name))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if _MAKES_LOGGER.search(
            name
        ):
            return True
        case ast.Call(func=ast.Attribute(value=base)):
            return _is_logger(base)
    return False


def _found(
    module: Module,
    node: ast.expr | ast.stmt,
    parts: Iterable[ast.expr],
    keywords: Iterable[str],
    place: str,
    known: frozenset[str],
) -> Iterator[Violation]:
    names = {name for part in parts for name in _spoken(part, known)}
    names |= {name for name in keywords if _IDENTIFIER.search(name) and names}
    if names:
        yield Violation(
            module.at(node),
            f"{place} holds {', '.join(f'`{name}`' for name in sorted(names))}",
            "leave it out, or say a count or the request's id in its place",
            _RULE,
        )


def _spoken(node: ast.expr, known: frozenset[str]) -> Iterator[str]:
    """Names of identifiers whose value would be in the text of `node`; `known` are names that stand for one."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _SAYS_LESS:
            return
        case ast.Name(id=name) if name in known | _PERSON or _IDENTIFIER.search(name):
            yield name
            return
        case ast.Attribute(attr=name) if _IDENTIFIER.search(name):
            yield name
            return
        case ast.Compare():
            return
    if field := _field(node):
        yield field
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _spoken(child, known)
        elif isinstance(child, ast.keyword):
            yield from _spoken(child.value, known)


def _field(node: ast.expr) -> str | None:
    """The identifier's field that `node` reads by its name: ``row["email"]``, ``row.get("email")``, ``getattr(row, "email")``."""
    match node:
        case (
            ast.Subscript(slice=ast.Constant(value=str(name)))
            | ast.Call(
                func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(name)), *_]
            )
            | ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_])
        ):
            return name if _IDENTIFIER.search(name) else None
    return None
