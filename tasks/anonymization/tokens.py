"""Keyed pseudonyms, and the keyed numbers that a run needs of each person.

A token is the HMAC-SHA-256 (RFC 2104) of the identifier's text in Unicode normal form NFC: whoever
holds the key can repeat it, nobody else can tell from a token who it is. Equal identifiers give
equal tokens, so a token hides nothing about how often a value occurs.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class PersonKeys(NamedTuple):
    """Two uniform 64-bit numbers per person, parts of one keyed digest.

    `record` adds up to cell keys (see `expectations.disclosure`); `draw` decides samples and
    splits, so that nobody without the key can tell who is in.
    """

    record: NDArray[np.uint64]
    draw: NDArray[np.uint64]


def tokenize(values: pa.ChunkedArray, key: bytes) -> pa.Array:
    """Replace each value by a token of 32 hex digits (128 bits); missing stays missing."""
    digest, normalize = hmac.digest, unicodedata.normalize
    return pa.array(
        [
            None
            if value is None
            else digest(
                key, (value if value.isascii() else normalize("NFC", value)).encode(), "sha256"
            )[:16].hex()
            for value in values.to_pylist()
        ],
        pa.string(),
    )


def key_people(people: pa.ChunkedArray, key: bytes) -> PersonKeys:
    """Give each person's two numbers; the identifiers must be complete and in their one spelling.

    Keyed BLAKE2b (RFC 7693, section 2.9), since these never leave and are made for everybody.
    """
    hasher = hashlib.blake2b
    digests = b"".join(
        hasher(person.encode(), key=key, digest_size=16).digest() for person in people.to_pylist()
    )
    numbers = np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return PersonKeys(numbers[:, 0], numbers[:, 1])
