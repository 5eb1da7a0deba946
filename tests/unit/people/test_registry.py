"""The platform's own stores are under contract like any asset, and errors and entries name nobody."""

import pytest

from privacy.audit import AuditError, record
from privacy.contracts import Category, RedisStore
from privacy.fingerprints import fingerprint, fingerprints, seal, unseal
from privacy.registry import PLATFORM_CONTRACTS, PLATFORM_PREFIX, Registry, UnknownAssetError
from privacy.request_steps import describe
from privacy.stores import handler_for
from privacy.stores.base import StoreHandler

NAME = "0123456789abcdef0123456789abcdef"


def test_every_own_store_has_a_handler_and_a_key_of_its_own() -> None:
    keys = [contract.key for contract in PLATFORM_CONTRACTS]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(PLATFORM_PREFIX) for key in keys)
    for contract in Registry(PLATFORM_CONTRACTS).holding_subjects:
        assert isinstance(handler_for(contract), StoreHandler)


def test_own_redis_keys_carry_the_pseudonym_as_hash_tag() -> None:
    stores = [
        (contract.holds_subjects, contract.store.pattern)
        for contract in PLATFORM_CONTRACTS
        if isinstance(contract.store, RedisStore) and contract.holds_subjects
    ]
    assert any(holds for holds, _ in stores)
    assert all(pattern.startswith("sv:") for _, pattern in stores)
    assert all(("{{pseudonym}}" in pattern) == holds for holds, pattern in stores)


def test_what_holds_nobody_says_why() -> None:
    for contract in PLATFORM_CONTRACTS:
        assert contract.holds_subjects or (contract.category is Category.NONE and contract.reason)


def test_an_unknown_asset_is_a_sentence() -> None:
    with pytest.raises(UnknownAssetError) as error:
        Registry(PLATFORM_CONTRACTS).get("no/such")
    assert str(error.value) == "There is no such asset: GET /v1/assets lists them all."


def test_the_audit_log_refuses_a_pseudonym() -> None:
    with pytest.raises(AuditError, match="would hold a pseudonym"):
        record("test", "erased", {"rows": [{"who": NAME}]})


def test_reasons_of_failure_hold_no_pseudonym() -> None:
    assert describe(ValueError(f"row {NAME} is broken")) == "ValueError: row (pseudonym) is broken"
    digest = "a" * 64
    assert digest in describe(ValueError(digest))


def test_a_fingerprint_tells_kinds_and_subjects_apart() -> None:
    assert fingerprint("access", NAME) in fingerprints(NAME)
    assert fingerprint("access", NAME) != fingerprint("erasure", NAME)
    assert not set(fingerprints(NAME)) & set(fingerprints("f" * 32))
    assert NAME.encode() not in fingerprint("access", NAME)


def test_a_seal_opens_for_its_purpose_alone() -> None:
    sealed = seal("request 1", NAME.encode())
    assert unseal("request 1", sealed) == NAME.encode()
    with pytest.raises(RuntimeError, match="does not open"):
        unseal("request 2", sealed)
    assert sealed != seal("request 1", NAME.encode())
