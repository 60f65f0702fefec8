"""Events in pages: a thousand or so as one value in the database, in the order of their tokens.

A row of its own costs an event more than all else that is done with it. In pages, millions go in
and come out in seconds, and each is verified on its way out: a keyed digest (BLAKE2b, RFC 7693)
of a page's rows, of their commitments in the chain and of their terms vouches for all of them at
once. Where it does not fit, the commitments say which event is off (`ledgers.consent.audit`).

Pages are cut at random, so that the number of a page's rows does not say that somebody was erased
from it. What an event means, and whether a page should be there, is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from ledgers.consent.chain import (
    DIGEST,
    RECORD,
    SALT_BYTES,
    Codes,
    as_words,
    digest_evidence,
    digest_texts,
)

NUMBERS: Final = (RECORD.names or ())[:10]
ROW: Final = np.dtype(
    [*((name, ">i8") for name in NUMBERS), ("terms", ">i8"), ("salt", f"V{SALT_BYTES}")]
)
"""A row is its event's record with the number of its terms in place of their digest."""
SMALLEST, LARGEST = 512, 1536
"""How many events a page has: few to rewrite when one is erased, many to read in one go."""
TOGETHER: Final = 64
"""How many pages are looked at together: some 7 MB."""


@dataclass(frozen=True, slots=True)
class KnownTerms:
    """The digest of each of the ledger's terms, by their number; zeros for what is none."""

    numbers: NDArray[np.int64]
    digests: NDArray[np.void]

    @classmethod
    def of(cls, texts: dict[int, str]) -> Self:
        """Digest the texts, which are given by their numbers."""
        numbers = np.array(sorted(texts), np.int64)
        # One digest more than there are terms, for a number that has none.
        digests = digest_texts([texts[number] for number in numbers.tolist()])
        return cls(numbers, np.concatenate([digests, np.zeros(1, DIGEST)]))

    def digest(self, terms: NDArray[np.int64]) -> NDArray[np.void]:
        """Give the digest of each number's text."""
        place = np.searchsorted(self.numbers, terms)
        known = np.append(self.numbers, -1)[place] == terms
        return self.digests[np.where(known, place, len(self.numbers))]


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it lies in the database; `low` and `high` are the outer halves of its tokens."""

    id: int
    low: int
    high: int
    rows: NDArray[np.void]
    evidence: bytes | None
    code: bytes | None

    @property
    def is_in_place(self) -> bool:
        """Whether its people are found by its bounds."""
        ends = self.rows["token_high"][[0, -1]].tolist() if len(self.rows) else []
        return ends == [self.low, self.high]

    def seal(self, codes: Codes, commitments: NDArray[np.void], terms: KnownTerms) -> bytes:
        """Give the code that vouches for the rows, these being their commitments."""
        # Of a thousand numbers, quicker than numpy finds the distinct ones.
        used = np.array(sorted(set(self.rows["terms"].tolist())), np.int64)
        return codes.seal_page(
            self.rows.tobytes(),
            commitments.tobytes(),
            terms.digest(used).tobytes(),
            self.evidence or b"",
        )

    def rebuild(self, codes: Codes, terms: KnownTerms) -> NDArray[np.void]:
        """Give the records of which the commitments were taken."""
        records = np.zeros(len(self.rows), RECORD)
        words = as_words(self.rows)
        as_words(records)[:, : len(NUMBERS)] = words[:, : len(NUMBERS)]
        records["salt"] = self.rows["salt"]
        records["terms"] = terms.digest(self.rows["terms"].astype(np.int64))
        references = [codes.open_evidence(one) for one in self.sealed_evidence().to_pylist()]
        records["evidence"] = digest_evidence(pa.chunked_array([pa.array(references, pa.string())]))
        return records

    def sealed_evidence(self) -> pa.Array:
        """Give each row's sealed reference to its evidence; null where it has none."""
        nothing = pa.nulls(len(self.rows), pa.binary())
        if self.evidence is None:
            return nothing
        try:
            with pa.ipc.open_stream(self.evidence) as stream:
                found = stream.read_all().column(0).combine_chunks()
        except (pa.ArrowInvalid, OSError, IndexError):
            return nothing
        fits = len(found) == len(self.rows) and found.type == pa.binary()
        return found if fits else nothing

    def without(self, gone: NDArray[np.bool_]) -> Page:
        """Give the page without some of its rows, not sealed yet."""
        rows, evidence = self.rows[~gone], self.sealed_evidence().filter(pa.array(~gone))
        return _page(self.id, rows, evidence)


def make_pages(
    records: NDArray[np.void], terms: NDArray[np.int64], evidence: pa.Array, first: int
) -> Iterator[tuple[Page, slice]]:
    """Cut events, in the order of their tokens, into pages from number `first` on, not sealed yet.

    `terms` are their numbers, `evidence` is sealed. Each page comes with the place of its events.
    """
    packed, numbers = np.empty(len(records), ROW), len(NUMBERS)
    as_words(packed)[:, :numbers] = as_words(records)[:, :numbers]
    packed["terms"], packed["salt"] = terms, records["salt"]
    for number, (start, end) in enumerate(_cut(len(packed)), start=first):
        piece = slice(start, end)
        yield _page(number, packed[piece], evidence.slice(start, end - start)), piece


def read_page(row: sa.Row[tuple[object, ...]]) -> Page:
    """Read a row of the database's table; what is left of a cut-off event is left out."""
    packed = bytes(row.packed)
    rows = np.frombuffer(packed[: len(packed) // ROW.itemsize * ROW.itemsize], ROW)
    evidence, code = (None if one is None else bytes(one) for one in (row.evidence, row.code))
    return Page(row.id, row.low, row.high, rows, evidence, code)


def join_rows(pages: Sequence[Page]) -> NDArray[np.void]:
    """Give the rows of several pages, one page after the other."""
    words = np.concatenate([as_words(page.rows) for page in pages])
    return words.view(ROW).reshape(-1)


def _page(number: int, rows: NDArray[np.void], evidence: pa.Array) -> Page:
    low, high = rows["token_high"][[0, -1]].tolist() if len(rows) else (0, 0)
    return Page(number, low, high, rows, _write_evidence(evidence), None)


def _cut(count: int) -> Iterator[tuple[int, int]]:
    """Give begin and end of each page."""
    draw = np.random.default_rng(int.from_bytes(os.urandom(16)))
    start = 0
    while start < count:
        end = min(count, start + int(draw.integers(SMALLEST, LARGEST)))
        yield start, end
        start = end


def _write_evidence(sealed: pa.Array) -> bytes | None:
    if sealed.null_count == len(sealed):
        return None
    table = pa.table({"evidence": sealed.cast(pa.binary())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
