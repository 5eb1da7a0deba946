"""The daily KPIs of the marts beside the same figures, computed from the raw file in plain pandas and by none of the platform's code.

The file is Online Retail II. It is ingested under an assumed agreement, and dbt builds the marts, on servers of the measurement's own.
"""

import os
import tempfile
from pathlib import Path

import pandas as pd

from orchestration.bench import Figure, Goal
from orchestration.demo import choose_source
from orchestration.ingest.run import ingest
from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import stop
from orchestration.servers.redis import start_redis
from orchestration.settings import OrchestrationSettings
from orchestration.sources.connector import open_source
from orchestration.warehouse_project import run_dbt
from privacy.contracts import SMALLEST_GROUP
from privacy.database import Role, connect
from privacy.settings import PROJECT_ROOT, PlatformSettings
from tests.adversarial.whole_platform import own_home

__all__ = ["differing", "figures", "of_the_file"]

KPIS = ("revenue", "orders", "items", "average_order_value")
FILE = "online_retail_2009_2010.parquet"
CENT = 0.01
_TABLES = ("customers", "products", "orders", "order_lines", "returns", "consents")
_NAME = "KPIs of the marts against an independent computation from the raw file in plain pandas"
_QUICK_ROWS = 40_000  # three weeks of invoices
_NONE = Goal("<=", 0)


def figures(quick: bool) -> list[Figure]:
    """How many daily KPIs, and whether the revenue of all days, differ by a cent or more; `quick` takes the first weeks."""
    file = Path(os.environ.get("SELVEDGE_DATA", PROJECT_ROOT.parent / "shared" / "data")) / FILE
    if not file.is_file():
        why = f"{FILE} is not here; set SELVEDGE_DATA to its folder"
        return [Figure(_NAME, None, "KPIs", goal=_NONE, why=why)]
    raw = pd.read_parquet(file)
    raw = raw.head(_QUICK_ROWS) if quick else raw
    expected, built = of_the_file(raw), _of_the_marts(raw)
    name = f"{_NAME}: differ by a cent or more, of {len(expected)} days x {len(KPIS)} and the revenue of all days"
    return [
        Figure(name, differing(built, expected), "KPIs", goal=_NONE),
        Figure(
            "revenue of all days in the marts, and in plain pandas",
            float(built["revenue"].sum()),
            "GBP",
            float(expected["revenue"].sum()),
        ),
    ]


def of_the_file(raw: pd.DataFrame) -> pd.DataFrame:
    """The KPIs of each UTC day from the file's rows as they are, not rounded; NaN on days of too few customers.

    A sale is a row about goods, of a known customer, on an invoice that is neither a cancellation (C) nor an adjustment (A),
    with a positive quantity and a price that is not negative; the same row twice is one.
    """
    goods = raw["StockCode"].str.strip().str.match(r"(\d{5}|DCGS|PADS|SP\d)")
    rows = raw[goods & ~raw["Invoice"].str.match("[CA]")].drop_duplicates()
    rows = rows[(rows["Quantity"] > 0) & (rows["Price"] >= 0) & rows["Customer ID"].notna()]
    at = pd.to_datetime(rows["InvoiceDate"]).dt.tz_localize("Europe/London").dt.tz_convert("UTC")
    rows = rows.assign(day=at.dt.date, revenue=rows["Price"] * rows["Quantity"])
    days = rows.groupby("day").agg(
        revenue=("revenue", "sum"),
        orders=("Invoice", "nunique"),
        items=("Quantity", "sum"),
        customers=("Customer ID", "nunique"),
    )
    days["average_order_value"] = days["revenue"] / days["orders"]
    return days[list(KPIS)].astype(float).where(days["customers"] >= SMALLEST_GROUP)


def differing(built: pd.DataFrame, expected: pd.DataFrame) -> int:
    """Daily KPIs that differ by a cent or more, or that one side has and the other has not, and 1 more if all days' revenue does."""
    one, other = built.align(expected, join="outer")
    apart = ((one - other).abs().round(6) >= CENT) | (one.isna() != other.isna())
    total = round(abs(one["revenue"].sum() - other["revenue"].sum()), 6)
    return int(apart.to_numpy().sum()) + int(total >= CENT)


def _of_the_marts(raw: pd.DataFrame) -> pd.DataFrame:
    with (
        tempfile.TemporaryDirectory(prefix="selvedge-kpis-") as folder,
        own_home(Path(folder)) as settings,
    ):
        shop = Path(folder, "files")
        shop.mkdir()
        raw.to_parquet(shop / FILE)
        try:
            return _built(settings, shop)
        finally:
            for server in ("redis", "postgres"):
                stop(settings, server)


def _built(settings: PlatformSettings, shop: Path) -> pd.DataFrame:
    """Ingest the folder's file and build the warehouse; the KPIs of `marts.kpi_daily`."""
    start_postgres(settings)
    start_redis(settings)
    migrate()
    source = OrchestrationSettings(source="online_retail", source_path=shop, assume_consent=True)
    choose_source(settings, source)
    for table in _TABLES:
        ingest(table, open_source(source.source, shop), assume_consent=True)
    if status := run_dbt(["--quiet", "build"]):
        raise RuntimeError(f"dbt build ended with {status}: its log above says why.")
    with connect(Role.DBT) as connection:
        rows = connection.execute(
            "select day, revenue, orders, items, average_order_value from marts.kpi_daily"
        ).fetchall()
    return pd.DataFrame(rows, columns=["day", *KPIS]).set_index("day").astype(float)
