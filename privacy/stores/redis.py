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

__all__ = ["RedisKeysHandler", "RedisStreamHandler", "redis_client", "scanned", "text_value"]

_SCAN = 5_000
_REBUILD = """
local source, target = KEYS[1], KEYS[2]
if redis.call('EXISTS', source) == 0 then return 0 end
local doomed = {}
for _, pseudonym in ipairs(ARGV) do table.insert(doomed, pseudonym) end
local function is_doomed(fields)
  for _, field in ipairs(fields) do
    for _, pseudonym in ipairs(doomed) do
      if string.find(field, pseudonym, 1, true) then return true end
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
_GLOB = re.compile(r"([\\*?\[\]^])")


@contextmanager
def redis_client() -> Iterator[Any]:
    """A `redis.Redis` of the platform's Redis, closed after use; keys and answers are bytes, which its types forbid."""
    client = redis.Redis.from_url(redis_url(), socket_timeout=60)
    try:
        yield client
    finally:
        client.close()


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


def read_key(client: Any, key: bytes) -> Any:
    """The whole value of `key`, whatever its type; None where there is none."""
    kind: Any = client.type(key)
    match kind:
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return client.xrange(key)
        case b"none":
            return None
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
    if "{pseudonym}" not in pattern:
        raise StoreError(
            f"The key pattern of {contract.key} lacks '{{pseudonym}}': correct its contract."
        )
    return pattern


def _glob(pattern: str, pseudonym: str) -> str:
    pieces = [_GLOB.sub(r"\\\1", piece) for piece in pattern.split("*")]
    return "*".join(pieces).replace("{pseudonym}", pseudonym)


def keys_of(client: Any, contract: AssetContract, pseudonym: str) -> list[bytes]:
    """The keys that exist for one subject; a pattern with ``*`` walks over all keys."""
    pattern = _pattern(contract)
    if "*" not in pattern:
        key = pattern.replace("{pseudonym}", pseudonym).encode()
        return [key] if client.exists(key) else []
    return sorted(client.scan_iter(_glob(pattern, pseudonym), count=_SCAN))


class RedisKeysHandler(StoreHandler):
    """Keys whose name holds the pseudonym, as the contract's pattern says."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Keys per subject."""
        with redis_client() as client:
            counts = {name: len(keys_of(client, contract, name)) for name in pseudonyms}
        return {name: count for name, count in counts.items() if count}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The value of each key, under the contract's pattern in place of the key."""
        assert isinstance(contract.store, RedisStore)
        with redis_client() as client:
            return [
                {"key": _masked(key, pseudonym), "value": text_value(read_key(client, key))}
                for key in keys_of(client, contract, pseudonym)
            ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the keys at once; the append-only file forgets them when it is rewritten."""
        with redis_client() as client:
            keys = [key for name in pseudonyms for key in keys_of(client, contract, name)]
            return int(client.delete(*keys)) if keys else 0

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The part of each key's name that the pattern says is the pseudonym."""
        pattern = _pattern(contract)
        parts = re.escape(pattern).replace(re.escape("{pseudonym}"), "(.*?)")
        name = re.compile(parts.replace(re.escape("*"), ".*"), re.DOTALL)
        with redis_client() as client:
            for keys in scanned(client, _glob(pattern, "*")):
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

    def _entries(
        self, client: Any, contract: AssetContract, pseudonym: str
    ) -> list[dict[bytes, bytes]]:
        needle = pseudonym.encode()
        entries: Any = client.xrange(_stream(contract))
        return [
            fields
            for _, fields in entries
            if any(needle in name or needle in value for name, value in fields.items())
        ]

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Entries per subject."""
        with redis_client() as client:
            counts = {name: len(self._entries(client, contract, name)) for name in pseudonyms}
        return {name: count for name, count in counts.items() if count}

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The entries' fields without the pseudonym."""
        with redis_client() as client:
            entries = self._entries(client, contract, pseudonym)
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
        field, start = subject_column(contract).encode(), b"-"
        with redis_client() as client:
            while entries := client.xrange(_stream(contract), start, "+", BATCH_ROWS):
                names = [fields.get(field) for _, fields in entries]
                texts = [None if name is None else name.decode(errors="replace") for name in names]
                yield pa.array(texts, pa.string())
                start = b"(" + entries[-1][0]
