"""Cookiebot's cookie: read as browsers send it, refused where a client wrote something else; and what it means here."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.intake.cookiebot import CookieError, parse
from consent.intake.mapping import (
    MappingError,
    consent_mapping,
    decisions_of_cookie,
    load_mapping,
)
from consent.ledger import Decision
from privacy.contracts import Purpose

COOKIE = (
    "{stamp:'kSTYxHbJrAY5NFpzaAtsoTDcJ0Dmh4mVtY0+oqx1UMsFjdBlqnTAzQ==',necessary:true,preferences:false,statistics:true,"
    "marketing:false,method:'explicit',ver:1,utc:1718000000123,region:'de'}"
)
IN, OUT = Decision.OPT_IN, Decision.OPT_OUT


@pytest.mark.parametrize("sent", [COOKIE, quote(COOKIE), quote(COOKIE, safe="{}:,'")])
def test_it_is_read_encoded_or_not(sent: str) -> None:
    consent = parse(sent)
    assert consent.stamp == "kSTYxHbJrAY5NFpzaAtsoTDcJ0Dmh4mVtY0+oqx1UMsFjdBlqnTAzQ=="
    assert consent.accepted == {"necessary", "statistics"}
    assert (consent.explicit, consent.version, consent.region) == (True, 1, "de")
    assert consent.stated_at == datetime(2024, 6, 10, 6, 13, 20, 123_000, UTC)


def test_declined_altogether_is_a_refusal_without_a_time() -> None:
    consent = parse("0")
    assert (consent.accepted, consent.stated_at) == (frozenset(), None)
    assert set(decisions_of_cookie(consent).values()) == {OUT}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("", "not of the form"),
        ("-1", "states nothing"),
        ('{"stamp": "json"}', "entry 1"),
        (COOKIE.replace("statistics:true,", ""), "lacks 'statistics'"),
        (COOKIE.replace("statistics:true", "statistics:1"), "neither true nor false"),
        (COOKIE.replace("ver:1", "statistics:false"), "twice"),
        (COOKIE.replace("utc:1718000000123", "utc:soon"), "no time"),
        (COOKIE.replace("+oqx", "'+alert(1)+'"), "entry 1"),
        (COOKIE.replace("kSTYxHb", "jane@example.com"), "stamp"),
        (COOKIE.replace("ver:1", "ver:1;"), "entry 7"),
        (COOKIE[:-1], "not of the form"),
        ("{" + "a" * 5_000 + "}", "not of the form"),
    ],
)
def test_what_is_no_cookie_of_theirs_is_refused_without_repeating_it(
    changed: str, reason: str
) -> None:
    with pytest.raises(CookieError, match=reason) as refused:
        parse(changed)
    assert "jane" not in str(refused.value)


@given(st.text(max_size=200))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    for cookie in (text, "{" + text + "}"):
        try:
            parse(cookie)
        except CookieError:
            continue


def test_a_purpose_is_agreed_to_where_all_its_categories_are() -> None:
    assert decisions_of_cookie(parse(COOKIE)) == {
        Purpose.PERSONALISATION: OUT,
        Purpose.MODEL_TRAINING: OUT,
        Purpose.ANALYTICS: IN,
        Purpose.EXPERIMENTATION: IN,
    }
    everything = COOKIE.replace("false", "true")
    assert set(decisions_of_cookie(parse(everything)).values()) == {IN}


def test_who_only_went_on_browsing_agreed_to_nothing() -> None:
    implied = decisions_of_cookie(parse(COOKIE.replace("explicit", "implied")))
    assert implied == {Purpose.PERSONALISATION: OUT, Purpose.MODEL_TRAINING: OUT}


VALID = "cookiebot: {analytics: [statistics]}\ntcf: {purposes: {analytics: [8]}}\n"


def test_the_shipped_mapping_gives_no_consent_to_email_for_a_cookie() -> None:
    shipped = consent_mapping()
    assert Purpose.MARKETING_EMAIL not in shipped.cookiebot
    assert Purpose.MARKETING_EMAIL not in shipped.tcf.purposes


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("analytics: [statistics]", "service: [statistics]", "service does not rest on consent"),
        ("[statistics]", "[cookies]", r"cookiebot.analytics.0: Input should be 'necessary'"),
        ("[statistics]", "[]", "cookiebot.analytics: List should have at least 1 item"),
        ("[8]", "[25]", "tcf.purposes.analytics.0: .* less than or equal to 24"),
        ("analytics: [8]", "profiling: [8]", "tcf.purposes.profiling: .*'personalisation'"),
        ("tcf:", "tfc:", "tcf: Field required"),
        ("cookiebot:", "cookiebot: [", "not YAML"),
    ],
)
def test_a_wrong_mapping_names_the_entry(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(VALID)
    assert load_mapping(path)
    path.write_text(VALID.replace(old, new))
    with pytest.raises(MappingError, match=reason):
        load_mapping(path)
