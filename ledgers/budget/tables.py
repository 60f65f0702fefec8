"""What the budget ledger keeps: a chain of events, and sealed sets of people.

Each event carries an HMAC over itself and the one before, so that one that was edited, removed or
put in between shows; the newest ones cut off show by the signed heads (`ledgers.signed_heads`), and
where those went with them by the journal, which names each event (`ledgers.journal`). Both are held
against the chain whenever it is read.

Whom a charge was for is a set of keyed record numbers, named by a keyed digest of its sorted
numbers, sealed, and stored once: in full or as the difference to a full one, whichever is shorter,
since weekly runs of the same policy use nearly the same people. What is sealed is filled up to
whole pages of 4 KiB, so that its length tells no exact count.

The numbers are pseudonyms: whoever holds the home's keys and knows an identifier can tell whether
that person was charged. They stay as long as the home, since what was spent never renews. What a
charge comes to is not known here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal, NoReturn, TypeAlias

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from expectations.errors import Refusal
from expectations.privacy_loss import Mechanism, from_json, to_json
from ledgers.acts import Acts
from ledgers.home.keys import Keys
from ledgers.journal import Line, Pen, find_run_traces, read_lines, signed_head
from ledgers.signed_heads import Head, Heads, SignedHead

What: TypeAlias = Literal["reserved", "committed", "aborted"]
Composition: TypeAlias = Literal["fixed", "adaptive"]
Records = NDArray[np.uint64]

HEADS: Final = "budget-heads"
NOTE: Final = "budget"
"""The kind of evidence by which a run names the head that its charge became."""
CHARGE: Final = "charge"
"""What a line of the journal names by number and link: an event."""

PUT_BACK: Final = "so the ledger was put back to before that"
PAGE: Final = 4096
METADATA = sa.MetaData()
EVENTS = sa.Table(
    "budget_events",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("composition", sa.String(16), nullable=False),
    sa.Column("mechanisms", sa.Text, nullable=False),
    sa.Column("ceiling", sa.Text, nullable=False),
    sa.Column("people", sa.String(64), nullable=False),
    sa.Column("chain", sa.String(64), nullable=False),
    sa.UniqueConstraint("run_id", "what"),
)
PEOPLE = sa.Table(
    "budget_people",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a policy lets anybody's lifetime cost: ε at δ, and how costs are composed."""

    epsilon: float
    delta: float
    composition: Composition


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: what became of the charge of a run; `at` is UTC in ISO 8601.

    `people` is the keyed digest of the set of people who were charged.
    """

    seq: int
    at: str
    what: What
    run_id: str
    policy: str
    purpose: str
    composition: Composition
    mechanisms: tuple[Mechanism, ...]
    ceiling: Ceiling
    people: str

    def row(self) -> dict[str, str | int]:
        """Give it as the table holds it, without its link."""
        ceiling = {"epsilon": self.ceiling.epsilon, "delta": self.ceiling.delta}
        return {
            "seq": self.seq,
            "at": self.at,
            "what": self.what,
            "run_id": self.run_id,
            "policy": self.policy,
            "purpose": self.purpose,
            "composition": self.composition,
            "mechanisms": json.dumps([to_json(one) for one in self.mechanisms], sort_keys=True),
            "ceiling": json.dumps(ceiling, sort_keys=True),
            "people": self.people,
        }


@dataclass(frozen=True, slots=True)
class Book:
    """All events, oldest first, and the link of each; what was read is as it was written."""

    events: tuple[Event, ...]
    links: tuple[str, ...]

    @property
    def head(self) -> Head:
        """The end of the chain; number 0 of an empty one."""
        if not self.events:
            return Head(0, "", "")
        return Head(len(self.links), self.links[-1], self.events[-1].at)

    def charge(self, run_id: str) -> tuple[Event, What] | None:
        """Give the charge of a run, and what has become of it; None if it was never charged."""
        own = [event for event in self.events if event.run_id == run_id]
        return (own[0], own[-1].what) if own else None

    def standing(self) -> list[Event]:
        """Give the charges that were not aborted, those without a commit among them."""
        aborted = {event.run_id for event in self.events if event.what == "aborted"}
        return [e for e in self.events if e.what == "reserved" and e.run_id not in aborted]


def lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846105)"))


@dataclass(frozen=True, slots=True)
class Ends:
    """The signed heads that a book has to meet: its own, and the journal's last one.

    They have to be read before a transaction begins to see, lest it be older than they are.
    """

    own: Sequence[SignedHead]
    journal: SignedHead | None
    apart: Mapping[str, str | int] | None
    """Where the book ended after the last charge in the journal of acts."""
    traces: frozenset[str]
    """The runs that left something in the home."""

    @classmethod
    def read(cls, engine: sa.Engine, keys: Keys, *, whole: bool = False) -> Ends:
        """Read the last head, or every one."""
        heads = Heads(engine, keys, HEADS)
        last = None if whole else heads.last()
        own = heads.read() if whole else [last] if last else []
        apart = Acts(keys).last_mark(CHARGE)
        return cls(own, signed_head(engine, keys), apart, find_run_traces(keys.home))


def read_book(connection: sa.Connection, keys: Keys, ends: Ends) -> Book:
    """Read and check everything.

    Refusal where the chain is broken, or a head or a line of the journal is not met.
    """
    events: list[Event] = []
    links = [""]
    for row in connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)).mappings():
        plain = {name: row[name] for name in row if name != "chain"}
        links.append(_link(keys, links[-1], plain))
        if row["seq"] != len(links) - 1 or not hmac.compare_digest(links[-1], row["chain"]):
            refuse(f"entry {len(links) - 1} or one before it was changed or taken out")
        events.append(_read_event(plain))
    _check_heads(links, ends.own)
    if ends.apart and links[int(ends.apart["seq"]) :][:1] != [ends.apart["link"]]:
        refuse(f"the journal of acts names entry {ends.apart['seq']}, {PUT_BACK}")
    lines = read_lines(connection, keys, ends.journal)
    if unknown := sorted(ends.traces - {line.run_id for line in lines}):
        refuse(f"run {unknown[0]} left something in the home and is not on record, {PUT_BACK}")
    for line in lines:
        if line.what == CHARGE and links[line.place : line.place + 1] != [line.code]:
            refuse(f"run {line.run_id} names entry {line.place}, which is gone or was changed")
    return Book(tuple(events), tuple(links[1:]))


def append_event(pen: Pen, book: Book, event: Event) -> Book:
    """Write `event` as the next of a book, whatever its number says."""
    placed = replace(event, seq=len(book.events) + 1)
    link = _link(pen.keys, book.head.link, placed.row())
    pen.insert(EVENTS, {**placed.row(), "chain": link})
    pen.write(Line(CHARGE, placed.what, placed.run_id, placed.seq, link))
    return Book((*book.events, placed), (*book.links, link))


def note_act(book: Book, people: Records | None, keys: Keys) -> int:
    """Note the last event of a book, and whom it charged, in the journal of acts."""
    row = json.dumps(book.events[-1].row(), sort_keys=True).encode()
    packed = b"" if people is None else _pack(people)
    mark: dict[str, str | int] = {"seq": book.head.seq, "link": book.head.link}
    return Acts(keys).note(CHARGE, len(row).to_bytes(4) + row + packed, mark)


def unpack_act(packed: bytes) -> tuple[Event, Records | None]:
    """Read what `note_act` wrote."""
    size = int.from_bytes(packed[:4])
    row, people = packed[4 : 4 + size], packed[4 + size :]
    return _read_event(json.loads(row)), _unpack(people) if people else None


def _check_heads(links: Sequence[str], heads: Sequence[SignedHead]) -> None:
    for head in heads:
        if head.seq >= len(links):
            refuse(f"entries {len(links)} to {head.seq} were signed and are gone")
        if links[head.seq] != head.link:
            refuse(f"entry {head.seq} differs from the one that was signed")
    if len(links) > 1 and not heads:
        refuse(f"{HEADS}.jsonl is missing from the home, so the last entry is unknown")


def _read_event(row: dict[str, str]) -> Event:
    composition: Composition = "adaptive" if row["composition"] == "adaptive" else "fixed"
    ceiling = Ceiling(**json.loads(row["ceiling"]), composition=composition)
    mechanisms = tuple(from_json(one) for one in json.loads(row["mechanisms"]))
    read = {"composition": composition, "ceiling": ceiling, "mechanisms": mechanisms}
    return Event(**{**row, **read})  # type: ignore[arg-type]  # written by `Event.row`


def _link(keys: Keys, before: str, row: dict[str, str | int]) -> str:
    names = [column.name for column in EVENTS.c if column.name != "chain"]
    message = json.dumps([before, *(row[name] for name in names)]).encode()
    return hmac.new(keys.derive("budget-chain"), message, hashlib.sha256).hexdigest()


def refuse(what: str) -> NoReturn:
    """Refuse to go on with a ledger that is not as it was written."""
    raise Refusal(
        "budget ledger",
        f"{what}; until it is restored from a backup it is unknown what people have spent, so "
        "no private model can be trained",
    )


def sort_people(people: Records) -> Records:
    """Give record numbers sorted, each once."""
    # Ten times as fast as numpy's own `unique` of a million (2.4).
    ordered = np.sort(people.astype(np.uint64, copy=False))
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    once: Records = ordered[first]
    return once


def _digest_set(keys: Keys, people: Records) -> str:
    """Give the keyed digest of sorted record numbers; 64 hex digits."""
    key = keys.derive("budget-people")
    return hmac.digest(key, people.astype("<u8").tobytes(), "sha256").hex()


def store_set(connection: sa.Connection, keys: Keys, people: Records, near: str | None) -> str:
    """Store sorted numbers, unless they are there; give their digest.

    `near` is the digest of a stored set that they may differ from but little.
    """
    digest = _digest_set(keys, people)
    known = sa.select(PEOPLE.c.digest).where(PEOPLE.c.digest == digest)
    if connection.execute(known).first():
        return digest
    base, content = "", people
    if near is not None:
        full = _base_of(connection, near)
        changed = np.setxor1d(people, _open(connection, keys, full, ""), assume_unique=True)
        if 2 * len(changed) < len(people):
            base, content = full, changed
    sealed = keys.seal(_pack(content), _label(digest, base))
    connection.execute(sa.insert(PEOPLE), {"digest": digest, "base": base, "sealed": sealed})
    return digest


def read_set(connection: sa.Connection, keys: Keys, digest: str) -> Records:
    """Give the sorted numbers of a stored set."""
    base = _base_of(connection, digest)
    if base == digest:
        return _open(connection, keys, digest, "")
    full = _open(connection, keys, base, "")
    return np.setxor1d(full, _open(connection, keys, digest, base), assume_unique=True)


def find_members(
    connection: sa.Connection, keys: Keys, people: Records, digests: Collection[str]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Tell for each set which of some people (sorted numbers) are in it.

    One full set is in memory at a time; sets that differ from it little cost little more.
    """
    bases = sorted((_base_of(connection, digest), digest) for digest in set(digests))
    for base, group in groupby(bases, key=lambda pair: pair[0]):
        of_base = _is_in(people, _open(connection, keys, base, ""))
        for _, digest in group:
            there = of_base
            if digest != base:
                changed = _open(connection, keys, digest, base)
                moved = np.searchsorted(people, changed[_is_in(changed, people)])
                there = of_base.copy()
                there[moved] ^= True
            yield digest, there


def check_sets(connection: sa.Connection, keys: Keys, digests: Collection[str]) -> None:
    """Open every set and compare it with its digest; Refusal for the first that differs."""
    for digest in sorted(set(digests)):
        if _digest_set(keys, read_set(connection, keys, digest)) != digest:
            refuse("a set of people is not the one that was charged")


def _base_of(connection: sa.Connection, digest: str) -> str:
    """Give the digest of the full set on which a set rests; itself where it is full."""
    query = sa.select(PEOPLE.c.base).where(PEOPLE.c.digest == digest)
    row = connection.execute(query).first()
    if row is None:
        refuse("the people of a charge are missing")
    return row.base or digest


def _open(connection: sa.Connection, keys: Keys, digest: str, base: str) -> Records:
    query = sa.select(PEOPLE.c.sealed).where(PEOPLE.c.digest == digest, PEOPLE.c.base == base)
    sealed = connection.scalar(query)
    if sealed is None:
        refuse("the people of a charge are missing")
    return _unpack(keys.unseal(bytes(sealed), _label(digest, base)))


def _label(digest: str, base: str) -> str:
    return f"budget people:{digest}:{base}"


def _is_in(people: Records, others: Records) -> NDArray[np.bool_]:
    """Tell which numbers are among others; both sorted."""
    if not len(others):
        return np.zeros(len(people), np.bool_)
    place = np.searchsorted(others, people).clip(max=len(others) - 1)
    found: NDArray[np.bool_] = others[place] == people
    return found


def _pack(people: Records) -> bytes:
    """Write steps between sorted numbers, their high bytes first, since most of these are 0."""
    steps = np.diff(people, prepend=np.uint64(0)).astype(">u8")
    planes = steps.view(np.uint8).reshape(-1, 8).T
    packed = zlib.compress(planes.tobytes(), 1)
    return packed + bytes(-len(packed) % PAGE)


def _unpack(packed: bytes) -> Records:
    planes = np.frombuffer(zlib.decompressobj().decompress(packed), np.uint8).reshape(8, -1)
    steps = np.ascontiguousarray(planes.T).view(">u8").ravel()
    return np.cumsum(steps.astype(np.uint64), dtype=np.uint64)
