"""Consent as serving reads it: one Redis hash per subject, with a bit for each purpose and the objections.

The key is ``sv:consent:{<pseudonym>}``. Serving asks for it in the same pipeline as the features::

    pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
    …
    decode(reply).serves(Purpose.PERSONALISATION, "models/lightfm")

A missing key (never agreed, erased, expired) serves nothing that needs consent, and neither does the mask of somebody who opted out of the masks
themselves or restricted every use: theirs stays without a bit. The ledger is the truth; `refresh` follows a statement at once, and `write_all` writes every subject daily,
well before the keys expire, and corrects whatever differs from the ledger.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, cast

import redis
from redis.commands.core import Script

from consent.purposes import needs_consent, purpose_mask
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.database import Role, connect, redis_url
from privacy.withholding import EVERYTHING

__all__ = [
    "ASSET_KEY",
    "GPC_FIELD",
    "MASK_FIELDS",
    "TTL",
    "Mask",
    "decode",
    "mark_gpc",
    "mask_key",
    "masks_of",
    "refresh",
    "with_a_bit",
    "write_all",
]

TTL = timedelta(days=35)
MASK_FIELDS = ("mask", "objections")
GPC_FIELD = "gpc"
"""Set where the subject's objection through Global Privacy Control is in the ledger."""
ASSET_KEY = "consent/masks"
_BATCH = 1_000
_WRITTEN_FIELDS = ("mask", "objections", "records", "objection_id")
_KEY_START, _KEY_END = "sv:consent:{", "}"
_Item = TypeVar("_Item")

# Each write carries how far it had read the ledger (newest record and newest objection of the subject); one that had
# read less than what is there is dropped, so that a daily write under way cannot undo a withdrawal just made. `refresh`
# reads and writes under a lock of its subject and is never dropped: a ledger that lost rows must show too.
_WRITE = """
local held = redis.call('HMGET', KEYS[1], 'records', 'objection_id')
if ARGV[6] == '0' and held[1] and (tonumber(held[1]) > tonumber(ARGV[3]) or tonumber(held[2]) > tonumber(ARGV[4])) then return 0 end
redis.call('HSET', KEYS[1], 'mask', ARGV[1], 'objections', ARGV[2], 'records', ARGV[3], 'objection_id', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""

# Every subject of the ledger or of an objection, with what they agree to and object to now.
_SUBJECTS = """
with subjects as (
  select pseudonym, max(record_id) as records, max(objection_id) as objection_id
  from (
    select pseudonym, record_id, 0 as objection_id from consent.records
    union all
    select pseudonym, 0, objection_id from consent.objections
  ) as statements
  where %(pseudonym)s::text is null or pseudonym = %(pseudonym)s
  group by pseudonym
), agreed as (
  select pseudonym, array_agg(purpose) as purposes from consent.current
  where %(pseudonym)s::text is null or pseudonym = %(pseudonym)s
  group by pseudonym
), objected as (
  select pseudonym, string_agg(asset_key, ',' order by asset_key) as asset_keys from consent.withheld
  where %(pseudonym)s::text is null or pseudonym = %(pseudonym)s
  group by pseudonym
)
select pseudonym, coalesce(purposes, '{}'), coalesce(asset_keys, ''), records, objection_id
from subjects left join agreed using (pseudonym) left join objected using (pseudonym)
"""


@dataclass(frozen=True, slots=True)
class Mask:
    """What one subject agrees to (bits of `purpose_mask`) and the assets that they are left out of."""

    bits: int = 0
    objections: frozenset[str] = frozenset()

    def serves(self, purpose: Purpose, asset_key: str) -> bool:
        """Whether the subject's data in `asset_key` may serve `purpose` now."""
        if asset_key in self.objections or EVERYTHING in self.objections:
            return False
        return not needs_consent(purpose) or bool(self.bits & purpose_mask([purpose]))

    def without(self, purpose: Purpose) -> "Mask":
        """The mask of one who does not agree to `purpose`."""
        return Mask(self.bits & ~purpose_mask([purpose]), self.objections)


@dataclass(frozen=True, slots=True)
class _Row:
    pseudonym: str
    purposes: list[str]
    objections: str
    records: int
    objection_id: int

    def fields(self) -> tuple[int, str, int, int]:
        """The values of `_WRITTEN_FIELDS`; no bit for who opted out of the masks, or restricted every use."""
        opted_out = bool({ASSET_KEY, EVERYTHING} & set(self.objections.split(",")))
        bits = 0 if opted_out else purpose_mask(Purpose(name) for name in self.purposes)
        return bits, self.objections, self.records, self.objection_id


def mask_key(pseudonym: str) -> str:
    """Redis key of the subject's mask."""
    return f"{_KEY_START}{pseudonym}{_KEY_END}"


def decode(reply: Sequence[bytes | str | None]) -> Mask:
    """The mask in the reply to ``HMGET key mask objections``; one without any agreement where the key is missing."""
    bits, objections = map(_text, reply)
    return Mask(int(bits or 0), frozenset((objections or "").split(",")) - {""})


def masks_of(client: "redis.Redis", pseudonyms: Iterable[str]) -> dict[str, Mask]:
    """The masks of these subjects as they are in Redis."""
    held: dict[str, Mask] = {}
    for names in _batches(dict.fromkeys(pseudonyms)):
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hmget(mask_key(name), list(MASK_FIELDS))
        held |= dict(zip(names, map(decode, pipeline.execute()), strict=True))
    return held


def refresh(pseudonym: str, client: "redis.Redis | None" = None) -> Mask:
    """Write the subject's mask from the ledger and return it; a subject without statements loses their key."""
    with _connected(client) as redis_client, connect(Role.CONSENT) as connection:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('mask|' || %s, 0))", [pseudonym]
        )
        row = connection.execute(_SUBJECTS, {"pseudonym": pseudonym}).fetchone()
        if row is None:
            redis_client.delete(mask_key(pseudonym))
            return Mask()
        _write(redis_client, [_Row(*row)], force=True)
        return decode(cast(list[Any], redis_client.hmget(mask_key(pseudonym), list(MASK_FIELDS))))


def mark_gpc(pseudonym: str, client: "redis.Redis | None" = None) -> None:
    """Remember beside the mask that the objection through Global Privacy Control is recorded, as long as the mask lasts."""
    with _connected(client) as redis_client:
        pipeline = redis_client.pipeline(transaction=True)
        pipeline.hset(mask_key(pseudonym), GPC_FIELD, "1")
        pipeline.expire(mask_key(pseudonym), TTL)
        pipeline.execute()


def write_all(client: "redis.Redis | None" = None) -> int:
    """Write the mask of every subject, each with a fresh TTL; returns how many.

    At its end every mask that differs from the ledger is corrected: of a subject who lost statements or objected to the
    masks meanwhile; and the mask of one who is in the ledger no more (erased) is removed. Of somebody whose erasure was begun
    no mask is written, however old the row that was read. Not to be called within `tombstones.writing`.
    """
    present: set[str] = set()
    with _connected(client) as redis_client:
        for rows in _batches(_subjects()):
            _write_living(redis_client, rows)
        for rows in _batches(_subjects()):
            present.update(row.pseudonym for row in rows)
            _correct(redis_client, _differing(redis_client, rows))
        for names in _batches(_masked(redis_client) - present):
            _correct(redis_client, names)
    return len(present)


def with_a_bit(pseudonyms: Iterable[str], client: "redis.Redis | None" = None) -> frozenset[str]:
    """Those of `pseudonyms` whose mask agrees to something."""
    agreeing: set[str] = set()
    with _connected(client) as redis_client:
        for batch in _batches(pseudonyms):
            pipeline = redis_client.pipeline(transaction=False)
            for pseudonym in batch:
                pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
            answers = zip(batch, pipeline.execute(), strict=True)
            agreeing.update(pseudonym for pseudonym, reply in answers if decode(reply).bits)
    return frozenset(agreeing)


def _write_living(client: "redis.Redis", rows: Sequence[_Row]) -> None:
    """Write the masks of those of whom no erasure was begun: an erasure takes the key, and with it what would refuse an older row."""
    with tombstones.writing():
        gone = tombstones.is_erased([row.pseudonym for row in rows])
        _write(client, [row for row, erased in zip(rows, gone, strict=True) if not erased])


def _correct(client: "redis.Redis", pseudonyms: Sequence[str]) -> None:
    """Make the masks of these subjects what the ledger says; of those whose erasure was begun there is none."""
    with tombstones.writing():
        for name, gone in zip(pseudonyms, tombstones.is_erased(pseudonyms), strict=True):
            if gone:
                client.delete(mask_key(name))
            else:
                refresh(name, client)


def _differing(client: "redis.Redis", rows: Sequence[_Row]) -> list[str]:
    """The subjects whose mask in Redis is not what these rows say."""
    pipeline = client.pipeline(transaction=False)
    for row in rows:
        pipeline.hmget(mask_key(row.pseudonym), list(_WRITTEN_FIELDS))
    return [
        row.pseudonym
        for row, held in zip(rows, pipeline.execute(), strict=True)
        if [_text(value) for value in held] != [str(value) for value in row.fields()]
    ]


def _masked(client: "redis.Redis") -> set[str]:
    """The subjects who have a mask."""
    keys = client.scan_iter(f"{_KEY_START}*{_KEY_END}", count=_BATCH)
    return {str(_text(key)).removeprefix(_KEY_START).removesuffix(_KEY_END) for key in keys}


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def _connected(client: "redis.Redis | None") -> Iterator["redis.Redis"]:
    """The client given, or one of our own, closed after."""
    if client is not None:
        yield client
        return
    own = redis.Redis.from_url(redis_url())
    try:
        yield own
    finally:
        own.close()


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _subjects() -> Iterator[_Row]:
    with connect(Role.CONSENT) as connection, connection.cursor("subjects") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(_SUBJECTS, {"pseudonym": None})
        for row in cursor:
            yield _Row(*row)


def _write(client: "redis.Redis", rows: Sequence[_Row], *, force: bool = False) -> None:
    script: Script = client.register_script(_WRITE)
    pipeline = client.pipeline(transaction=False)
    for row in rows:
        arguments: list[str | int] = [*row.fields(), int(TTL.total_seconds()), int(force)]
        script(keys=[mask_key(row.pseudonym)], args=arguments, client=pipeline)
    pipeline.execute()
