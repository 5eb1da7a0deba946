"""TC strings that others published, with what they say of them; and strings that are none."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.intake.mapping import decisions_of_tc_string, load_mapping
from consent.intake.tcf import PublisherRestriction, PublisherTc, TcfError, decode
from consent.ledger import Decision
from privacy.contracts import Purpose

# The core and disclosed-vendors strings of IAB Tech Lab's specification and of the test suites of its Java library and its ports.
CORE = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"
DISCLOSED = "IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
PUBLISHER = "ZAAgH9794ulA"
VENDORS = frozenset({
    2, 6, 8, 12, 18, 23, 37, 42, 47, 48, 53, 61, 65, 66, 72, 88, 98, 127, 128, 129, 133, 153, 163, 192, 205, 215, 224, 243,
    248, 281, 294, 304, 350, 351, 358, 371, 422, 424, 440, 447, 467, 486, 498, 502, 512, 516, 553, 556, 571, 587, 612, 613,
    618, 626, 648, 653, 656, 657, 665, 676, 681, 683, 684, 686, 687, 688, 690, 691, 694, 702, 703, 707, 708, 711, 712, 714,
    716, 719, 720,
})  # fmt: skip
EVERYTHING = "COw4XqLOw4XqLAAAAAENAXCf-v-gAAAfwIAAACngAI8AEFABgACAA4A.IAPPwAPrwA.QAPPwAPrwA.cAEAPAAAC7gAHw4AAA"
SOME_VENDORS = frozenset({*range(1, 7), *range(19, 24), 25, *range(27, 31)})
# Made under TCF 2.2 by a CMP for one service: no purpose agreed to.
SERVICE = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"


def test_the_core_of_the_specification_is_read_as_published() -> None:
    tc = decode(CORE)
    assert tc.created == tc.last_updated == datetime(2020, 2, 20, 23, 57, 39, 300_000, UTC)
    assert (tc.cmp_id, tc.cmp_version, tc.consent_screen) == (27, 0, 0)
    assert (tc.consent_language, tc.vendor_list_version, tc.policy_version) == ("EN", 15, 2)
    assert (tc.is_service_specific, tc.use_non_standard_texts) == (False, False)
    assert tc.purposes_consent == {1, 2, 3}
    assert not tc.special_features | tc.purposes_legitimate_interest
    assert (tc.purpose_one_treatment, tc.publisher_country) == (False, "AA")
    assert tc.vendors_consent == tc.vendors_legitimate_interest == {2, 6, 8}
    assert (tc.restrictions, tc.disclosed_vendors, tc.publisher) == ((), None, None)


@pytest.mark.parametrize("order", [(DISCLOSED, PUBLISHER), (PUBLISHER, DISCLOSED)])
def test_segments_are_read_in_any_order(order: tuple[str, str]) -> None:
    tc = decode(".".join((CORE, *order)))
    assert tc.purposes_consent == {1, 2, 3}
    assert tc.disclosed_vendors == VENDORS
    assert tc.publisher == PublisherTc(
        frozenset({3, 16}),
        frozenset({*range(1, 25)} - {8, 13, 20}),
        frozenset({1, 2, 4}),
        frozenset({2, 4}),
    )


def test_ranges_restrictions_and_every_segment() -> None:
    tc = decode(EVERYTHING)
    assert tc.last_updated == datetime(2020, 3, 26, 18, 21, 27, 500_000, UTC)
    assert tc.special_features == tc.purposes_consent == {1, 2, 3, 4, 5, 6, 7, 8, 9, 11}
    assert tc.purposes_legitimate_interest == frozenset(range(12, 19))
    assert (tc.use_non_standard_texts, tc.purpose_one_treatment) == (True, True)
    assert tc.vendors_consent == {2, 3, 4, 5}
    assert tc.vendors_legitimate_interest == {1, 2, 3, 4}
    assert tc.restrictions == (PublisherRestriction(1, 1, frozenset(range(1, 8))),)
    assert tc.disclosed_vendors == tc.allowed_vendors == SOME_VENDORS
    assert tc.publisher
    assert tc.publisher.purposes_consent == {1, 13, 24}
    assert tc.publisher.custom_purposes_consent == {2, 3, 4, *range(19, 24)}
    assert tc.publisher.custom_purposes_legitimate_interest == {5, 6, 7}


def test_a_string_for_one_service() -> None:
    tc = decode(SERVICE)
    assert tc.is_service_specific
    assert (tc.cmp_id, tc.cmp_version, tc.publisher_country) == (31, 640, "DE")
    assert tc.last_updated == datetime(2022, 4, 20, 22, tzinfo=UTC)
    assert tc.purposes_consent == frozenset()


@pytest.mark.parametrize(
    ("string", "reason"),
    [
        ("", "Not a TC string"),
        ("CPX", "cut off"),
        ("CPX xRf", "Not a TC string"),
        (CORE[:-4], "cut off"),
        (DISCLOSED, "version 8"),
        (f"{DISCLOSED}.{CORE}", "version 8"),
        (f"{CORE}.{DISCLOSED}.{DISCLOSED}", "two segments of one kind"),
        (f"{CORE}.{CORE}", "unknown kind 0"),
        (f"{CORE}.{DISCLOSED[:20]}", "disclosed vendors segment ends too early"),
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", "version 1"),
        ("C" * 16_385, "Not a TC string"),
    ],
)
def test_what_is_no_such_string_is_refused_without_repeating_it(string: str, reason: str) -> None:
    with pytest.raises(TcfError, match=reason) as refused:
        decode(string)
    assert len(string) < 4 or string not in str(refused.value)


@given(st.text("ABCDEFabcdef0123456789-_.", max_size=400).map(lambda tail: "C" + tail))
def test_no_string_does_anything_but_decode_or_be_refused(string: str) -> None:
    try:
        decode(string)
    except TcfError:
        return


def _bits(*fields: tuple[int, int]) -> str:
    """A segment of base64url from (value, bits)."""
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    text += "0" * (-len(text) % 24)
    return base64.urlsafe_b64encode(int(text, 2).to_bytes(len(text) // 8)).decode()


def _service_string(
    purposes: set[int], vendors: set[int] | None = None, policy: int = 4, restrictions: str = ""
) -> str:
    asked = sum(1 << (24 - purpose) for purpose in purposes)
    highest = max(vendors or {0})
    field = sum(1 << (highest - vendor) for vendor in vendors or ())
    restricted = [(int(part), bits) for part, bits in _restriction_fields(restrictions)]
    return _bits(
        (2, 6), (17_800_000_000, 36), (17_800_000_000, 36), (27, 12), (1, 12), (1, 6), (3, 6), (4, 6), (200, 12), (policy, 6),
        (1, 1), (0, 1), (0, 12), (asked, 24), (0, 24), (0, 1), (3, 6), (4, 6), (highest, 16), (0, 1),
        *([(field, highest)] if highest else []), (0, 16), (0, 1), *(restricted or [(0, 12)]),
    )  # fmt: skip


def _restriction_fields(restriction: str) -> list[tuple[str, int]]:
    """``purpose:kind:vendor`` as the fields of one restriction."""
    if not restriction:
        return []
    purpose, kind, vendor = restriction.split(":")
    return [("1", 12), (purpose, 6), (kind, 2), ("1", 12), ("0", 1), (vendor, 16)]


def _disclosure(*vendors: int) -> str:
    highest = max(vendors)
    return _bits((1, 3), (highest, 16), (0, 1), (sum(1 << (highest - v) for v in vendors), highest))


YAML = """
cookiebot: {{}}
tcf:
  vendor_id: {vendor}
  purposes:
    personalisation: [1, 5, 6]
    analytics: [8]
"""


def _decided(tmp_path: Path, string: str, vendor: str = "null") -> dict[Purpose, Decision]:
    (tmp_path / "mapping.yaml").write_text(YAML.format(vendor=vendor))
    return decisions_of_tc_string(decode(string), load_mapping(tmp_path / "mapping.yaml"))


IN, OUT = Decision.OPT_IN, Decision.OPT_OUT


def test_a_purpose_is_agreed_to_where_all_that_it_needs_is(tmp_path: Path) -> None:
    both = {Purpose.PERSONALISATION: IN, Purpose.ANALYTICS: IN}
    assert _decided(tmp_path, _service_string({1, 5, 6, 8})) == both
    assert _decided(tmp_path, _service_string({1, 5, 8})) == both | {Purpose.PERSONALISATION: OUT}


def test_the_publishers_own_segment_counts_where_there_is_one(tmp_path: Path) -> None:
    publisher = _bits((3, 3), (1 << 16, 24), (0, 24), (0, 6))  # purpose 8 alone
    assert _decided(tmp_path, f"{_service_string({1, 5, 6})}.{publisher}") == {
        Purpose.PERSONALISATION: OUT,
        Purpose.ANALYTICS: IN,
    }


@pytest.mark.parametrize(
    ("string", "agreed"),
    [
        (_service_string({1, 5, 6}, {7}), True),
        (_service_string({1, 5, 6}, {8}), False),
        (f"{_service_string({1, 5, 6}, {7})}.{_disclosure(7, 9)}", True),
        (f"{_service_string({1, 5, 6}, {7})}.{_disclosure(8, 9)}", False),
        (_service_string({1, 5, 6}, {7}, policy=5), False),
        (f"{_service_string({1, 5, 6}, {7}, policy=5)}.{_disclosure(7)}", True),
        (_service_string({1, 5, 6}, {7}, restrictions="5:0:7"), False),
        (_service_string({1, 5, 6}, {7}, restrictions="5:1:7"), True),
        (_service_string({1, 5, 6}, {7}, restrictions="5:0:8"), True),
    ],
)
def test_a_vendor_needs_consent_disclosure_and_no_restriction(
    tmp_path: Path, string: str, agreed: bool
) -> None:
    decided = _decided(tmp_path, string, vendor="7")
    assert (decided[Purpose.PERSONALISATION] is IN) == agreed


def test_a_string_of_global_scope_is_not_valid(tmp_path: Path) -> None:
    with pytest.raises(TcfError, match="not service-specific"):
        _decided(tmp_path, CORE)


def test_a_short_string_cannot_make_a_long_answer() -> None:
    ranges = [field for _ in range(8) for field in ((1, 1), (1, 16), (0xFFFF, 16))]
    with pytest.raises(TcfError, match="too many vendors"):
        decode(f"{CORE}.{_bits((1, 3), (0xFFFF, 16), (1, 1), (8, 12), *ranges)}")
