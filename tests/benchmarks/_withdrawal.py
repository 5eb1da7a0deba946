"""How soon a withdrawal and an erasure hold online, while the API answers a steady load.

For a benchmark that has a running API with a published model, the contracts of its assets, and subjects who agree to
personalisation: each of them withdraws or is erased.
"""

import asyncio
import math
import time
from collections.abc import Sequence

import httpx
import orjson

from orchestration.bench import Figure, Goal
from privacy.subject_reference import issue
from serving.auth import Scope, api_keys

RATE, SECONDS = 300, 20.0
_CONNECTIONS = 24
_ROUTE = "/v1/recommendations?touchpoint=homepage&limit=20"
_PATIENCE = 30.0


async def measure(
    address: str,
    withdrawing: Sequence[str],
    erasing: Sequence[str],
    *,
    rate: int = RATE,
    seconds: float = SECONDS,
) -> list[Figure]:
    """Withdraw and erase, one subject after another, under `rate` requests per second for at most `seconds`.

    `withdrawing` and `erasing` are pseudonyms that are personalised now. Half of the load asks for subjects of either, the
    other half anonymously. What the time did not suffice for is left out of the figures; none at all gives a reason.
    """
    asked = [issue(pseudonym) for pseudonym in (*withdrawing, *erasing)]
    load = asyncio.create_task(_load(address, asked, rate, seconds))
    headers = {"Authorization": f"Bearer {api_keys()[Scope.PRIVACY]}"}
    end = time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=_PATIENCE) as privacy:
        withdrawals = await _withdrawals(privacy, address, withdrawing, end - seconds / 2)
        erasures = await _erasures(privacy, erasing, end)
    carried = await load
    under = f"under {rate} requests per second"
    return [
        _p99(
            f"withdrawal acknowledged to first non-personalised response, p99 {under}",
            withdrawals,
            100.0,
        ),
        _p99(f"online part of an erasure, p99 {under}", erasures, 1_000.0),
        Figure("load that was carried meanwhile", carried, "requests/s"),
    ]


def _p99(name: str, seconds: Sequence[float], goal: float) -> Figure:
    if not seconds:
        return Figure(name, None, "ms", goal=Goal("<=", goal), why="no subject's turn came in time")
    ordered = sorted(seconds)
    value = 1_000 * ordered[math.ceil(0.99 * len(ordered)) - 1]
    return Figure(f"{name} ({len(ordered)} subjects)", value, "ms", goal=Goal("<=", goal))


async def _withdrawals(
    privacy: httpx.AsyncClient, address: str, pseudonyms: Sequence[str], end: float
) -> list[float]:
    times = []
    shop = await _Connection.open(address)
    for pseudonym in pseudonyms:
        if time.perf_counter() > end:
            break
        reference = issue(pseudonym)
        if not await shop.personalised(reference):
            raise ValueError("A subject of the measurement was not personalised to begin with.")
        answer = await privacy.post(
            "/v1/assets/consent/records/opt-out", json={"subject_ref": reference}
        )
        acknowledged = time.perf_counter()
        answer.raise_for_status()
        while await shop.personalised(reference):
            pass
        times.append(time.perf_counter() - acknowledged)
    shop.close()
    return times


async def _erasures(
    privacy: httpx.AsyncClient, pseudonyms: Sequence[str], end: float
) -> list[float]:
    times = []
    for pseudonym in pseudonyms:
        if time.perf_counter() > end:
            break
        body = {"kind": "erasure", "subject_ref": issue(pseudonym)}
        started = time.perf_counter()
        (await privacy.post("/v1/privacy-requests", json=body)).raise_for_status()
        times.append(time.perf_counter() - started)
    return times


async def _load(address: str, references: Sequence[str], rate: int, seconds: float) -> float:
    """Keep to a timetable of `rate` requests per second; returns how many per second were answered."""
    connections = [await _Connection.open(address) for _ in range(_CONNECTIONS)]
    started, answered = time.perf_counter(), 0

    async def drive(first: int, connection: "_Connection") -> None:
        nonlocal answered
        for number in range(first, int(rate * seconds), _CONNECTIONS):
            due = started + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if time.perf_counter() > started + seconds:
                return
            await connection.personalised(
                None if number % 2 else references[number // 2 % len(references)]
            )
            answered += 1

    await asyncio.gather(*(drive(number, one) for number, one in enumerate(connections)))
    for connection in connections:
        connection.close()
    return answered / max(time.perf_counter() - started, seconds)


class _Connection:
    """A kept-open connection of a shop; a bare one, so that the client costs little beside what it measures."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        key = api_keys()[Scope.STOREFRONT]
        self._head = f"GET {_ROUTE} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {key}\r\n"

    @classmethod
    async def open(cls, address: str) -> "_Connection":
        url = httpx.URL(address)
        return cls(*await asyncio.open_connection(url.host, url.port))

    def close(self) -> None:
        self._writer.close()

    async def personalised(self, reference: str | None) -> bool:
        """Ask for a ranking, and say whether it was of the subject's own."""
        subject = f"Selvedge-Subject: {reference}\r\n" if reference else ""
        self._writer.write(f"{self._head}{subject}\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = orjson.loads(await self._reader.readexactly(length))
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(f"The API did not answer with a ranking: {body.get('title')}.")
        return bool(body["personalised"])
