"""The budget ledger: what each person's privacy was charged for, by whichever policy, for ever.

Privacy loss never renews, so what counts is the lifetime ε of a person over all private models of
the home, and a policy sets its ceiling. A run reserves before a column is read, for exactly the
people it may read, and commits before it draws the first noise; it aborts if it ends before that.
What is reserved and never settled, because the process died, stays charged. A charge is the
mechanisms themselves, so that any number of them is composed and not added. Everybody's history
counts; the worst one decides.

Rows are appended, never changed: chained, their end signed, as in the consent ledger, and each is
named in the journal (`ledgers.journal`). Whatever reads them meets both first. What does not show:
newest entries cut off together with the lines of the journal, and of both files of heads, that name
them; a copy of the files elsewhere shows it. A person under two identifiers is two people here,
unless whoever asks says so (`BudgetLedger.same`), and what other homes spend is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import Mechanism
from ledgers.acts import Acts
from ledgers.budget.accounts import (
    Balance,
    History,
    count_runs,
    dearest,
    find_histories,
    find_worst,
    sum_charges,
)
from ledgers.budget.tables import (
    HEADS,
    Book,
    Ceiling,
    Composition,
    Ends,
    Event,
    Records,
    What,
    append_event,
    check_sets,
    find_members,
    lock,
    note_act,
    read_book,
    read_set,
    sort_people,
    store_set,
    unpack_act,
)
from ledgers.home.database import snapshot, stamp
from ledgers.home.keys import Keys
from ledgers.journal import Pen, recording
from ledgers.signed_heads import Head, Heads

NOBODY: Final = np.zeros((0, 2), np.uint64)
OVER: Final = "over all private models and advice of this home"
NO_RENEWAL: Final = "Waiting does not help: privacy loss never renews"
REMEDY: Final = (
    "promise a smaller ε, or raise budget.lifetime_epsilon, which the controller must decide and "
    "document; if what models showed led to that, no theorem covers the higher ceiling"
)

__all__ = ["Balance", "BudgetLedger", "Ceiling", "Charge", "Charged"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What a run is about to draw, and of whom: record keys, `at` in UTC and ISO 8601."""

    run_id: str
    policy: str
    purpose: str
    at: str
    mechanisms: tuple[Mechanism, ...]
    composition: Composition
    people: Records = field(repr=False)


@dataclass(frozen=True, slots=True)
class Charged:
    """A charge on record, and its state; `reserved` is also what a killed run leaves."""

    run_id: str
    policy: str
    purpose: str
    at: str
    mechanisms: tuple[Mechanism, ...]
    composition: Composition
    ceiling: Ceiling
    state: What


@dataclass(frozen=True, slots=True)
class BudgetLedger:
    """The budget ledger in an opened database, with its signed heads in the home.

    Each method that writes is one transaction under one lock. Each raises ServiceError if the
    database fails, and Refusal if the ledger is not as it was written.
    """

    engine: sa.Engine
    keys: Keys
    same: NDArray[np.uint64] = field(default_factory=NOBODY.copy, repr=False, compare=False)
    """Pairs of numbers of one person, by one of which they may be asked for: charges add up."""

    def reserve(self, charge: Charge, ceiling: Ceiling) -> Balance:
        """Charge everybody of `charge`, or nobody: Refusal if it would exceed somebody's ceiling.

        Raises UsageError for a run that was charged before, for nothing or for nobody.
        """
        people, run = sort_people(charge.people), _history(charge)
        if not (len(people) and run.times):
            raise UsageError("a charge needs somebody, and a mechanism that is drawn")
        with recording(self.engine, self.keys) as pen:
            connection, book = pen.connection, self._turn(pen)
            if book.charge(charge.run_id):
                raise UsageError(f"run {charge.run_id} was charged before: start a new run")
            worst = self._worst(connection, book, people)
            balance = _weigh(worst, run, ceiling)
            if balance.after > ceiling.epsilon:
                raise Refusal("privacy budget", say_exceeded(balance))
            near = next((e.people for e in book.events[::-1] if e.policy == charge.policy), None)
            digest = store_set(connection, self.keys, people, near)
            book = append_event(pen, book, _event(charge, ceiling, digest))
            act = note_act(book, people, self.keys)
        self._heads.sign(book.head)
        Acts(self.keys).confirm(act)
        after = [history.plus(run) for history in worst]
        return replace(balance, runs_left=count_runs(after, run, ceiling))

    def commit(self, run_id: str) -> None:
        """Note that a charged run begins to draw; UsageError unless its charge is just reserved.

        So one charge pays for one training.
        """
        self._settle(run_id, "committed")

    def abort(self, run_id: str) -> None:
        """Give a charge back; UsageError once the run was committed, since it may have released."""
        self._settle(run_id, "aborted")

    def state(self, run_id: str) -> What | None:
        """Tell what became of the charge of a run; None if it was never charged."""
        charge = self._read().charge(run_id)
        return charge[1] if charge else None

    def remaining(
        self,
        people: Records,
        ceiling: Ceiling,
        mechanisms: Iterable[Mechanism] = (),
        composition: Composition = "fixed",
    ) -> Balance:
        """Give the lifetime ε of the worst of some people, and after a run of `mechanisms`."""
        worst = self._read_worst(people)
        run = History.of(mechanisms, adaptive=composition == "adaptive")
        balance = _weigh(worst, run, ceiling)
        left = count_runs(worst, run, ceiling) if run.times else None
        return replace(balance, runs_left=left)

    def plan(self, people: Records, mechanisms: Iterable[Mechanism], ceiling: Ceiling) -> int:
        """Give how many runs of these mechanisms may follow for these people."""
        return count_runs(self._read_worst(people), History.of(mechanisms), ceiling)

    def people(self, policy: str) -> Records:
        """Give the sorted record keys of everybody whom a standing charge of a policy was for.

        Of who goes by another number now (`same`), that one is among them.
        """
        book, everybody = self._read(), np.zeros(0, np.uint64)
        with snapshot(self.engine) as connection:
            for digest in {e.people for e in book.standing() if e.policy == policy}:
                everybody = np.union1d(everybody, read_set(connection, self.keys, digest))
        return np.union1d(everybody, self.same[np.isin(self.same[:, 1], everybody), 0])

    def history(self, policy: str | None = None) -> list[Charged]:
        """Give the charges of a policy, or of all, oldest first, aborted ones among them."""
        book = self._read()
        last = {event.run_id: event.what for event in book.events}
        return [
            Charged(
                e.run_id, e.policy, e.purpose, e.at, e.mechanisms, e.composition, e.ceiling,
                last[e.run_id],
            )
            for e in book.events
            if e.what == "reserved" and policy in {None, e.policy}
        ]  # fmt: skip

    def head(self) -> Head:
        """Give the end of the chain, checked."""
        return self._read().head

    def verify(self) -> Head:
        """Check every link, set of people and signed head; Refusal names the first fault."""
        ends = Ends.read(self.engine, self.keys, whole=True)
        with snapshot(self.engine) as connection:
            book = read_book(connection, self.keys, ends)
            check_sets(connection, self.keys, {event.people for event in book.events})
        return book.head

    def _settle(self, run_id: str, what: What) -> None:
        with recording(self.engine, self.keys) as pen:
            book = self._turn(pen)
            charge = book.charge(run_id)
            if charge is None or charge[1] != "reserved":
                state = charge[1] if charge else "not charged"
                raise UsageError(
                    f"the charge of run {run_id} cannot be {what}: it is {state}; a run is charged "
                    "once, before its training, and trains once"
                )
            book = append_event(pen, book, replace(charge[0], what=what, at=stamp()))
            act = note_act(book, None, self.keys)
        self._heads.sign(book.head)
        Acts(self.keys).confirm(act)

    def replay(self, packed: bytes) -> bool:
        """Charge again what the journal of acts says; False where it stands already."""
        event, people = unpack_act(packed)
        with recording(self.engine, self.keys) as pen:
            book = self._turn(pen)
            if any((one.run_id, one.what) == (event.run_id, event.what) for one in book.events):
                return False
            if people is not None:
                store_set(pen.connection, self.keys, people, None)
            book = append_event(pen, book, event)
        self._heads.sign(book.head)
        return True

    @property
    def _heads(self) -> Heads:
        return Heads(self.engine, self.keys, HEADS)

    def _turn(self, pen: Pen) -> Book:
        """Wait for the ledger's lock and read it; sign the beginning of an empty one."""
        lock(pen.connection)
        ends = Ends.read(self.engine, self.keys)
        book = read_book(pen.connection, self.keys, ends)
        if not ends.own:
            self._heads.sign(book.head)
        return book

    def _read(self) -> Book:
        ends = Ends.read(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            return read_book(connection, self.keys, ends)

    def _read_worst(self, people: Records) -> list[History]:
        ends = Ends.read(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            book = read_book(connection, self.keys, ends)
            return self._worst(connection, book, sort_people(people))

    def _worst(self, connection: sa.Connection, book: Book, people: Records) -> list[History]:
        """Give the histories of sorted people among which the dearest one is; nobody has none."""
        if not len(people):
            return [History()]
        spent = sum_charges(
            (event.people, event.mechanisms, event.composition == "adaptive")
            for event in book.standing()
        )
        own = self.same[np.isin(self.same[:, 0], people)]
        everybody = sort_people(np.concatenate([people, own[:, 1]]))
        members = find_members(connection, self.keys, everybody, spent.keys())
        layers = [*_layer(people, own)]
        charges = (
            (spent[digest], there[np.searchsorted(everybody, numbers)] & known)
            for digest, there in members
            for numbers, known in layers
        )
        return find_worst(find_histories(len(people), charges))


def _layer(
    people: Records, same: NDArray[np.uint64]
) -> Iterator[tuple[Records, NDArray[np.bool_]]]:
    """Give people's own numbers, then one other number of each who has one more, until none has."""
    yield people, np.ones(len(people), np.bool_)
    while len(same):
        own, first = np.unique(same[:, 0], return_index=True)
        numbers, known = people.copy(), np.zeros(len(people), np.bool_)
        place = np.searchsorted(people, own)
        numbers[place], known[place] = same[first, 1], True
        yield numbers, known
        same = np.delete(same, first, axis=0)


def say_exceeded(balance: Balance) -> str:
    """Say why a run is refused, and what can be done."""
    ceiling, filtered = balance.ceiling, balance.filtered
    return (
        f"this run would bring the most-used person's lifetime ε to {balance.after:.3f} at "
        f"δ = {ceiling.delta:g} (at most {ceiling.epsilon:g} allowed)"
        f"{', counted by the filter' if filtered else ''}; it is {balance.before:.3f} before this "
        f"run, {OVER}. {NO_RENEWAL}, and nobody is left out silently: {REMEDY}"
    )


def _weigh(worst: Sequence[History], run: History, ceiling: Ceiling) -> Balance:
    after = [history.plus(run) for history in worst]
    filtered = any(history.is_filtered(ceiling) for history in after)
    return Balance(dearest(worst, ceiling), dearest(after, ceiling), ceiling, None, filtered)


def _history(charge: Charge) -> History:
    return History.of(charge.mechanisms, adaptive=charge.composition == "adaptive")


def _event(charge: Charge, ceiling: Ceiling, digest: str) -> Event:
    return Event(
        0, charge.at, "reserved", charge.run_id, charge.policy, charge.purpose,
        charge.composition, charge.mechanisms, replace(ceiling, composition=charge.composition),
        digest,
    )  # fmt: skip
