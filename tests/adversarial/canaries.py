"""Canary customers: each value of theirs occurs nowhere else in the world, so that a byte of one that is found is a leak.

They enter through every source: the customer file, statements of consent, orders, returns, quiz answers, feedback, interactions
with search queries; through the API come events. An identifier must lie nowhere in clear, at any time. A text is stored, for
the people who wrote it left no name in it, and must be gone once they are erased.
"""

import csv
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["PURPOSES", "Canary", "new_canaries", "plant"]

PURPOSES = ("personalisation", "model_training", "analytics", "experimentation", "marketing_email")
_LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels: no word of any language
_DAYS = 60
_EVENTS = 12


def _word() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


@dataclass(frozen=True)
class Canary:
    """One planted customer; every value but the birthday is random."""

    customer_number: str
    surname: str
    email: str
    phone: str
    city: str
    visit: str
    review: str
    answer: str
    query: str
    api_query: str

    @property
    def identifiers(self) -> Mapping[str, str]:
        """What must lie nowhere, before an erasure and after it."""
        return {
            "customer number": self.customer_number,
            "name": f"Ida {self.surname}",
            "surname": self.surname,
            "e-mail": self.email,
            "phone": self.phone,
            "city": self.city,
            "visit": self.visit,
        }

    @property
    def texts(self) -> tuple[str, ...]:
        """Words of feedback, quiz and searches, which are stored until the canary is erased."""
        return self.review, self.answer, self.query, self.api_query


def new_canaries(count: int) -> list[Canary]:
    """`count` canaries that nobody has seen before."""
    return [
        Canary(
            customer_number=f"KD-{_digits(12)}",
            surname=_word().capitalize(),
            email=f"{_word()}@mail.example.com",
            phone=f"+49 176 {_digits(9)}",
            city=_word().capitalize(),
            visit=f"visit-{_word()}",
            review=_word(),
            answer=_word(),
            query=_word(),
            api_query=_word(),
        )
        for _ in range(count)
    ]


def plant(shop: Path, canaries: Iterable[Canary]) -> None:
    """Add the canaries to the raw files of a simulated shop: agreed to everything, bought, browsed, searched, wrote."""
    begin = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(_DAYS)
    with (shop / "products.csv").open() as file:
        products = [row["sku"] for row in csv.DictReader(file)]
    events = []
    for number, canary in enumerate(canaries):
        bought = [products[(number + step) % len(products)] for step in range(_EVENTS)]
        _customer(shop, canary, begin)
        _agreements(shop, canary, number, begin)
        _words(shop, canary, number, bought[0], begin + timedelta(days=40))
        _orders(shop, canary, number, bought, begin)
        events += _events(canary, number, bought, begin)
    _write_events(shop, events)


def _append(path: Path, row: Mapping[str, object]) -> None:
    with path.open() as file:
        names = next(csv.reader(file))
    with path.open("a", newline="") as file:
        csv.DictWriter(file, names, restval="", lineterminator="\n").writerow(row)


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%fZ")


def _customer(shop: Path, canary: Canary, at: datetime) -> None:
    row = {"customer_no": canary.customer_number, "full_name": canary.identifiers["name"]}
    row |= {"e_mail": canary.email, "phone": canary.phone, "city": canary.city, "country": "DE"}
    row |= {"born": "1988-04-12", "sizes": "M|40", "registered": _stamp(at), "changed": _stamp(at)}
    _append(shop / "customers.csv", row)


def _agreements(shop: Path, canary: Canary, number: int, at: datetime) -> None:
    for purpose in PURPOSES:
        row = {"statement": f"canary-{number}-{purpose}", "customer_no": canary.customer_number}
        row |= {"purpose": purpose, "decision": "opt_in", "stated": _stamp(at)}
        _append(shop / "consents.csv", row | {"mechanism": "banner", "policy": "3.0"})


def _words(shop: Path, canary: Canary, number: int, product: str, at: datetime) -> None:
    """A review that names its author in every way, and an answer to the quiz."""
    comment = (
        f"A {canary.review} coat. Write to {canary.email}, call {canary.phone} or ask for Ida {canary.surname} in "
        f"{canary.city}, customer {canary.customer_number}. Regards, {canary.surname}"
    )
    common = {"customer_no": canary.customer_number}
    _append(
        shop / "feedback.csv",
        common
        | {"feedback_no": f"canary-{number}", "sku": product, "stars": "8"}
        | {"comment": comment, "given": _stamp(at)},
    )
    _append(
        shop / "quiz_answers.csv",
        common
        | {"answer_no": f"canary-{number}", "question": "style"}
        | {"answer": f"{canary.answer}, write to {canary.email}", "answered": _stamp(at)},
    )


def _orders(shop: Path, canary: Canary, number: int, bought: list[str], begin: datetime) -> None:
    """Three orders, each with a return."""
    for name, at in (
        ("A", begin + timedelta(days=10)),
        ("B", begin + timedelta(days=30)),
        ("C", begin + timedelta(days=20)),
    ):
        order = f"SO-99{number:04d}{name}"
        common = {"order_no": order, "customer_no": canary.customer_number}
        ordered = common | {"ordered": _stamp(at)}
        _append(shop / "orders.csv", ordered | {"status": "delivered", "country": "DE"})
        line = {"line_no": f"{order}-1", "sku": bought[0], "size": "M", "quantity": 1}
        _append(shop / "order_lines.csv", ordered | line | {"unit_price": "79.95"})
        returned = {"return_no": f"R-{order}", "line_no": f"{order}-1", "sku": bought[0]}
        returned |= {"quantity": "1", "returned": _stamp(at + timedelta(days=5))}
        _append(shop / "returns.csv", common | returned)


def _events(
    canary: Canary, number: int, products: list[str], begin: datetime
) -> list[dict[str, object]]:
    kinds = ("page_view", "page_view", "search", "add_to_cart", "purchase", "page_view")
    return [
        {
            "event": f"canary-{number}-{step}",
            "customer_no": canary.customer_number,
            "visit": canary.visit,
            "action": kind,
            "sku": None if kind == "search" else product,
            "search_text": f"{canary.query} for {canary.email}" if kind == "search" else None,
            "seconds_on_page": 12.0,
            "at": begin + timedelta(days=1 + 4 * step, minutes=number % 600),
        }
        for step, product in enumerate(products)
        for kind in [kinds[step % len(kinds)]]
    ]


def _write_events(shop: Path, events: list[dict[str, object]]) -> None:
    folder = shop / "interactions"
    schema = pq.read_schema(next(folder.glob("part-*.parquet")))
    pq.write_table(pa.Table.from_pylist(events, schema=schema), folder / "part-canaries.parquet")
