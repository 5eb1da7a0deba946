"""Each rule of the policy catches a planted breach, says where it is and what to do, and finds none in the project."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.contracted import contracted_spec
from orchestration.policy import assets, columns, logs, redis_keys, tables
from orchestration.policy.rules import violations, warehouse_layers
from orchestration.policy.source import Module
from orchestration.policy.violation import Violation
from orchestration.warehouse_contracts import layering_faults
from privacy.contracts import (
    AssetContract,
    Category,
    DeltaStore,
    LegalBasis,
    NoStore,
    PostgresStore,
    Purpose,
    Retention,
    Withhold,
    no_personal_data,
)


def contract(key: str = "lake/visits", **changes: Any) -> AssetContract:
    fields: dict[str, Any] = {
        "key": key,
        "owner": "team:privacy",
        "description": "Visits of the shop.",
        "category": Category.PSEUDONYMOUS,
        "purposes": (Purpose.ANALYTICS,),
        "legal_basis": LegalBasis.CONSENT,
        "retention": Retention(days=30, column="event_timestamp"),
        "store": DeltaStore(path="visits"),
        "subject": "pseudonym",
        "withhold": Withhold(at="materialisation", within=timedelta(days=1)),
    }
    return AssetContract(**(fields | changes))


def specs(*contracts: AssetContract, **deps: str) -> dict[dg.AssetKey, dg.AssetSpec]:
    """Specs under the contracts; `deps` maps the last part of a key to the key it reads."""
    found = [
        contracted_spec(
            each,
            group="lake",
            kinds=["delta"],
            deps=[deps[name]] if (name := each.key.rpartition("/")[2]) in deps else [],
        )
        for each in contracts
    ]
    return {spec.key: spec for spec in found}


def only(found: Any) -> Violation:
    (violation,) = list(found)
    assert isinstance(violation, Violation)
    return violation


def module(folder: Path, text: str) -> Module:
    path = folder / "privacy" / "planted.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return Module(path, folder)


def test_the_project_breaks_no_rule() -> None:
    from orchestration.definitions import load

    assert [str(violation) for violation in violations(load())] == []


def test_a_new_asset_without_a_contract_is_named() -> None:
    spec = dg.AssetSpec(["lake", "bare"])
    found = only(assets.with_contract({spec.key: spec}))
    assert str(found) == (
        "lake/bare: the asset has no contract; declare it with contracted_asset(AssetContract(…)), in the dbt model's "
        "`meta.contract` or as a tag of the Feast view, or state no_personal_data(reason=…)."
    )


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        (contract(store=NoStore()), "stores nothing by its contract"),
        (contract(handler="nobodys"), "no handler can erase subjects in its store (nobodys)"),
    ],
)
def test_an_asset_that_nobody_can_be_erased_from_is_named(
    planted: AssetContract, what: str
) -> None:
    found = only(assets.erasable(assets.contracts_in(specs(planted))))
    assert found.where == "lake/visits"
    assert what in found.what
    assert "privacy/stores" in found.remedy


def test_a_retention_that_nothing_could_ever_end_is_named() -> None:
    endless = contract("platform/notes", retention=Retention(days=30), store=PostgresStore(schema_name="requests", table="notes"))  # fmt: skip
    lake = contract(retention=Retention(days=30))
    rebuilt = contract("marts/rebuilt", retention=Retention(days=30), store=PostgresStore(schema_name="marts", table="rebuilt"))  # fmt: skip
    dated = contract("platform/dated", store=endless.store)
    corrected = contract("platform/corrected", retention=Retention(days=30), store=PostgresStore(schema_name="requests", table="rectifications"))  # fmt: skip
    found = list(assets.ending([endless, lake, rebuilt, dated, corrected, contract()]))
    assert [violation.where for violation in found] == ["lake/visits", "platform/notes"]
    assert "name the column in `retention.column`" in str(found[0])


def test_a_purpose_that_an_input_was_not_collected_for_is_named() -> None:
    planted = specs(
        contract(),
        contract("lake/letters", purposes=(Purpose.MARKETING_EMAIL,)),
        letters="lake/visits",
    )
    found = only(assets.purposes(planted, assets.contracts_in(planted)))
    assert str(found).startswith(
        "lake/letters: it serves marketing_email, which its input lake/visits was not collected for; narrow"
    )


def test_an_asset_that_is_kept_longer_than_its_inputs_is_named() -> None:
    planted = specs(
        contract(),
        contract("lake/summary", retention=Retention(days=90, column="event_timestamp")),
        summary="lake/visits",
    )
    found = only(assets.kept_no_longer_than_inputs(planted, assets.contracts_in(planted)))
    assert found.where == "lake/summary"
    assert found.remedy == "declare a retention of 30 days or less"


@pytest.mark.parametrize(
    ("column", "planted", "what"),
    [
        ("email", contract(), "direct identifier, and the contract's category is 'pseudonymous'"),
        ("buyer_pseudonym", contract(), "finds people by 'pseudonym'"),
        (
            "customer_id",
            no_personal_data(
                "lake/visits",
                owner="team:a",
                description="d",
                reason="r",
                store=DeltaStore(path="v"),
            ),
            "category is 'none'",
        ),
    ],
)
def test_a_new_personal_column_without_a_tag_is_named(
    column: str, planted: AssetContract, what: str
) -> None:
    found = only(columns.tagged({"lake/visits": ["product_id", column]}, {"lake/visits": planted}))
    assert found.where == f"lake/visits, column {column}"
    assert what in found.what


def test_the_columns_of_every_kind_of_asset_are_read() -> None:
    from orchestration.definitions import load

    read = {
        spec.key.to_user_string(): columns.columns_of(spec)
        for spec in load().resolve_all_asset_specs()
    }
    for key in (
        "marts/dim_customers",
        "shop/customers",
        "lake/sessions",
        "features/subject_profile",
    ):
        assert "pseudonym" in read[key], key


def test_a_mart_that_reads_an_unfiltered_model_is_named() -> None:
    import copy

    from orchestration.warehouse_project import manifest

    planted = copy.deepcopy(manifest())
    orders = planted["nodes"]["model.selvedge.fct_orders"]
    orders["depends_on"]["nodes"].append("model.selvedge.stg_shop__orders")
    found = only(warehouse_layers(layering_faults(planted)))
    assert found.where == "dbt model fct_orders"
    assert "reads stg_shop__orders, which no consent filter has passed" in found.what
    assert "int_…__consented" in found.remedy


def test_a_table_of_a_migration_that_is_in_no_contract_is_named(tmp_path: Path) -> None:
    (tmp_path / "0099_more.sql").write_text(
        "-- more\ncreate table shop.orders (a int);\ncreate table if not exists shop.wishes (pseudonym text);\n"
    )
    known = tables.contracted_tables(
        [contract(store=PostgresStore(schema_name="shop", table="orders"))]
    )
    found = only(tables.tables_in_contracts(known, tmp_path))
    assert found.where == "0099_more.sql:3"
    assert found.what == "table shop.wishes is in no contract"
    assert "PLATFORM_CONTRACTS" in found.remedy


@pytest.mark.parametrize(
    "line",
    [
        "log.info('seen', pseudonym=pseudonym)",
        "log.warning(f'no row of {subject_id}')",
        "logger.debug('%s', customer.email)",
        "context.log.info('erased ' + pseudonym)",
        "print(pseudonyms)",
        "raise StoreError(f'{subject} is left')",
        "typer.echo(f'hello {first_name}')",
        "console.print(subject.pseudonym)",
        "REQUESTS.labels(session_id).inc()",
        "context.add_output_metadata({'of': pseudonym})",
        "raise ValueError(f'unknown subject {subject_id!r}')",
        "structlog.get_logger().bind() ; log.bind(user=subject_ref)",
        "log.error('x', exc_info=str(identifiers[0]))",
        "logging.getLogger(__name__).info(email)",
        "warnings.warn(email)",
        "sys.stdout.write(email)",
        "log.info('x', who=row['email'])",
        "text = f'{email}'; log.info(text)",
        "assert ok, email",
        "log.info('x', who=row.get('email'))",
        "log.info(getattr(row, 'pseudonym', None))",
        "structlog.get_logger('x').bind(a=1).info(email)",
        "get_dagster_logger().info(email)",
        "sys.stderr.writelines([email])",
        "text = 'to ' + str(row['email']); said = text.strip(); log.info(said)",
        "said = ''; said += email; print(said)",
        "[print(told) for _ in a if (told := email)]",
    ],
)
def test_an_identifier_that_would_be_said_aloud_is_named(tmp_path: Path, line: str) -> None:
    found = only(logs.silent([module(tmp_path, f"import x\n\n\ndef f(a):\n    {line}\n")]))
    assert found.where == "privacy/planted.py:5"
    assert "holds `" in found.what
    assert "say a count or the request's id" in found.remedy


@pytest.mark.parametrize(
    "line",
    [
        "log.info('erased', subjects=len(pseudonyms))",
        "log.info(f'{sum(1 for pseudonym in pseudonyms)} found')",
        "print(Pii(email))",
        "raise ValueError('no subject_id was given')",
        "log.info('known' if pseudonym is not None else 'unknown')",
        "store(pseudonym)",
        "raise ContractError(f'the column {contract.subject} is missing')",
        "found = store.find(pseudonym); log.info(found)",
        "known = pseudonym is not None; log.info(known)",
        "text = masked(email); log.info(text)",
        "file.write(email)",
        "log.info(row['product_id'])",
        "assert pseudonym in held, 'one is missing'",
    ],
)
def test_what_says_less_than_the_identifier_is_allowed(tmp_path: Path, line: str) -> None:
    assert list(logs.silent([module(tmp_path, f"{line}\n")])) == []


def test_a_name_stands_for_an_identifier_in_its_own_function_and_those_within(
    tmp_path: Path,
) -> None:
    code = (
        "def outer(email):\n    text = f'{email}'\n    def inner():\n        log.info(text)\n"
        "    def own(text):\n        log.info(text)\n\ndef other(a):\n    text = str(a)\n    log.info(text)\n"
        "def loop(emails):\n    for one in emails:\n        log.info(one)\n"
    )
    found = list(logs.silent([module(tmp_path, code)]))
    assert [violation.where for violation in found] == [
        "privacy/planted.py:4",
        "privacy/planted.py:13",
    ]


def test_a_redis_key_that_is_in_no_contract_is_named(tmp_path: Path) -> None:
    planted = module(tmp_path, "KEY = 'sv:consent:{x}'\n\ndef f(p):\n    return f'sv:wishes:{p}'\n")
    found = only(redis_keys.keys_registered([planted], {"sv:consent:"}))
    assert found.where == "privacy/planted.py:4"
    assert found.what == "Redis keys 'sv:wishes:…' are in no contract"


@pytest.mark.parametrize(
    ("body", "caught"),
    [
        ("client.set(key, 1)", True),
        ("pipeline.hset(key, mapping=m)", True),
        ("client.set(key, 1, ex=60)", False),
        ("pipeline.sadd(key, 1); pipeline.expire(key, 60)", False),
        ("context.set(key, 1)", False),
    ],
)
def test_a_redis_key_without_an_expiry_is_named(tmp_path: Path, body: str, caught: bool) -> None:
    found = list(redis_keys.keys_expire([module(tmp_path, f"def remember(key):\n    {body}\n")]))
    assert [violation.where for violation in found] == ["privacy/planted.py:2"] * caught
    assert all("gives it no expiry" in violation.what for violation in found)
