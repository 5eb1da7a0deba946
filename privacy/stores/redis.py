"""Keys and stream entries in Redis.

A stream entry that is deleted with XDEL is only marked: its bytes stay in the stream's node and go into every dump. So a
stream is erased by rebuilding it, entries, groups and pending lists, in one atomic script.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import redis

from privacy.contracts import AssetContract, RedisStore, RedisStream
from privacy.database import redis_url
from privacy.stores.base import BATCH_ROWS, StoreError, StoreHandler, subject_column

__all__ = [
    "RedisKeysHandler",
    "RedisStreamHandler",
    "empty_server_logs",
    "key_regex",
    "read_keys",
    "redis_client",
    "scanned",
    "server_logs",
    "text_value",
]

_SCAN = 5_000
_LONGEST_LOG = 1_000_000
_REBUILD = """
local source, target = KEYS[1], KEYS[2]
if redis.call('EXISTS', source) == 0 then return 0 end
local doomed = {}
for _, pseudonym in ipairs(ARGV) do doomed[pseudonym] = true end
local function is_doomed(fields)
  for _, field in ipairs(fields) do
    for run in string.gmatch(field, '[0-9a-f]+') do
      for start = 1, #run - 31 do
        if doomed[string.sub(run, start, start + 31)] then return true end
      end
    end
  end
  return false
end
local function pairs_of(reply)
  local found = {}
  for i = 1, #reply, 2 do found[reply[i]] = reply[i + 1] end
  return found
end
redis.call('DEL', target)
redis.call('XGROUP', 'CREATE', target, '_', '0', 'MKSTREAM')
redis.call('XGROUP', 'DESTROY', target, '_')
local gone = 0
for _, entry in ipairs(redis.call('XRANGE', source, '-', '+')) do
  if is_doomed(entry[2]) then
    gone = gone + 1
  else
    redis.call('XADD', target, entry[1], unpack(entry[2]))
  end
end
local info = pairs_of(redis.call('XINFO', 'STREAM', source))
local groups = redis.call('XINFO', 'GROUPS', source)
redis.call('XSETID', target, info['last-generated-id'])
for _, reply in ipairs(groups) do
  local group = pairs_of(reply)
  redis.call('XGROUP', 'CREATE', target, group['name'], group['last-delivered-id'])
  if group['pending'] > 0 then
    for _, pending in ipairs(redis.call('XPENDING', source, group['name'], '-', '+', group['pending'])) do
      if #redis.call('XRANGE', target, pending[1], pending[1]) > 0 then
        redis.call('XCLAIM', target, group['name'], pending[2], 0, pending[1],
                   'IDLE', pending[3], 'RETRYCOUNT', pending[4], 'FORCE', 'JUSTID')
      end
    end
  end
end
local ttl = redis.call('PTTL', source)
redis.call('RENAME', target, source)
if ttl > 0 then redis.call('PEXPIRE', source, ttl) end
return gone
"""
_PLACE = "{pseudonym}"
_DIGITS = 32
_RUN = re.compile(rb"[0-9a-f]{32,}")
_GLOB = re.compile(r"([\\*?\[\]^])")


@contextmanager
def redis_client() -> Iterator[Any]:
    """A `redis.Redis` of the platform's Redis, closed after use; keys and answers are bytes, which its types forbid."""
    client = redis.Redis.from_url(redis_url(), socket_timeout=60)
    try:
        yield client
    finally:
        client.close()


def server_logs(client: Any) -> list[Any]:
    """What the server noted of slow commands and of those that it refused, both with their keys; empty where it keeps no such log."""
    return [
        client.execute_command("SLOWLOG", "GET", "-1"),
        _acl_log(client, str(_LONGEST_LOG)),
    ]


def empty_server_logs(client: Any) -> None:
    """Let the server forget what it noted of commands: slow ones, and those that it refused."""
    client.execute_command("SLOWLOG", "RESET")
    _acl_log(client, "RESET")


def _acl_log(client: Any, what: str) -> Any:
    try:
        return client.execute_command("ACL", "LOG", what)
    except redis.ResponseError as error:
        if str(error).lower().startswith("unknown"):  # no access control, so nothing refused
            return []
        raise


def text_value(value: Any) -> Any:
    """Bytes as text, through the answers' lists and maps; bytes that are no UTF-8 as hexadecimal."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value.hex()
        case dict():
            return {str(text_value(key)): text_value(item) for key, item in value.items()}
        case list() | tuple():
            return [text_value(item) for item in value]
        case set():
            return sorted(text_value(item) for item in value)
        case _:
            return value


def read_keys(client: Any, keys: Sequence[bytes]) -> list[Any]:
    """The whole value of each key, in two round trips; None for a key that is gone."""
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.type(key)
        kinds = pipeline.execute()
        for key, kind in zip(keys, kinds, strict=True):
            _ask(pipeline, key, kind)
        # A key may expire, or become another's, between the two.
        return [
            None if isinstance(answer, redis.ResponseError) else answer
            for answer in pipeline.execute(raise_on_error=False)
        ]


def _ask(pipeline: Any, key: bytes, kind: bytes) -> None:
    match kind:
        case b"string" | b"none":
            pipeline.get(key)
        case b"hash":
            pipeline.hgetall(key)
        case b"list":
            pipeline.lrange(key, 0, -1)
        case b"set":
            pipeline.smembers(key)
        case b"zset":
            pipeline.zrange(key, 0, -1, withscores=True)
        case b"stream":
            pipeline.xrange(key)
        case _:
            raise StoreError(
                f"Redis holds a key of type {text_value(kind)}, which nobody here reads."
            )


def scanned(client: Any, glob: str | bytes) -> Iterator[list[bytes]]:
    """The keys that match `glob`, in batches."""
    keys = client.scan_iter(glob, count=_SCAN)
    while batch := list(islice(keys, BATCH_ROWS)):
        yield batch


def _pattern(contract: AssetContract) -> str:
    if not isinstance(contract.store, RedisStore):
        raise StoreError(f"Asset {contract.key} has no Redis keys ({contract.store.kind}).")
    pattern = contract.store.pattern
    if _PLACE not in pattern:
        raise StoreError(
            f"The key pattern of {contract.key} lacks '{{pseudonym}}': correct its contract."
        )
    return pattern


def keys_of(
    client: Any, contract: AssetContract, pseudonyms: Sequence[str]
) -> dict[str, list[bytes]]:
    """The keys that exist, by subject; a pattern with ``*`` walks over all keys once."""
    pattern = _pattern(contract)
    if "*" in pattern:
        return _walked(client, pattern, set(pseudonyms))
    keys = [pattern.replace(_PLACE, name).encode() for name in pseudonyms]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.exists(key)
        held = pipeline.execute()
    return {name: [key] for name, key, there in zip(pseudonyms, keys, held, strict=True) if there}


def _walked(client: Any, pattern: str, wanted: set[str]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    matches = key_regex(pattern)
    for key in client.scan_iter(key_glob(pattern), count=_SCAN):
        match = matches.fullmatch(key)
        name = match["pseudonym"].decode() if match else ""
        if name in wanted:
            found.setdefault(name, []).append(key)
    return {name: sorted(keys) for name, keys in found.items()}


def key_glob(pattern: str) -> str:
    """A contract's key pattern as a pattern of SCAN, for any subject."""
    pieces = pattern.replace(_PLACE, "*").split("*")
    return "*".join(_GLOB.sub(r"\\\1", piece) for piece in pieces)


def key_regex(pattern: str) -> re.Pattern[bytes]:
    """A contract's key pattern as an expression whose group `pseudonym` is the subject's."""
    before, place, after = pattern.partition(_PLACE)
    pieces = [".*".join(re.escape(part) for part in side.split("*")) for side in (before, after)]
    name = "(?P<pseudonym>[0-9a-f]{32})" if place else ""
    return re.compile(name.join(pieces).encode(), re.DOTALL)


class RedisKeysHandler(StoreHandler):
    """Keys whose name holds the pseudonym, as the contract's pattern says."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Keys per subject."""
        with redis_client() as client:
            found = keys_of(client, contract, pseudonyms)
        return {name: len(keys) for name, keys in found.items()}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The value of each key, under the contract's pattern in place of the key."""
        with redis_client() as client:
            keys = keys_of(client, contract, [pseudonym]).get(pseudonym, [])
            return [
                {"key": _masked(key, pseudonym), "value": text_value(value)}
                for key, value in zip(keys, read_keys(client, keys), strict=True)
            ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the keys at once; the append-only file forgets them when it is rewritten."""
        with redis_client() as client:
            found = keys_of(client, contract, pseudonyms)
            keys = [key for several in found.values() for key in several]
            return int(client.delete(*keys)) if keys else 0

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The part of each key's name that the pattern says is the pseudonym."""
        pattern = _pattern(contract)
        parts = re.escape(pattern).replace(re.escape(_PLACE), "(.*?)")
        name = re.compile(parts.replace(re.escape("*"), ".*"), re.DOTALL)
        with redis_client() as client:
            for keys in scanned(client, key_glob(pattern)):
                found = (name.fullmatch(key.decode(errors="replace")) for key in keys)
                yield pa.array([match[1] for match in found if match], pa.string())


def _masked(key: bytes, pseudonym: str) -> str:
    return key.decode(errors="replace").replace(pseudonym, "pseudonym")


def _stream(contract: AssetContract) -> str:
    if not isinstance(contract.store, RedisStream):
        raise StoreError(f"Asset {contract.key} is no stream ({contract.store.kind}).")
    return contract.store.key


class RedisStreamHandler(StoreHandler):
    """Entries of a stream that hold the pseudonym in any field."""

    def _entries(self, client: Any, contract: AssetContract) -> Iterator[dict[bytes, bytes]]:
        """The fields of every entry, page by page."""
        key, start = _stream(contract), "-"
        while page := client.xrange(key, min=start, count=BATCH_ROWS):
            yield from (fields for _, fields in page)
            start = f"({page[-1][0].decode()}"

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Entries per subject."""
        wanted, counts = set(pseudonyms), dict.fromkeys(pseudonyms, 0)
        with redis_client() as client:
            for fields in self._entries(client, contract):
                for name in _named(fields) & wanted:
                    counts[name] += 1
        return {name: count for name, count in counts.items() if count}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The entries' fields without the pseudonym."""
        with redis_client() as client:
            entries = [
                fields for fields in self._entries(client, contract) if pseudonym in _named(fields)
            ]
        return [
            {
                str(text_value(name)): text_value(value.replace(pseudonym.encode(), b"pseudonym"))
                for name, value in fields.items()
                if value != pseudonym.encode()
            }
            for fields in entries
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Rebuild the stream without the subjects' entries; consumers keep their place and their pending entries."""
        key = _stream(contract)
        with redis_client() as client:
            rebuild = client.register_script(_REBUILD)
            return int(rebuild(keys=[key, f"{key}:rebuilt"], args=list(pseudonyms)))

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The subject's field of each entry; null where an entry lacks it."""
        field = subject_column(contract).encode()
        with redis_client() as client:
            entries = self._entries(client, contract)
            while page := list(islice(entries, BATCH_ROWS)):
                names = [fields.get(field) for fields in page]
                texts = [None if name is None else name.decode(errors="replace") for name in names]
                yield pa.array(texts, pa.string())


def _named(fields: dict[bytes, bytes]) -> set[str]:
    """Every run of 32 hexadecimal digits in the fields, wherever in a longer run it lies."""
    return {
        run[start : start + _DIGITS].decode()
        for pair in fields.items()
        for text in pair
        for run in _RUN.findall(text)
        for start in range(len(run) - _DIGITS + 1)
    }
