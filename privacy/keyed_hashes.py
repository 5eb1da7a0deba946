"""Keyed hashes of many values at once.

`hmac_sha256` is HMAC-SHA256 (RFC 2104) with the key's two pads hashed once and copied for each message. `cmac_hex` is
AES-256-CMAC (NIST SP 800-38B, RFC 4493) as 32 hexadecimal digits, worked out for all rows in step: the n-th blocks of every row
go through one call of the cipher, so that five million rows take seconds where a call for each row takes minutes.
"""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

__all__ = ["cmac_hex", "cmac_hex_of", "hmac_sha256"]

_Bytes = npt.NDArray[np.uint8]
_BLOCK = 16  # bytes: AES
_LONGEST = 8 * _BLOCK  # longer rows are rare, and would widen the matrix for all
_SHA256_BLOCK = 64
# Rows that one thread hashes at a time; numpy and the cipher let others run meanwhile.
_PART = 65_536
_HEX = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16)  # two digits for each byte


def hmac_sha256(key: bytes, messages: Iterable[bytes]) -> list[bytes]:
    """HMAC-SHA256 of each message (32 bytes each); `key` has at most 64 bytes."""
    if len(key) > _SHA256_BLOCK:
        raise ValueError("A key of HMAC-SHA256 has at most 64 bytes here.")
    padded = key.ljust(_SHA256_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    hashed = []
    for message in messages:
        first, second = inner.copy(), outer.copy()
        first.update(message)
        second.update(first.digest())
        hashed.append(second.digest())
    return hashed


def cmac_hex_of(key: bytes, text: str) -> str:
    """AES-CMAC of one text (UTF-8), as 32 hexadecimal digits."""
    return _one(key, text.encode()).hex()


def cmac_hex(key: bytes, texts: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """AES-CMAC of each text (UTF-8), as 32 hexadecimal digits; null for a null.

    Parameters
    ----------
    key: 32 bytes.
    texts: Arrow strings, n of them.
    """
    if not len(texts):
        return pa.array([], pa.string())
    array = _contiguous(texts)
    parts = [array.slice(start, _PART) for start in range(0, len(array), _PART)]
    if len(parts) == 1:
        hashed = _part_hex(key, array)
    else:
        with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as threads:
            hashed = pa.concat_arrays(threads.map(partial(_part_hex, key), parts))
    return pc.if_else(texts.is_valid(), hashed, None) if texts.null_count else hashed


def _part_hex(key: bytes, array: pa.StringArray) -> pa.StringArray:
    """The tags of texts without a null, one after the other in their buffer."""
    offsets, data = _buffers(array)
    lengths = np.diff(offsets)
    tags = np.empty((len(array), _BLOCK), np.uint8)
    short = lengths <= _LONGEST
    if short.all():
        tags[:] = _in_step(key, data, lengths)
    else:
        kept = _contiguous(array.filter(pa.array(short)))
        tags[short] = _in_step(key, _buffers(kept)[1], lengths[short])
        for row in np.flatnonzero(~short):
            tags[row] = np.frombuffer(
                _one(
                    key, data[offsets[row] - offsets[0] : offsets[row + 1] - offsets[0]].tobytes()
                ),
                np.uint8,
            )
    return _hexadecimal(tags)


def _contiguous(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if isinstance(array, pa.ChunkedArray):  # more than one chunk stays where 32-bit offsets end
        raise ValueError("The texts of one batch hold more than 2 GiB: use smaller batches.")
    # A filled null takes no bytes, so that the data holds exactly the rows, one after the other.
    return pc.fill_null(array.cast(pa.string()), "")


def _buffers(array: pa.Array) -> tuple[npt.NDArray[np.int32], _Bytes]:
    """Offsets (n + 1) and the bytes between the first and the last of them."""
    _, raw_offsets, raw_data = array.buffers()
    offsets = np.frombuffer(raw_offsets, np.int32)[array.offset :][: len(array) + 1]
    data = np.frombuffer(raw_data, np.uint8) if raw_data is not None else np.empty(0, np.uint8)
    return offsets, data[offsets[0] : offsets[-1]]


def _in_step(key: bytes, data: _Bytes, lengths: npt.NDArray[np.int32]) -> _Bytes:
    """Tags of rows that lie one after the other in `data`; shape (n, 16)."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 (the raw cipher, of which CMAC is made)
    count = np.maximum(1, -(-lengths // _BLOCK))
    blocks = _padded(data, lengths, count, _subkeys(encryptor.update(bytes(_BLOCK))))
    state = np.zeros((len(lengths), _BLOCK), np.uint8)
    for position in range(blocks.shape[1]):
        mixed = encryptor.update((state ^ blocks[:, position]).tobytes())
        step = np.frombuffer(mixed, np.uint8).reshape(state.shape)
        state = step if position == 0 else np.where((position < count)[:, None], step, state)
    return state


def _padded(
    data: _Bytes,
    lengths: npt.NDArray[np.int32],
    count: npt.NDArray[np.int32],
    subkeys: tuple[_Bytes, _Bytes],
) -> _Bytes:
    """The rows' blocks, the last one of each padded and masked (SP 800-38B, section 6.2); shape (n, blocks, 16)."""
    rows, width = len(lengths), int(count.max()) * _BLOCK
    padded = np.zeros((rows, width), np.uint8)
    if (lengths == lengths[0]).all():
        padded[:, : lengths[0]] = data.reshape(rows, -1)
    else:
        padded[np.arange(width) < lengths[:, None]] = data
    partial = np.flatnonzero(lengths != count * _BLOCK)
    padded[partial, lengths[partial]] = 0x80
    blocks = padded.reshape(rows, -1, _BLOCK)
    masks = np.where((lengths == count * _BLOCK)[:, None], *subkeys)
    blocks[np.arange(rows), count - 1] ^= masks
    return blocks


def _subkeys(encrypted_zero: bytes) -> tuple[_Bytes, _Bytes]:
    """K1 and K2 of SP 800-38B, section 6.1."""
    first = _doubled(int.from_bytes(encrypted_zero, "big"))
    second = _doubled(first)
    return _as_block(first), _as_block(second)


def _as_block(value: int) -> _Bytes:
    return np.frombuffer(value.to_bytes(_BLOCK, "big"), np.uint8)


def _doubled(value: int) -> int:
    shifted = (value << 1) & ((1 << 128) - 1)
    return shifted ^ 0x87 if value >> 127 else shifted


def _one(key: bytes, message: bytes) -> bytes:
    cmac = CMAC(algorithms.AES(key))
    cmac.update(message)
    return cmac.finalize()


def _hexadecimal(tags: _Bytes) -> pa.StringArray:
    digits = np.take(_HEX, tags)
    offsets = np.arange(len(tags) + 1, dtype=np.int32) * (2 * _BLOCK)
    return pa.StringArray.from_buffers(len(tags), pa.py_buffer(offsets), pa.py_buffer(digits))
