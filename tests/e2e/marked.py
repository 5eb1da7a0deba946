"""Five customers with a marker in e-mail, name and feedback text, planted in the raw data of a simulated shop.

What is searched for afterwards is all of it: the marker, the customer number, and every common unkeyed hash of either.
"""

import csv
import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.sources.simulator import simulate

__all__ = ["MARKED", "Marked", "plant"]

SEED = 11
PURPOSES = ("personalisation", "model_training", "analytics", "experimentation", "marketing_email")


@dataclass(frozen=True)
class Marked:
    """One planted customer."""

    number: int

    @property
    def marker(self) -> str:
        """A word that occurs nowhere else."""
        return f"Zquxmark{self.number}fjord"

    @property
    def subject_id(self) -> str:
        """The raw customer number."""
        return f"KD-9900077{self.number}"

    @property
    def email(self) -> str:
        """The e-mail address, marker included."""
        return f"{self.marker.lower()}.holm@mail.example.com"

    def forbidden(self) -> dict[str, bytes]:
        """What must lie nowhere outside the vault's ciphertexts: name of the form, bytes."""
        texts = {"marker": self.marker, "lower-case marker": self.marker.lower()}
        texts |= {"customer number": self.subject_id, "e-mail": self.email}
        forms = {name: text.encode() for name, text in texts.items()}
        for name in ("customer number", "e-mail"):
            for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b"):
                digest = hashlib.new(algorithm, texts[name].encode())
                forms[f"{algorithm} of {name}"] = digest.digest()
                forms[f"{algorithm} of {name} (hexadecimal)"] = digest.hexdigest().encode()
        return forms


MARKED = tuple(Marked(number) for number in range(1, 6))


def plant(shop: Path, *, customers: int) -> None:
    """Simulate a shop of `customers` and add the marked ones: bought, browsed, searched, wrote, agreed."""
    until = datetime.now(UTC).date()
    simulate(shop, customers=customers, seed=SEED, until=until)
    begin = datetime.combine(until - timedelta(days=60), datetime.min.time(), UTC)
    with (shop / "products.csv").open() as file:
        products = [row["sku"] for row in csv.DictReader(file)][:40]
    for marked in MARKED:
        _customer(shop, marked, begin)
        _agreements(shop, marked, begin)
        _feedback(shop, marked, products[marked.number], begin + timedelta(days=50))
        _orders(shop, marked, products, begin)
    _interactions(shop, products, begin, until)


def _append(path: Path, row: dict[str, object]) -> None:
    with path.open() as file:
        names = next(csv.reader(file))
    with path.open("a", newline="") as file:
        csv.DictWriter(file, names, restval="", lineterminator="\n").writerow(row)


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%fZ")


def _customer(shop: Path, marked: Marked, at: datetime) -> None:
    _append(
        shop / "customers.csv",
        {
            "customer_no": marked.subject_id,
            "full_name": f"Ida {marked.marker}",
            "e_mail": marked.email,
            "phone": f"+49 176 0990077{marked.number}",
            "city": "Lübeck",
            "born": "1988-04-12",
            "country": "DE",
            "sizes": "M|40",
            "registered": _stamp(at),
            "changed": _stamp(at),
        },
    )


def _agreements(shop: Path, marked: Marked, at: datetime) -> None:
    for purpose in PURPOSES:
        row = {"customer_no": marked.subject_id, "purpose": purpose, "decision": "opt_in"}
        row |= {"statement": f"marked-{marked.number}-{purpose}", "stated": _stamp(at)}
        _append(shop / "consents.csv", row | {"mechanism": "banner", "policy": "3.0"})


def _feedback(shop: Path, marked: Marked, product: str, at: datetime) -> None:
    comment = (
        f"Lovely coat, but the sleeve tore. Please write to {marked.email} or ask for Ida {marked.marker}, "
        f"customer {marked.subject_id}. Regards, {marked.marker}"
    )
    row = {
        "feedback_no": f"marked-{marked.number}",
        "customer_no": marked.subject_id,
        "sku": product,
    }
    _append(shop / "feedback.csv", row | {"stars": 4, "comment": comment, "given": _stamp(at)})


def _orders(shop: Path, marked: Marked, products: list[str], begin: datetime) -> None:
    for day in (10, 30):
        at, order = _stamp(begin + timedelta(days=day)), f"SO-99{marked.number}{day}"
        common = {"order_no": order, "customer_no": marked.subject_id, "ordered": at}
        _append(shop / "orders.csv", common | {"status": "delivered", "country": "DE"})
        line = {"line_no": f"{order}-1", "sku": products[day], "size": "M", "quantity": 1}
        _append(shop / "order_lines.csv", common | line | {"unit_price": 79.95})


def _interactions(shop: Path, products: list[str], begin: datetime, until: date) -> None:
    path = shop / "interactions"
    schema = pq.read_schema(next(path.glob("part-*.parquet")))
    rows = [
        {
            "event": f"marked-{marked.number}-{number}",
            "customer_no": marked.subject_id,
            "visit": f"visit-{marked.subject_id}-{number // 5}",
            "action": "purchase"
            if number % 10 == 0
            else "search"
            if number % 10 == 5
            else "page_view",
            "sku": None if number % 10 == 5 else product,
            "search_text": f"coat for {marked.email}" if number % 10 == 5 else None,
            "seconds_on_page": 12.0,
            "at": begin + timedelta(days=1 + number),
        }
        for marked in MARKED
        for number, product in enumerate(products)
    ]
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path / "part-marked.parquet")
