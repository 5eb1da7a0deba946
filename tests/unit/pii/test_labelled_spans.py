"""How the benchmark compares spans: matched by overlap, one to one, with the pieces of an address joined."""

import pytest

from tests.benchmarks._labelled_spans import joined_addresses, resolved, score


@pytest.mark.parametrize(
    ("found", "matched"),
    [
        ([(0, 10, "X")], 1),
        ([(0, 5, "X")], 1),  # half of it
        ([(0, 4, "X")], 0),
        ([(0, 20, "X")], 1),  # twice as long
        ([(0, 21, "X")], 0),
        ([(0, 10, "X"), (0, 9, "X")], 1),
        ([], 0),
    ],
)
def test_a_span_matches_from_half_an_overlap_on(
    found: list[tuple[int, int, str]], matched: int
) -> None:
    result = score([[(0, 10, "X")]], [found])
    assert (result.matched, result.found, result.labelled) == (matched, len(found), 1)


def test_shares_follow_from_the_counts() -> None:
    result = score([[(0, 4, "X"), (6, 9, "X")], []], [[(0, 4, "X")], [(1, 2, "X")]])
    assert (result.precision, result.recall, result.f1) == (0.5, 0.5, 0.5)
    nothing = score([[]], [[]])
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)


def test_pieces_of_one_address_are_one_and_a_city_alone_is_none() -> None:
    text = "at Lindenweg 12,\n Jena. In Ulm"
    spans = [(3, 15, "STREET"), (18, 22, "CITY"), (27, 30, "CITY")]
    assert joined_addresses(text, spans, "STREET", frozenset({"CITY"})) == [(3, 22, "STREET")]


def test_of_spans_within_one_another_the_surer_is_kept() -> None:
    spans = [(0, 10, "EMAIL", 1.0), (3, 10, "URL", 0.5), (12, 15, "URL", 0.5)]
    assert resolved(spans) == [(0, 10, "EMAIL"), (12, 15, "URL")]
