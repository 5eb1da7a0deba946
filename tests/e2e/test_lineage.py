"""The lineage that the demo's run recorded: every stored column, back to the shop's raw ones."""

from typing import Any

from tests.e2e.conftest import Demo

# Assets that hold counts, definitions, pages or model files, and the ledger's own columns.
NO_COLUMNS = ("features/registry", "warehouse/docs", "models/evaluation", "serving/ranker", "consent/masks")  # fmt: skip
OWN = {"source", "ingested_at", "created", "record_id", "received_at", "proof", "agreed_at", "salt"}


def _lineage(demo: Demo) -> dict[str, Any]:
    with demo.api("privacy") as client:
        answer = client.get("/v1/lineage")
    answer.raise_for_status()
    return {asset["key"]: asset for asset in answer.json()["assets"]}


def test_every_column_says_what_it_was_made_of(demo: Demo) -> None:
    unknown = [
        f"{key} {column['name']}"
        for key, asset in _lineage(demo).items()
        if key not in NO_COLUMNS
        for column in asset["columns"]
        if column["sources"] is None and column["name"] not in OWN
    ]
    assert not unknown


def test_a_model_leads_back_to_the_raw_columns(demo: Demo) -> None:
    assets = _lineage(demo)
    made_of = {
        (key, column["name"]): {(each["asset"], each["column"]) for each in column["sources"] or []}
        for key, asset in assets.items()
        for column in asset["columns"]
    }
    found, todo = set(), [("models/lightfm", "subject_vector")]
    while todo:
        new = made_of.get(todo.pop(), set()) - found
        found |= new
        todo.extend(new)
    assert {
        ("lake/products", "price"),
        ("marts/dim_products", "price"),
        ("staging/stg_shop__products", "price"),
        ("shop/products", "price"),
        ("source/products", "price"),
        ("source/interactions", "subject_id"),
    } <= found
    assert "model_training" in assets["models/lightfm"]["purposes"]
    assert ("source/customers", "email") not in found


def test_the_profile_is_read_off_sparks_own_plan(demo: Demo) -> None:
    columns = {column["name"]: column["sources"] for column in _lineage(demo)["lake/subject_profile"]["columns"]}  # fmt: skip
    assert {"asset": "lake/products", "column": "price"} in columns["mean_price"]
    assert {"asset": "lake/interactions", "column": "product_id"} in columns["recent_products"]
    assert {"asset": "lake/interactions", "column": "pseudonym"} in columns["pseudonym"]
