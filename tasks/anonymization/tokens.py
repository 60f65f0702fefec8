"""Keyed pseudonyms, and the keyed numbers that a run needs of each person.

A token is the HMAC-SHA-256 (RFC 2104) of the identifier's text in Unicode normal form NFC: whoever
holds the key can repeat it, nobody else can tell from a token who it is. Equal identifiers give
equal tokens, so a token hides nothing about how often a value occurs.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from binascii import hexlify
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TOKEN_BYTES: Final = 16


class PersonKeys(NamedTuple):
    """Uniform numbers per person, parts of one keyed digest, of which none tells another.

    `record` adds up to cell keys (see `expectations.disclosure`); `draw` decides splits and
    `sample` samples, so that nobody without the key can tell who is in; `token`, 16 bytes in two
    numbers, stands for the person in the consent ledger.
    """

    record: NDArray[np.uint64]
    draw: NDArray[np.uint64]
    sample: NDArray[np.uint64]
    token: NDArray[np.int64]


def tokenize(values: pa.ChunkedArray, key: bytes) -> pa.Array:
    """Replace each value by a token of 32 hex digits (128 bits); missing stays missing."""
    digest = hmac.digest
    known = values.drop_null().to_pylist()
    if not pc.all(pc.string_is_ascii(values)).as_py():
        known = [unicodedata.normalize("NFC", value) for value in known]
    raw = b"".join([digest(key, value.encode(), "sha256")[:TOKEN_BYTES] for value in known])
    ends = np.arange(len(known) + 1, dtype=np.int64) * 2 * TOKEN_BYTES
    tokens = pa.LargeStringArray.from_buffers(
        len(known), pa.py_buffer(ends), pa.py_buffer(hexlify(raw))
    )
    if values.null_count == 0:
        return tokens
    there = values.is_valid().to_numpy()
    return tokens.take(pa.array(np.cumsum(there) - 1, mask=~there))


def key_people(people: pa.ChunkedArray, key: bytes) -> PersonKeys:
    """Give each person's numbers; the identifiers must be complete and in their one spelling.

    Keyed BLAKE2b (RFC 7693, section 2.9), since these never leave and are made for everybody.
    """
    begin = hashlib.blake2b(key=key, digest_size=40).copy
    digests: list[bytes] = []
    for name in people.cast(pa.large_binary()).to_pylist():
        hasher = begin()
        hasher.update(name)
        digests.append(hasher.digest())
    words = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 5)
    record, draw, sample = words[:, :3].T.astype(np.uint64)
    return PersonKeys(record, draw, sample, words[:, 3:].astype(np.int64))
