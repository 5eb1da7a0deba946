"""An access export says why items are recommended, in the words and with the items of the live ranker."""

import json
from collections.abc import Callable

from jsonschema import Draft202012Validator

from consent.ledger import Decision
from privacy.contracts import Purpose
from privacy.exports.package import SCHEMA_FILE
from recommenders.reasons import Reason
from serving.explanation import MEANINGS, explain
from tests.integration.serving.conftest import Consents, Shop

SCHEMA = json.loads(SCHEMA_FILE.read_text())


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


def test_who_agreed_is_told_what_is_used_and_what_would_be_shown(
    shop: Shop, consents: Consents
) -> None:
    subject = consents(shop.numbers[3], Purpose.PERSONALISATION)
    why = explain(subject)
    Draft202012Validator({**SCHEMA["$defs"]["recommendations"]}).validate(why)
    assert why["personalised"] is True
    assert len(why["now"]) == 10
    assert {item["product_id"] for item in why["now"]} <= set(shop.products)
    assert not any(name in json.dumps(why) for name in shop.pseudonyms)


def test_who_refused_or_restricted_is_told_that_nothing_is_used(
    shop: Shop, consents: Consents, object_to: Callable[[str, str], None]
) -> None:
    consents(shop.numbers[4], Purpose.PERSONALISATION, decision=Decision.OPT_OUT)
    consents(shop.numbers[5], Purpose.PERSONALISATION)
    object_to(shop.numbers[5], "*")
    for number in shop.numbers[4:6]:
        why = explain(shop.subject(number))
        assert (why["personalised"], why["uses"]) == (False, [])
        assert all("you" not in item["reason"] for item in why["now"])
