"""Rules about Redis: every key of ours is in a contract, and who writes one gives it an expiry in the same function."""

import ast
import re
from collections.abc import Iterable, Iterator

from orchestration.policy.source import Module
from orchestration.policy.violation import Violation
from privacy.contracts import AssetContract, RedisStore, RedisStream

__all__ = ["keys_expire", "keys_registered", "registered_prefixes"]

_PREFIX = "sv:"
_WRITES = frozenset(
    {
        "set",
        "hset",
        "hmset",
        "hsetnx",
        "lpush",
        "rpush",
        "sadd",
        "zadd",
        "incr",
        "incrby",
        "mset",
        "setnx",
        "append",
    }
)
_EXPIRES = frozenset({"expire", "pexpire", "expireat", "pexpireat", "setex", "psetex"})
_EXPIRY_ARGUMENTS = frozenset({"ex", "px", "exat", "pxat", "keepttl"})
# The stamp of a store must last as long as the store: where it ran out, the store would look restored.
_KEPT_FOR_GOOD = frozenset({("epochs.py", "_stamp")})
_CLIENTS = re.compile(r"(redis|client|pipeline|pipe)$")


def registered_prefixes(contracts: Iterable[AssetContract]) -> set[str]:
    """What precedes the pseudonym, or a wildcard, in each registered pattern, and the names of streams."""
    found = set()
    for contract in contracts:
        match contract.store:
            case RedisStore(pattern=pattern):
                found.add(re.split(r"[{*]", pattern, maxsplit=1)[0])
            case RedisStream(key=key):
                found.add(key)
    return found


def keys_registered(modules: Iterable[Module], prefixes: Iterable[str]) -> Iterator[Violation]:
    """A violation for each literal that begins a key which no contract tells of."""
    known = tuple(prefixes)
    for module in modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.Constant(value=str(text)) if _begins_key(text):
                    if not text.startswith(known):
                        yield Violation(
                            module.at(node),
                            f"Redis keys '{text}…' are in no contract",
                            "give them an AssetContract with RedisStore(pattern=…), or register them in "
                            "PLATFORM_CONTRACTS of privacy/registry.py",
                            "unregistered-redis-key",
                        )


def _begins_key(text: str) -> bool:
    return text.startswith(_PREFIX) and text != _PREFIX and "\n" not in text


def keys_expire(modules: Iterable[Module]) -> Iterator[Violation]:
    """A violation for each function that writes a key of Redis and sets no expiry."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]
                writes = [call for call in calls if _is_write(call)]
                kept = (module.path.name, node.name) in _KEPT_FOR_GOOD
                if writes and not kept and not any(_sets_expiry(call) for call in calls):
                    yield Violation(
                        module.at(writes[0]),
                        f"{node.name} writes a Redis key and gives it no expiry",
                        "call expire in the same pipeline, or write it with ex=…",
                        "redis-key-without-expiry",
                    )


def _is_write(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=method, value=ast.Name(id=base) | ast.Attribute(attr=base)):
            return method in _WRITES and bool(_CLIENTS.search(base))
    return False


def _sets_expiry(call: ast.Call) -> bool:
    named = {keyword.arg for keyword in call.keywords if keyword.arg}
    return bool(_EXPIRY_ARGUMENTS & named) or (
        isinstance(call.func, ast.Attribute) and call.func.attr in _EXPIRES
    )
