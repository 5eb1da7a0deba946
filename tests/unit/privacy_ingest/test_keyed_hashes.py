import hashlib
import hmac
import secrets

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.keyed_hashes import cmac_hex, cmac_hex_of, hmac_sha256

# NIST SP 800-38B, examples for AES-256: key, then message and tag.
NIST_KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
NIST_EMPTY = "028962f61b7bf89efc6b551f4667d983"


def test_the_published_example_holds() -> None:
    assert cmac_hex(NIST_KEY, pa.array([""])).to_pylist() == [NIST_EMPTY]
    assert cmac_hex_of(NIST_KEY, "") == NIST_EMPTY


@given(st.lists(st.text(max_size=200)), st.integers(0, 5))
def test_all_rows_at_once_give_what_the_library_gives_one_by_one(
    texts: list[str], skipped: int
) -> None:
    key = secrets.token_bytes(32)
    array = pa.array(texts, pa.string())[skipped:]
    assert cmac_hex(key, array).to_pylist() == [cmac_hex_of(key, text) for text in texts[skipped:]]


def test_nulls_stay_null_and_chunks_are_one_column() -> None:
    key = secrets.token_bytes(32)
    hashed = cmac_hex(key, pa.chunked_array([["a", None], ["b"]]))
    assert hashed.to_pylist() == [cmac_hex_of(key, "a"), None, cmac_hex_of(key, "b")]


def test_a_column_that_several_threads_hash_keeps_its_order_and_its_nulls() -> None:
    key = secrets.token_bytes(32)
    texts = [None if row % 7 == 0 else f"row {row}" * (row % 20) for row in range(150_000)]
    hashed = cmac_hex(key, pa.array(texts, pa.string()))
    assert hashed.is_null().to_pylist() == [text is None for text in texts]
    for row in (1, 65_535, 65_536, 65_537, 131_071, 131_072, 149_999):
        assert hashed[row].as_py() == cmac_hex_of(key, texts[row] or "")


@given(st.lists(st.binary(max_size=200)), st.binary(min_size=1, max_size=64))
def test_hmac_of_many_is_hmac_of_each(messages: list[bytes], key: bytes) -> None:
    expected = [hmac.digest(key, message, hashlib.sha256) for message in messages]
    assert hmac_sha256(key, messages) == expected


def test_a_key_that_hmac_would_hash_first_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 64 bytes"):
        hmac_sha256(bytes(65), [])
