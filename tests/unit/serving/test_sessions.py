"""A session follows the newest event about each item."""

from serving.sessions import NO_SESSION, Session, decode_session


def _session(*newest_first: str) -> Session:
    return decode_session([entry.encode() for entry in newest_first])


def test_nothing_done_is_no_session() -> None:
    assert _session() == NO_SESSION


def test_recent_items_come_newest_first_and_once() -> None:
    session = _session("click\tB", "page_view\tA", "page_view\tB")
    assert session.recent == ("B", "A")
    assert session.held == frozenset()


def test_what_lies_in_the_cart_or_was_bought_is_held() -> None:
    session = _session("page_view\tA", "purchase\tB", "add_to_cart\tA")
    assert session.held == {"A", "B"}


def test_an_item_taken_out_of_the_cart_is_neither_held_nor_of_interest() -> None:
    session = _session("remove_from_cart\tA", "add_to_cart\tA", "page_view\tA")
    assert session == Session()


def test_an_item_put_back_into_the_cart_is_held_again() -> None:
    session = _session("add_to_cart\tA", "remove_from_cart\tA", "add_to_cart\tA")
    assert session == Session(recent=("A",), held=frozenset({"A"}))
