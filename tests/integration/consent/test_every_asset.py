"""A subject may leave any single asset and stay in all the others, whichever engine is asked."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from jinja2 import Environment

from consent import ledger, masks, objections
from consent.agreements import is_permitted
from consent.ledger import ConsentRecord, Decision
from consent.purposes import needs_consent
from orchestration.contracted import contracts_of
from privacy.contracts import AssetContract, Purpose
from privacy.database import Role, connect
from privacy.settings import PROJECT_ROOT
from recommenders.permission import permitted

SUBJECT = "a" * 32
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MACRO = PROJECT_ROOT / "dbt" / "macros" / "consented.sql"
ASSETS = sorted(
    json.loads((PROJECT_ROOT / "tests/integration/definitions/assets.json").read_text())
)


@cache
def _contracts() -> dict[str, AssetContract]:
    from orchestration.definitions import load

    return {contract.key: contract for contract in contracts_of(load()) if contract.holds_subjects}


@pytest.fixture(autouse=True)
def _agrees(clean_database: None) -> None:
    """The subject agrees to everything."""
    ledger.append(
        [
            ConsentRecord(SUBJECT, purpose, Decision.OPT_IN, NOW, "test", "1", "test", purpose)
            for purpose in Purpose
            if needs_consent(purpose)
        ]
    )


def _by_mask(client: "redis.Redis") -> set[str]:
    mask = masks.refresh(SUBJECT, client)
    return {
        key
        for key, contract in _contracts().items()
        if all(mask.serves(purpose, key) for purpose in contract.purposes)
    }


def _by_sql(_: "redis.Redis") -> set[str]:
    macro = Environment(autoescape=False).from_string(Path(MACRO).read_text()).module.consented  # type: ignore[attr-defined]
    asked = [
        "select '{}' from e where {}".format(
            key,
            " and ".join(
                macro("e", purpose=purpose.value, at="at", asset=key)
                for purpose in contract.purposes
            ),
        )
        for key, contract in _contracts().items()
    ]
    with connect(Role.DBT) as connection:
        connection.execute(
            "create temporary table e on commit drop as select %s::text as pseudonym, %s::timestamptz as at",
            [SUBJECT, NOW],
        )
        rows = connection.execute(" union all ".join(asked)).fetchall()  # type: ignore[arg-type]
    return {row[0] for row in rows}


def _in_memory(_: "redis.Redis") -> set[str]:
    subjects = pa.chunked_array([[SUBJECT]])
    return {
        key
        for key, contract in _contracts().items()
        if is_permitted(subjects, contract.purposes[0], key).to_pylist() == [True]
    }


def _by_contract(_: "redis.Redis") -> set[str]:
    return {key for key, contract in _contracts().items() if permitted([SUBJECT], contract)}


@pytest.mark.parametrize("asset", ASSETS)
def test_who_leaves_one_asset_stays_in_the_others(redis_client: "redis.Redis", asset: str) -> None:
    if asset not in _contracts():
        pytest.skip("nobody can be found in it")
    engines: tuple[Callable[[redis.Redis], set[str]], ...] = (
        _by_mask,
        _by_sql,
        _in_memory,
        _by_contract,
    )
    for engine in engines:
        assert engine(redis_client) == _contracts().keys(), engine.__name__
    objections.object_to(SUBJECT, asset, "test")
    for engine in engines:
        stays = engine(redis_client)
        if asset == masks.ASSET_KEY and engine is _by_mask:
            assert stays == set(), "without a mask, serving knows of no agreement"
        else:
            assert stays == _contracts().keys() - {asset}, engine.__name__
    objections.withdraw(SUBJECT, asset, "test")
    for engine in engines:
        assert engine(redis_client) == _contracts().keys(), engine.__name__
