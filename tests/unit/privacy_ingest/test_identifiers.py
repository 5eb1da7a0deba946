from collections.abc import Callable

import pytest

from privacy.identifiers import (
    CUSTOMER_NUMBER,
    EMAIL,
    PHONE,
    InvalidIdentifierError,
    normalise,
    or_none,
)


@pytest.mark.parametrize(
    ("kind", "raw", "normalised"),
    [
        (CUSTOMER_NUMBER, " C-00\uff11 ", "C-001"),
        (CUSTOMER_NUMBER, "c-1", "c-1"),
        (EMAIL, " Ada.Lovelace+shop@Example.ORG ", "ada.lovelace+shop@example.org"),
        (EMAIL, "ada@Bücher.example", "ada@xn--bcher-kva.example"),
        (EMAIL, "ada@example.org.", "ada@example.org"),
        (PHONE, "030 / 1234 5678", "+493012345678"),
        (PHONE, "+33 1 42 68 53 00", "+33142685300"),
        (PHONE, "0049 30 12345678", "+493012345678"),
    ],
)
def test_spellings_of_one_identifier_become_one(kind: str, raw: str, normalised: str) -> None:
    assert normalise(kind, raw) == normalised
    assert normalise(kind, normalised) == normalised


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (CUSTOMER_NUMBER, " \t"),
        (EMAIL, "qxada"),
        (EMAIL, "qxada@"),
        (EMAIL, "@qx.example"),
        (EMAIL, "qx@a@b.example"),
        (EMAIL, "qx ada@b.example"),
        (EMAIL, "ada@" + "qx" * 40 + "ü.example"),
        (PHONE, "qx"),
        (PHONE, "12"),
        (PHONE, "+49 30 12345678 ext. 99"),
        ("secret", "qx"),
    ],
)
def test_what_is_no_identifier_is_refused_without_repeating_it(kind: str, raw: str) -> None:
    with pytest.raises(InvalidIdentifierError) as refused:
        normalise(kind, raw)
    shown = f"{refused.value!r} {refused.value.__cause__!r}"
    assert "qx" not in shown
    assert "12345678 ext" not in shown
    assert or_none(kind, raw) is None


def test_the_region_of_national_numbers_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, read_settings: Callable[[], None]
) -> None:
    monkeypatch.setenv("SELVEDGE_PHONE_REGION", "FR")
    read_settings()
    assert normalise(PHONE, "01 42 68 53 00") == "+33142685300"
