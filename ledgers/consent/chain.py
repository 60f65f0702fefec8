"""What makes the consent ledger tamper-evident: a commitment per event, a link per block.

Every event is a record of fixed width. Its commitment is a keyed BLAKE2b-256 (RFC 7693) of the
record, in which stand the event's number and 16 random bytes of salt; a block is the commitments
of up to 65,536 events, and its link a keyed digest of them and of the link before. So nobody
without the home's key can make a record, a block or an order that fits, and each record answers
for itself: the first one that was changed is named by its number. Once a salt is destroyed its
commitment says nothing, not even to whoever holds the key and guesses the event.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ledgers.home.keys import Keys, decrypt, encrypt

DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 16
BLOCK: Final = 65_536

DIGEST: Final = np.dtype(f"V{DIGEST_BYTES}")
RECORD: Final = np.dtype(
    [
        ("seq", ">i8"),
        ("token_high", ">i8"),
        ("token_low", ">i8"),
        ("identity", ">i8"),
        ("valid_from", ">i8"),
        ("recorded_at", ">i8"),
        ("valid_until", ">i8"),
        ("guardian_high", ">i8"),
        ("guardian_low", ">i8"),
        ("absent", ">i8"),
        ("terms", DIGEST),
        ("evidence", DIGEST),
        ("salt", f"V{SALT_BYTES}"),
    ]
)
"""What a commitment is taken of; `terms` and `evidence` are digests of their texts."""

NO_END, NO_GUARDIAN, NO_RECORDING = 1, 2, 4
"""The bits of `absent`: a zero in the record stands for nothing there."""


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the chain ends: its last number, its last link, and the clock when that was added."""

    seq: int
    link: bytes
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Codes:
    """The keyed digests of one home, each kind under a key of its own."""

    identity: bytes = field(repr=False)
    commitment: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    note: bytes = field(repr=False)
    evidence: bytes = field(repr=False)
    page: bytes = field(repr=False)

    @classmethod
    def derive(cls, keys: Keys) -> Self:
        """Derive the keys from the home's root."""
        names = ("identity", "commitment", "chain", "note", "evidence", "page")
        return cls(*(keys.derive(f"consent-{name}") for name in names))

    def identify(self, records: NDArray[np.void]) -> NDArray[np.int64]:
        """Give 64 bits for what each record states, before it has a number, a clock or a salt.

        Equal for an event that is stated again, and a surprise to whoever lacks the key.
        """
        return np.frombuffer(_digest_each(records, self.identity, 8), ">i8").astype(np.int64)

    def commit(self, records: NDArray[np.void]) -> NDArray[np.void]:
        """Give the commitment of each record."""
        return np.frombuffer(_digest_each(records, self.commitment, DIGEST_BYTES), DIGEST)

    def link(  # noqa: PLR0913, PLR0917 - one argument per part of a block
        self, before: bytes, first: int, last: int, recorded_at: int, source: str, block: bytes
    ) -> bytes:
        """Give the link of the block of the commitments `first` to `last`."""
        code = hashlib.blake2b(key=self.chain, digest_size=DIGEST_BYTES)
        code.update(_text(before.hex(), first, last, recorded_at, source))
        code.update(block)
        return code.digest()

    def seal_page(self, *parts: bytes) -> bytes:
        """Give the code of a page's parts."""
        code = hashlib.blake2b(_text(*map(len, parts)), key=self.page, digest_size=DIGEST_BYTES)
        for part in parts:
            code.update(part)
        return code.digest()

    def start(self) -> Tip:
        """Give the tip of a chain without events."""
        return Tip(0, self.link(b"", 0, 0, 0, "", b""), 0)

    def seal_evidence(self, references: pa.ChunkedArray) -> pa.Array:
        """Encrypt each reference to evidence, since its words may name a person."""
        if references.null_count == len(references):
            return pa.nulls(len(references), pa.binary())
        sealed = [
            None if text is None else encrypt(self.evidence, text.encode(), "evidence")
            for text in references.to_pylist()
        ]
        return pa.array(sealed, pa.binary())

    def open_evidence(self, sealed: bytes | str | None) -> str | None:
        """Read a reference; what was changed reads as empty, and so differs from its digest."""
        if sealed is None:
            return None
        known = decrypt(self.evidence, sealed, "evidence") if isinstance(sealed, bytes) else None
        return (known or b"").decode()

    def attest(self, kind: str, *parts: int | str | bytes) -> bytes:
        """Give the code of a note beside the chain: an erasure, an import."""
        plain = [part.hex() if isinstance(part, bytes) else part for part in parts]
        return hashlib.blake2b(_text(kind, *plain), key=self.note, digest_size=32).digest()


def digest_texts(texts: Sequence[str]) -> NDArray[np.void]:
    """Give the digest of each text."""
    found = (hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES) for text in texts)
    return np.frombuffer(b"".join(one.digest() for one in found), DIGEST)


def digest_evidence(evidence: pa.ChunkedArray) -> NDArray[np.void]:
    """Give the digest of each reference; zeros where there is none."""
    digests = np.zeros(len(evidence), DIGEST)
    there = evidence.is_valid().to_numpy()
    if there.any():
        known = evidence.drop_null().combine_chunks().dictionary_encode()
        digests[there] = digest_texts(known.dictionary.to_pylist())[known.indices.to_numpy()]
    return digests


def make_records(table: pa.Table, terms: NDArray[np.void]) -> NDArray[np.void]:
    """Write a batch's events as records, without number, salt and identity.

    `terms` are the digests of the texts that the column of that name points at.
    """
    records = np.zeros(table.num_rows, RECORD)
    for name in ("token_high", "token_low", "valid_from"):
        records[name] = table.column(name).to_numpy()
    for name, bit in (
        ("recorded_at", NO_RECORDING),
        ("valid_until", NO_END),
        ("guardian_high", NO_GUARDIAN),
        ("guardian_low", 0),
    ):
        column = table.column(name)
        records[name] = column.fill_null(0).to_numpy()
        records["absent"] |= np.where(column.is_null().to_numpy(), bit, 0)
    records["terms"] = terms[table.column("terms").to_numpy()]
    if table.column("evidence").null_count < table.num_rows:
        records["evidence"] = digest_evidence(table.column("evidence"))
    return records


def _digest_each(records: NDArray[np.void], key: bytes, size: int) -> bytes:
    """Digest each record, a block of them at a time so that their bytes are not held twice."""
    begin, found = hashlib.blake2b(key=key, digest_size=size).copy, []
    # A function for each record, or slices of the block, would take as long as the digest itself.
    for start in range(0, len(records), BLOCK):
        whole = records[start : start + BLOCK].tobytes()
        for (record,) in struct.iter_unpack(f"{records.dtype.itemsize}s", whole):
            code = begin()
            code.update(record)
            found.append(code.digest())
    return b"".join(found)


def as_words(records: NDArray[np.void]) -> NDArray[np.int64]:
    """See records as words of 64 bits, since numpy copies a record's fields one by one."""
    return records.view(np.int64).reshape(len(records), records.dtype.itemsize // 8)


def _text(*parts: int | str) -> bytes:
    """Write parts so that no two lists of them read alike."""
    return json.dumps(parts).encode() + b"\0"
