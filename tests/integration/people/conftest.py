"""Two subjects spread over every kind of store: one to be exported and erased, one who stays."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest
import redis

from feature_repo.views import subject_profile_contract
from privacy import corrections, lake, registry
from privacy.contracts import (
    Artifacts,
    DeltaStore,
    PostgresStore,
    Purpose,
    Unlearn,
    no_personal_data,
)
from privacy.corrections import Correction
from privacy.database import Role, connect
from privacy.exports.package import data_of
from privacy.settings import PlatformSettings
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.artifacts import save_artifact
from recommenders.features import apply_definitions, feature_store
from tests.integration.samples import agree, contract, profile

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHOP_TABLES = ("customers", "orders", "order_lines", "returns", "quiz_answers", "feedback")


MODEL = contract("models/lightfm", Artifacts(path="lightfm"), Unlearn.FOLD_OUT)
CONTRACTS = (
    *(
        contract(f"shop/{table}", PostgresStore(schema_name="shop", table=table), provided=True)
        for table in SHOP_TABLES
    ),
    contract("lake/interactions", DeltaStore(path="interactions"), provided=True),
    contract(
        "staging/stg_orders",
        PostgresStore(schema_name="staging", table="stg_orders", is_view=True),
    ),
    subject_profile_contract,
    MODEL,
    *(
        no_personal_data(
            f"shop/{table}",
            owner="team:data-platform",
            description="The catalogue.",
            reason="The catalogue describes products.",
            store=PostgresStore(schema_name="shop", table=table),
        )
        for table in ("products", "inventory")
    ),
)


@dataclass(frozen=True)
class People:
    """Pseudonyms of the one who leaves and of the one who stays."""

    leaver: str
    stayer: str

    @property
    def both(self) -> tuple[str, str]:
        return self.leaver, self.stayer


@pytest.fixture
def people(
    servers: PlatformSettings, clean_database: None, redis_client: "redis.Redis"
) -> Iterator[People]:
    for folder in (servers.lake_dir, servers.models_dir):
        shutil.rmtree(folder, ignore_errors=True)
    registry.publish(CONTRACTS)
    vault = Vault()
    resolved = vault.resolve(CUSTOMER_NUMBER, ["C-1001", "C-1002"], create=True)
    subjects = People(*(name for name in resolved if name))
    vault.store_direct(
        subjects.both,
        {
            "name": ["Quilla Zephyrine", "Odo Brandt"],
            "email": ["quilla.zephyrine@example.org", "odo@example.org"],
        },
    )
    _fill_postgres(subjects)
    _fill_lake(subjects)
    _fill_redis(subjects, redis_client)
    _fill_feast(subjects)
    _fill_model(subjects)
    yield subjects
    with connect(Role.DBT) as connection:
        connection.execute("drop view if exists staging.stg_orders")


def _fill_postgres(people: People) -> None:
    with connect(Role.INGEST) as connection:
        for number, name in enumerate(people.both):
            _shop_rows(connection, name, number)
    for name in people.both:
        corrections.keep(name, [Correction("shop/customers", "", "body_shape", "pear")], NOW)
    with connect(Role.DBT) as connection:
        connection.execute(
            "create or replace view staging.stg_orders as select order_id, pseudonym from shop.orders"
        )
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.trained_models (asset_key, version, purposes, trained_at) "
            "values (%s, 'v1', array['personalisation'], %s)",
            [MODEL.key, NOW],
        )
        for name in people.both:
            connection.execute(
                "insert into consent.minors (pseudonym, minor_until) values (%s, %s)",
                [name, NOW - timedelta(days=365)],
            )
            connection.execute(
                "insert into consent.models_due (asset_key, pseudonym) values (%s, %s)",
                [MODEL.key, name],
            )
    for name in people.both:
        for purpose in (Purpose.PERSONALISATION, Purpose.MODEL_TRAINING):
            agree(name, purpose, NOW)


def _shop_rows(connection: "psycopg.Connection", name: str, number: int) -> None:
    values = {
        "customers": {"pseudonym": name, "country": "DE"},
        "orders": {"order_id": f"o{number}", "ordered_at": NOW},
        "order_lines": {
            "order_line_id": f"l{number}",
            "order_id": f"o{number}",
            "product_id": "P1",
            "quantity": 1,
            "unit_price": 19.9,
            "ordered_at": NOW,
        },
        "returns": {"return_id": f"r{number}", "quantity": 1, "returned_at": NOW},
        "quiz_answers": {
            "answer_id": f"q{number}",
            "question": "style",
            "answer": "linen",
            "answered_at": NOW,
        },
        "feedback": {"feedback_id": f"f{number}", "text_masked": "lovely " * 800, "given_at": NOW},
    }
    for table, row in values.items():
        row = {**row, "pseudonym": name, "source": "test", "source_key": f"{table}-{number}"}
        columns = ", ".join(row)
        connection.execute(
            f"insert into shop.{table} ({columns}) values ({', '.join(['%s'] * len(row))})",
            list(row.values()),
        )


def _fill_lake(people: People) -> None:
    rows = [
        {
            "pseudonym": name,
            "event_type": "page_view",
            "product_id": f"P{number % 7}",
            "event_timestamp": NOW + timedelta(minutes=number),
            "source_key": f"{name[:6]}-{number}",
        }
        for name in people.both
        for number in range(50)
    ]
    lake.append_new("interactions", pa.Table.from_pylist(rows))


def _fill_redis(people: People, client: "redis.Redis") -> None:
    for name in people.both:
        client.hset(f"sv:consent:{{{name}}}", mapping={"mask": 3, "objections": ""})
        client.lpush(f"sv:session:{{{name}}}", "click\tP1", "page_view\tP2")
        client.sadd(f"sv:seen:{{{name}}}", "e1", "e2")
        for number in range(5):
            client.xadd("sv:events", {"pseudonym": name, "event_id": f"e{number}"})


def _fill_feast(people: People) -> None:
    feature_store.cache_clear()
    apply_definitions()
    feature_store().write_to_online_store("subject_profile", profiles(people))


def profiles(people: People) -> pd.DataFrame:
    """A profile of each of the two, made at `NOW`."""
    return pd.DataFrame([profile(name, NOW) for name in people.both])


def _fill_model(people: People) -> None:
    def write(folder: "object") -> None:
        pl.DataFrame({"pseudonym": people.both, "bought": [["P1"], ["P2"]]}).write_parquet(
            f"{folder}/subjects.parquet"
        )
        np.save(f"{folder}/subject_vectors.npy", np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
        np.save(f"{folder}/item_vectors.npy", np.ones((3, 2), np.float32))

    save_artifact(MODEL, write, subject_arrays={"subjects.parquet": ["subject_vectors.npy"]})


def document_of(export: bytes) -> dict[str, Any]:
    """The document in an export's ZIP."""
    return cast(dict[str, Any], json.loads(data_of(export)))
