"""Purposes: every one is defined, explained in three languages, and keeps its bit."""

from pathlib import Path

from jinja2 import Environment

from consent.masks import Mask, decode, mask_key
from consent.purposes import needs_consent, purpose_definitions, purpose_mask
from privacy.contracts import Purpose
from privacy.settings import PROJECT_ROOT

MACRO = PROJECT_ROOT / "dbt" / "macros" / "consented.sql"


def _rendered(purpose: str) -> str:
    module = Environment(autoescape=False).from_string(Path(MACRO).read_text()).module
    return str(module.consented("e", purpose=purpose, at="at", asset="lake/x"))  # type: ignore[attr-defined]


def test_the_bits_are_those_that_stored_masks_were_written_with() -> None:
    bits = {purpose: definition.bit for purpose, definition in purpose_definitions().items()}
    assert bits == {
        Purpose.PERSONALISATION: 0,
        Purpose.MODEL_TRAINING: 1,
        Purpose.ANALYTICS: 2,
        Purpose.EXPERIMENTATION: 3,
        Purpose.MARKETING_EMAIL: 4,
        Purpose.SERVICE: 5,
    }


def test_the_macro_asks_the_ledger_for_exactly_the_purposes_that_rest_on_consent() -> None:
    for purpose in Purpose:
        assert ("consent.intervals" in _rendered(purpose)) is needs_consent(purpose)


def test_a_missing_key_serves_nothing_but_the_contract() -> None:
    mask = decode([None, None])
    assert {purpose for purpose in Purpose if mask.serves(purpose, "lake/x")} == {Purpose.SERVICE}


def test_an_objection_withholds_one_asset_and_no_other() -> None:
    bits = str(purpose_mask([Purpose.ANALYTICS])).encode()
    mask = decode([bits, b"lake/sessions,models/lightfm"])
    assert not mask.serves(Purpose.ANALYTICS, "lake/sessions")
    assert mask.serves(Purpose.ANALYTICS, "lake/product_popularity")
    assert mask == Mask(4, frozenset({"lake/sessions", "models/lightfm"}))


def test_the_key_carries_the_pseudonym_as_hash_tag() -> None:
    assert mask_key("ab12") == "sv:consent:{ab12}"
