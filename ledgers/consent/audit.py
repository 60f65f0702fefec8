"""Whether the consent ledger is what was written: every event checked, the first fault named.

A page of events is checked by its seal, and event by event where that does not fit.
Every event must have its place in the chain and every place its event, or a valid note of its
erasure; blocks must follow one another, and every signed head must be met. A fault is named by the
lowest number that it touches.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from expectations.errors import Refusal
from ledgers.consent.chain import DIGEST, DIGEST_BYTES, Codes, Tip, as_words
from ledgers.consent.pages import KnownTerms, Page, join_rows
from ledgers.consent.tables import (
    BLOCKS,
    ERASURES,
    IMPORTS,
    find_link,
    find_tip,
    read_pages,
    read_terms_digests,
)
from ledgers.evidence import EVIDENCE, RUNS
from ledgers.signed_heads import NAME, SignedHead

LATEST: Final = 20
"""How many of the latest runs are asked which history they decided on."""


class Fault(NamedTuple):
    """What is wrong, and with which event."""

    seq: int
    what: str


@dataclass(slots=True)
class Chain:
    """The blocks as they were read: up to the first one that does not fit, and that one."""

    commitments: bytearray = field(default_factory=bytearray)
    links: dict[int, bytes] = field(default_factory=dict)
    broken: Fault | None = None

    @property
    def last(self) -> int:
        """The number of the last event whose commitment was read."""
        return len(self.commitments) // DIGEST_BYTES

    def commitments_of(self, seq: NDArray[np.int64]) -> NDArray[np.void]:
        """Give the commitments of many events; zeros for a number that has none."""
        found = np.zeros(len(seq), DIGEST)
        placed = (seq >= 1) & (seq <= self.last)
        found[placed] = np.frombuffer(self.commitments, DIGEST)[seq[placed] - 1]
        return found

    def commitment(self, seq: int) -> bytes:
        """Give the commitment of one event."""
        return bytes(self.commitments[(seq - 1) * DIGEST_BYTES : seq * DIGEST_BYTES])


def check_tip(connection: sa.Connection, codes: Codes, signed: SignedHead | None) -> Tip:
    """Give the end of the chain, if the last signed head is met; what comes before is not read.

    Raises Refusal where the tail was cut, or was replaced by another.
    """
    start = codes.start()
    tip = find_tip(connection) or start
    if signed is None:
        if tip.seq:
            _refuse_without_heads(tip.seq)
        return tip
    if signed.seq > tip.seq:
        _refuse(_cut(tip.seq, signed))
    link = find_link(connection, signed.seq) if signed.seq else start.link
    if link is None or link.hex() != signed.link:
        _refuse(Fault(signed.seq, "its link is not the one in the signed head"))
    return tip


def refuse_put_back(connection: sa.Connection, apart: Mapping[str, str | int] | None) -> None:
    """Refuse a ledger that runs on record, or the journal of acts, knew to be longer.

    `apart` is where it stood after the last act there. Of the record the latest runs are asked.
    """
    latest = sa.select(RUNS.c.run_id).order_by(RUNS.c.run_id.desc()).limit(LATEST)
    decided = sa.select(EVIDENCE.c.run_id, EVIDENCE.c.body).where(
        EVIDENCE.c.run_id.in_(latest.scalar_subquery()),
        EVIDENCE.c.kind == "snapshot",
        EVIDENCE.c.name == "history",
    )
    known = [("the journal of acts", apart["seq"], apart["link"])] if apart else []
    for run_id, body in connection.execute(decided):
        read = json.loads(body)
        known.append((f"run {run_id}", read["events"], read["link"]))
    for who, seq, link in known:
        found = find_link(connection, int(seq)) if seq else None
        if seq and (found is None or found.hex() != link):
            _refuse(Fault(int(seq), f"{who} knew it, so the ledger was put back to before that"))


def verify_ledger(
    connection: sa.Connection,
    codes: Codes,
    heads: Sequence[SignedHead],
    keep: Callable[[NDArray[np.void]], None],
) -> Tip:
    """Check the whole ledger and give its tip; Refusal names the first event that is off.

    `keep` is handed all rows, some at a time, before it is known whether they are in order.
    """
    chain = _read_chain(connection, codes)
    faults = [*_check_events(connection, codes, chain, heads, keep)]
    # An event says more exactly what is wrong with its block.
    if chain.broken and not any(fault.seq <= chain.last for fault in faults):
        faults.append(chain.broken)
    faults += _check_heads(chain, heads)
    if faults:
        _refuse(min(faults))
    tip = find_tip(connection) or codes.start()
    if tip.seq and not heads:
        _refuse_without_heads(tip.seq)
    _check_imports(connection, codes)
    return tip


def _read_chain(connection: sa.Connection, codes: Codes) -> Chain:
    """Read the blocks in order, up to the first one that does not follow."""
    tip, chain = codes.start(), Chain()
    chain.links[0] = tip.link
    query = sa.select(BLOCKS).order_by(BLOCKS.c.first_seq)
    for row in connection.execute(query.execution_options(stream_results=True, max_row_buffer=1)):
        first, last, block = row.first_seq, row.last_seq, bytes(row.commitments)
        if first != tip.seq + 1:
            chain.broken = Fault(tip.seq + 1, "it is missing from the chain")
        elif len(block) != (last - first + 1) * DIGEST_BYTES:
            chain.broken = Fault(first, "the block that begins there is of another length")
        else:
            chain.commitments += block
            link = codes.link(tip.link, first, last, row.recorded_at, row.source, block)
            if not hmac.compare_digest(link, bytes(row.link)):
                chain.broken = Fault(first, f"the block of events {first} to {last} was changed")
        if chain.broken is not None:
            return chain
        tip = Tip(last, link, row.recorded_at)
        chain.links[last] = link
    return chain


def _check_events(
    connection: sa.Connection,
    codes: Codes,
    chain: Chain,
    heads: Sequence[SignedHead],
    keep: Callable[[NDArray[np.void]], None],
) -> Iterator[Fault]:
    """Compare every event and every erasure with its commitment."""
    there = np.zeros(chain.last + 1, np.bool_)
    there[0] = True
    terms = read_terms_digests(connection)
    for pages in read_pages(connection):
        rows = join_rows(pages)
        keep(rows)
        seq = rows["seq"].astype(np.int64)
        yield from _check_places(seq, there)
        commitments = chain.commitments_of(seq)
        start = 0
        for page in pages:
            end = start + len(page.rows)
            yield from _check_page(page, codes, terms, commitments[start:end])
            start = end
    yield from _check_erasures(connection, codes, chain, there, heads)


def _check_places(seq: NDArray[np.int64], there: NDArray[np.bool_]) -> Iterator[Fault]:
    """Look for events without a place of their own in the chain, and mark the places taken."""
    placed = (seq >= 1) & (seq < len(there))
    if not placed.all():
        yield Fault(int(seq[~placed].min()), "it is not in the chain")
    seq = seq[placed]
    twice, before = there[seq], np.count_nonzero(there)
    there[seq] = True
    if np.count_nonzero(there) - before == len(seq):
        return
    ordered = np.sort(seq)
    again = np.concatenate([seq[twice], ordered[1:][ordered[1:] == ordered[:-1]]])
    yield Fault(int(again.min()), "it is there twice")


def _check_page(
    page: Page, codes: Codes, terms: KnownTerms, commitments: NDArray[np.void]
) -> Iterator[Fault]:
    """Compare a page with its seal, or each of its events with its commitment."""
    if not page.is_in_place and len(page.rows):
        yield Fault(int(page.rows["seq"].min()), "it is not filed under its person")
    if page.code is not None and hmac.compare_digest(
        page.seal(codes, commitments, terms), page.code
    ):
        return
    wrong = _differ(codes.commit(page.rebuild(codes, terms)), commitments)
    if wrong.any():
        yield Fault(int(page.rows["seq"][wrong].min()), "it is not as it was recorded")


def _check_erasures(
    connection: sa.Connection,
    codes: Codes,
    chain: Chain,
    there: NDArray[np.bool_],
    heads: Sequence[SignedHead],
) -> Iterator[Fault]:
    """Compare the notes of erasures with what is there and with the signed heads."""
    erased = set()
    for row in connection.execute(sa.select(ERASURES)):
        code = codes.attest("erasure", row.seq, row.at, chain.commitment(row.seq))
        if not hmac.compare_digest(code, bytes(row.code)):
            yield Fault(row.seq, "the note of its erasure was not made by this home")
        elif row.seq > chain.last or there[row.seq]:
            yield Fault(row.seq, "it was erased, but it is still there")
        else:
            erased.add(row.seq)
    yield from _check_presence(there, erased, heads)


def _check_presence(
    there: NDArray[np.bool_], erased: set[int], heads: Sequence[SignedHead]
) -> Iterator[Fault]:
    """Look for events that are gone without a note, or are back although they were erased."""
    there[list(erased)] = True
    if not there.all():
        yield Fault(int(np.argmin(there)), "it is gone, but no erasure of it is recorded")
    signed = {seq for head in heads for seq in head.erased}
    yield from (Fault(seq, "its erasure was taken back") for seq in signed - erased)


def _check_heads(chain: Chain, heads: Sequence[SignedHead]) -> Iterator[Fault]:
    """Compare the chain, as far as it follows, with every head that was signed."""
    met = 0
    for head in sorted(heads, key=lambda head: head.seq):
        if head.seq > max(chain.links):
            if chain.broken is None:
                yield _cut(chain.last, head)
        elif chain.links.get(head.seq, b"").hex() != head.link:
            yield Fault(
                met + 1, f"events {met + 1} to {head.seq} differ from those that were signed"
            )
        else:
            met = head.seq


def _check_imports(connection: sa.Connection, codes: Codes) -> None:
    for row in connection.execute(sa.select(IMPORTS)):
        check_import(codes, row)


def check_import(codes: Codes, row: sa.Row[tuple[object, ...]]) -> None:
    """Refuse a note of an import that this home did not make."""
    code = codes.attest("import", row.digest, row.at, row.source, row.new, row.repeated)
    if not hmac.compare_digest(code, bytes(row.code)):
        raise Refusal(
            "consent ledger",
            f"the note that {row.source} was imported was not made by this home, so it may never "
            "have been: compare the ledger with a backup",
        )


def _differ(one: NDArray[np.void], other: NDArray[np.void]) -> NDArray[np.bool_]:
    unequal: NDArray[np.bool_] = np.any(as_words(one) != as_words(other), axis=1)
    return unequal


def _cut(last: int, head: SignedHead) -> Fault:
    return Fault(last + 1, f"events {last + 1} to {head.seq} were signed and are gone")


def _refuse(fault: Fault) -> NoReturn:
    raise Refusal(
        "consent ledger",
        f"event {fault.seq}: {fault.what}; rely on no event from there on, compare the ledger "
        "with a backup, and restore it",
    )


def _refuse_without_heads(last: int) -> NoReturn:
    raise Refusal(
        "consent ledger",
        f"event {last}: {NAME} is missing from the home, so it may not be the last; "
        "restore the file from a backup",
    )
