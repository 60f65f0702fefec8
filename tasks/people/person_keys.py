"""The keyed numbers by which a home knows a person: in a run, in draws, and in the consent ledger.

They are made of everybody's identifier when it is read, and never leave. Who was in a release is
remembered by a number of its own, made of the first, by which nothing else joins. What stands for a
person in rows that leave is a token (`tasks.anonymization.tokens`), of another key.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

RELEASED_PEOPLE: Final = "released people"
"""The label of the key under which a home remembers who was in a release."""


class PersonKeys(NamedTuple):
    """Uniform numbers per person, parts of one keyed digest, of which none tells another.

    `record` names the person in a run and the budget; `draw` decides splits and
    `sample` samples, so that nobody without the key can tell who is in; `token`, 16 bytes in two
    numbers, stands for the person in the consent ledger.
    """

    record: NDArray[np.uint64]
    draw: NDArray[np.uint64]
    sample: NDArray[np.uint64]
    token: NDArray[np.int64]


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


def number_released(record: NDArray[np.uint64], key: bytes) -> NDArray[np.uint64]:
    """Give the number by which the home remembers that a person was in a release.

    AES-256 of the record number alone, under a key for this: a pseudorandom function of one block.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    blocks = np.zeros((len(record), 2), dtype="<u8")
    blocks[:, 0] = record
    # No two people have the same block, so that there is nothing for a mode to hide.
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305  # as above
    made = np.frombuffer(cipher.update(blocks.tobytes()), dtype="<u8")
    return made[::2].astype(np.uint64)
