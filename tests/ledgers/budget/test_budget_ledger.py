"""What people spent of their privacy: never forgotten, never renewed, and never quietly edited."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Refusal, ServiceError, UsageError
from expectations.privacy_loss import (
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    RenyiFilter,
    SampledGaussian,
    compose,
)
from ledgers.budget.accounts import History, find_histories, find_worst
from ledgers.budget.ledger import BudgetLedger, Ceiling
from ledgers.budget.tables import read_set, store_set
from ledgers.home.database import overwrite_deleted, transaction
from ledgers.home.home import Home
from tests.ledgers.budget.budget_charges import (
    ADAPTIVE,
    DELTA,
    FIXED,
    ONE,
    charge,
    edit,
    open_ledger,
    records,
)

HEADS, JOURNAL_HEADS = "budget-heads.jsonl", "evidence-heads.jsonl"


@pytest.fixture
def ledger(home: Home) -> Iterator[BudgetLedger]:
    """The budget ledger of a home in which nothing was run."""
    opened = open_ledger(home.root)
    yield opened
    opened.engine.dispose()


def test_a_charge_is_composed_with_all_that_went_before(ledger: BudgetLedger) -> None:
    """Not added: four runs of ε = 1 cost 2.2 and not 4."""
    balances = [ledger.reserve(charge(f"r{n}", range(5)), FIXED) for n in range(4)]
    assert balances[0].before == 0
    assert math.isclose(balances[0].after, 1, rel_tol=1e-4)
    assert [b.after for b in balances] == [compose(ONE * n, DELTA) for n in range(1, 5)]
    assert [b.before for b in balances[1:]] == [b.after for b in balances[:-1]]
    assert 2 < balances[-1].after < 2.5


def test_loss_is_the_persons_over_all_policies(ledger: BudgetLedger) -> None:
    """Another policy's run counts, of whom it used; the worst of those asked for decides."""
    ledger.reserve(charge("r1", [1, 2]), FIXED)
    ledger.reserve(charge("r2", [2, 3], policy="other"), FIXED)
    for people, runs in (([1], 1), ([2], 2), ([3], 1), ([4], 0), ([1, 4], 1), ([4, 2, 3], 2)):
        assert ledger.remaining(records(*people), FIXED).before == compose(ONE * runs, DELTA)


def test_charges_of_all_names_of_a_person_add_up(ledger: BudgetLedger) -> None:
    """In one run under two names, and in runs under either; nobody else's change."""
    ledger.reserve(charge("r1", [1, 2, 4]), FIXED)
    ledger.reserve(charge("r2", [3]), FIXED)
    pairs = ((1, 2), (1, 3), (9, 4))
    same = replace(ledger, same=np.array([[*records(a), *records(b)] for a, b in pairs]))
    for people, runs in (([1], 3), ([4], 1), ([9], 1), ([5, 9], 1), ([5], 0), ([1, 4], 3)):
        assert same.remaining(records(*people), FIXED).before == compose(ONE * runs, DELTA)


def test_a_run_that_would_exceed_somebodys_ceiling_is_refused(ledger: BudgetLedger) -> None:
    """The message says how far they are, what was asked, and what to do; nothing is charged."""
    ceiling = Ceiling(2, DELTA, "fixed")
    for run in ("r1", "r2", "r3"):
        ledger.reserve(charge(run, [1, 2, 3]), ceiling)
    assert ledger.plan(records(3, 4), ONE, ceiling) == 0
    assert ledger.plan(records(4, 5), ONE, ceiling) == 3
    with pytest.raises(Refusal, match="privacy budget") as told:
        ledger.reserve(charge("r4", [3, 4]), ceiling)
    spent, asked = (f"{compose(ONE * n, DELTA):.3f}" for n in (3, 4))
    for part in (
        spent,
        asked,
        "at most 2 allowed",
        "does not help",
        "raise budget.lifetime_epsilon",
    ):
        assert part in str(told.value)
    assert told.value.exit_status == 1
    assert [one.run_id for one in ledger.history()] == ["r1", "r2", "r3"]
    assert ledger.reserve(charge("r5", [4, 5]), ceiling).runs_left == 2


def test_a_ceiling_is_met_exactly(ledger: BudgetLedger) -> None:
    """What is as large as the ceiling fits, and nothing after it does."""
    exact = Ceiling(compose(ONE * 2, DELTA), DELTA, "fixed")
    assert ledger.plan(records(1), ONE, exact) == 2
    assert ledger.reserve(charge("r1", [1]), exact).runs_left == 1
    assert ledger.reserve(charge("r2", [1]), exact).runs_left == 0
    with pytest.raises(Refusal):
        ledger.reserve(charge("r3", [1], (Laplace(1e-3),)), exact)


def test_how_many_runs_are_left_is_what_then_passes(ledger: BudgetLedger) -> None:
    """Asked before and after each, and of who has spent more by another policy."""
    ceiling = Ceiling(2.5, DELTA, "fixed")
    ledger.reserve(charge("r0", [1], (Laplace(0.5), Gaussian(9.0, 2)), "other"), ceiling)
    planned = ledger.plan(records(1, 2), ONE, ceiling)
    assert planned == ledger.remaining(records(1, 2), ceiling, ONE).runs_left
    left = [ledger.reserve(charge(f"s{n}", [1, 2]), ceiling).runs_left for n in range(planned)]
    assert left == list(range(planned))[::-1]
    assert planned > 1
    assert ledger.plan(records(1, 2), ONE, ceiling) == 0


def test_adaptive_choices_are_held_by_the_filter(ledger: BudgetLedger) -> None:
    """The run's own or any earlier one's; fewer of them pass."""
    held = RenyiFilter(8, DELTA)
    assert ledger.reserve(charge("r1", [1]), FIXED).after == compose(ONE, DELTA)
    assert ledger.remaining(records(1), ADAPTIVE).before == held.spent(ONE)
    assert ledger.plan(records(1), ONE, ADAPTIVE) < ledger.plan(records(1), ONE, FIXED)
    ledger.reserve(charge("r2", [2], composition="adaptive"), ADAPTIVE)
    assert ledger.reserve(charge("r3", [2]), FIXED).after == held.spent(ONE * 2)
    assert ledger.remaining(records(1), FIXED).before == compose(ONE, DELTA)


def test_only_the_ceiling_is_guaranteed_of_who_was_used_adaptively(ledger: BudgetLedger) -> None:
    """It is said of the balance, and where a run is refused; of others not."""
    low = Ceiling(3.2, DELTA, "fixed")
    assert not ledger.reserve(charge("r1", [1, 2]), low).filtered
    assert ledger.reserve(
        charge("r2", [2], (Gaussian(40.0),), composition="adaptive"), low
    ).filtered
    assert ledger.remaining(records(1, 2), low).filtered
    assert not ledger.remaining(records(1), low).filtered
    with pytest.raises(Refusal, match=r"at most 3\.2 allowed\), counted by the filter"):
        ledger.reserve(charge("r3", [2], ONE * 9), low)
    with pytest.raises(
        Refusal, match=r"it is 1\.000 before this run, over all private models and advice"
    ):
        ledger.reserve(charge("r4", [1], ONE * 9), low)


def test_an_aborted_charge_is_given_back_and_a_committed_one_is_not(ledger: BudgetLedger) -> None:
    """One that is neither stays: what was released is not known."""
    for run in ("a", "b", "c"):
        ledger.reserve(charge(run, [1]), FIXED)
    ledger.abort("a")
    ledger.commit("b")
    assert ledger.remaining(records(1), FIXED).before == compose(ONE * 2, DELTA)
    assert [one.state for one in ledger.history()] == ["aborted", "committed", "reserved"]
    assert [ledger.state(run) for run in "abcd"] == ["aborted", "committed", "reserved", None]
    for settle, run in (
        (ledger.abort, "a"), (ledger.abort, "b"), (ledger.abort, "d"),
        (ledger.commit, "a"), (ledger.commit, "b"), (ledger.commit, "d"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"the charge of run {run} cannot be"):
            settle(run)


@pytest.mark.parametrize("settled", ["reserved", "committed", "aborted"])
def test_a_run_is_charged_once(ledger: BudgetLedger, settled: str) -> None:
    """Whatever became of it, so that no charge is taken for another's."""
    ledger.reserve(charge("r1", [1]), FIXED)
    if settled != "reserved":
        (ledger.commit if settled == "committed" else ledger.abort)("r1")
    with pytest.raises(UsageError, match="was charged before"):
        ledger.reserve(charge("r1", [2]), FIXED)


def test_nothing_and_nobody_cannot_be_charged(ledger: BudgetLedger) -> None:
    """It would look like a run that was paid for."""
    for people, mechanisms in (([], ONE), ([1], ())):
        with pytest.raises(UsageError, match="needs somebody"):
            ledger.reserve(charge("r1", people, mechanisms), FIXED)


def test_history_tells_charges_of_a_policy_in_order(ledger: BudgetLedger) -> None:
    """With all that was charged, as it was."""
    drawn = (Gaussian(4.0, 2), SampledGaussian(6.0, 0.1, 3), Laplace(0.1), Bounded(0.1, 1e-9))
    ledger.reserve(charge("r1", [1], drawn), FIXED)
    ledger.reserve(charge("r2", [1], policy="other", composition="adaptive"), ADAPTIVE)
    (one,) = ledger.history("small")
    assert (one.run_id, one.mechanisms, one.ceiling, one.composition) == (
        "r1", drawn, FIXED, "fixed",
    )  # fmt: skip
    assert [other.ceiling for other in ledger.history()] == [FIXED, ADAPTIVE]
    assert ledger.history("none") == []


def test_the_people_of_a_policy_are_those_of_its_standing_charges(ledger: BudgetLedger) -> None:
    """All of them together, for planning without reading anybody."""
    ledger.reserve(charge("r1", [1, 2]), FIXED)
    ledger.reserve(charge("r2", [2, 3]), FIXED)
    ledger.reserve(charge("r3", [4]), FIXED)
    ledger.reserve(charge("r4", [5], policy="other"), FIXED)
    ledger.abort("r3")
    assert ledger.people("small").tolist() == np.sort(records(1, 2, 3)).tolist()
    assert ledger.people("none").tolist() == []


@given(
    st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=1, max_size=6),
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
def test_histories_are_those_of_the_people(groups: list[set[int]], kinds: list[int]) -> None:
    """Each person's multiset of mechanisms, counted by hand; the worst are part of no other."""
    drawn: list[Mechanism] = [Gaussian(3.0, 2), Laplace(0.1), Bounded(0.1)]
    charges = [(drawn[kind], group) for kind, group in zip(kinds, groups, strict=False)]
    expected = {
        History.of(one for one, group in charges if person in group) for person in range(31)
    }
    shared = ((History.of([one]), np.isin(np.arange(31), list(group))) for one, group in charges)
    found = find_histories(31, shared)
    assert set(found) == expected
    assert len(found) == len(expected)
    counters = [Counter(dict(one.times)) for one in found]
    worst = {one for one in found if not any(Counter(dict(one.times)) < c for c in counters)}
    assert set(find_worst(found)) == worst


@given(st.sets(st.integers(0, 2**64 - 1), min_size=1), st.sets(st.integers(0, 2**64 - 1)))
def test_sets_of_people_come_back(template_home: Path, one: set[int], other: set[int]) -> None:
    """The first in full, the second as a difference or in full, whichever is shorter."""
    ledger = open_ledger(template_home)
    first, second = (np.array(sorted(s), np.uint64) for s in (one, one ^ other or one))
    with transaction(ledger.engine) as connection:
        near = None
        for people in (first, second, first):
            near = store_set(connection, ledger.keys, people, near)
            assert read_set(connection, ledger.keys, near).tolist() == people.tolist()
        connection.rollback()
    ledger.engine.dispose()


def sizes(ledger: BudgetLedger) -> list[int]:
    """Give the lengths of the sealed sets."""
    with transaction(ledger.engine) as connection:
        query = "SELECT length(sealed) FROM budget_people"
        return [row[0] for row in connection.exec_driver_sql(query)]


def test_a_set_is_stored_once_and_what_differs_little_as_its_difference(
    ledger: BudgetLedger,
) -> None:
    """Sealed, in whole pages, so that its length tells no exact count of people."""
    people = range(5000)
    ledger.reserve(charge("r1", people), FIXED)
    ledger.reserve(charge("r2", reversed(people)), FIXED)
    assert len(sizes(ledger)) == 1
    ledger.reserve(charge("r3", range(3, 5000)), FIXED)
    ledger.reserve(charge("r4", range(5040)), FIXED)
    large, *small = sizes(ledger)
    assert large > 25_000
    assert small == [4096 + 28, 4096 + 28]
    for person, runs in ((0, 3), (3, 4), (4999, 4), (5039, 1), (6000, 0)):
        assert ledger.remaining(records(person), FIXED).before == compose(ONE * runs, DELTA)
    ledger.verify()


def test_nobodys_record_number_lies_in_clear(ledger: BudgetLedger) -> None:
    """Nor its neighbour's distance: the set is sealed."""
    ledger.reserve(charge("r1", [1]), FIXED)
    stored = b"".join(path.read_bytes() for path in ledger.keys.home.root.glob("ledger.sqlite*"))
    for order in ("<u8", ">u8"):
        assert records(1).astype(order).tobytes() not in stored


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budget_events SET what = 'aborted'",
        "DELETE FROM budget_events",
        "INSERT OR REPLACE INTO budget_events SELECT * FROM budget_events",
        "UPDATE budget_people SET sealed = x''",
        "DELETE FROM budget_people",
        "INSERT OR REPLACE INTO budget_people SELECT * FROM budget_people",
    ],
)
def test_the_database_itself_refuses_to_change_the_ledger(
    ledger: BudgetLedger, statement: str
) -> None:
    """Whoever comes with another program meets the triggers."""
    ledger.reserve(charge("r1", [1]), FIXED)
    refused = pytest.raises(sa.exc.DBAPIError, match="append-only")
    with refused, ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert ledger.verify().seq == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budget_events SET mechanisms = '[]' WHERE seq = 1",
        "UPDATE budget_events SET what = 'aborted' WHERE seq = 3",
        "UPDATE budget_events SET people = (SELECT people FROM budget_events WHERE seq = 3)",
        "DELETE FROM budget_events WHERE seq = 1",
        "DELETE FROM budget_events WHERE seq = 4",
        "DELETE FROM budget_events WHERE seq > 1",
        "DELETE FROM budget_events",
        (
            "INSERT INTO budget_events SELECT 5, at, 'aborted', run_id, policy, purpose, "
            "composition, mechanisms, ceiling, people, chain FROM budget_events WHERE seq = 3"
        ),
    ],
)
def test_an_edit_past_the_triggers_shows(ledger: BudgetLedger, statement: str) -> None:
    """To whoever verifies, and to the next run, which is not let pass."""
    ledger.reserve(charge("r1", [1]), FIXED)
    ledger.commit("r1")
    ledger.reserve(charge("r2", [1, 2]), FIXED)
    ledger.reserve(charge("r3", [1, 2, 3]), FIXED)
    assert ledger.verify().seq == 4
    edit(ledger, statement)
    for act in (
        ledger.verify, ledger.history, lambda: ledger.reserve(charge("r4", [7]), FIXED),
    ):  # fmt: skip
        with pytest.raises(Refusal, match="budget ledger"):
            act()


def test_people_that_were_exchanged_show(ledger: BudgetLedger) -> None:
    """A set that lies under another's digest does not open, one that is gone is missed."""
    ledger.reserve(charge("r1", [1]), FIXED)
    ledger.reserve(charge("r2", [2, 3, 4]), FIXED)
    edit(
        ledger,
        "UPDATE budget_people SET sealed = (SELECT p.sealed FROM budget_people p JOIN "
        "budget_events e ON e.people = p.digest WHERE e.run_id = 'r1')",
    )
    with pytest.raises(ServiceError, match="does not open"):
        ledger.verify()
    edit(ledger, "DELETE FROM budget_people")
    with pytest.raises(Refusal, match="people of a charge are missing"):
        ledger.remaining(records(9), FIXED)


def test_a_ledger_without_its_signed_heads_is_not_trusted(ledger: BudgetLedger) -> None:
    """Nobody can say then whether its end is the end."""
    ledger.reserve(charge("r1", [1]), FIXED)
    (ledger.keys.home.root / HEADS).unlink()
    with pytest.raises(Refusal, match="is missing from the home"):
        ledger.remaining(records(1), FIXED)


def test_a_forged_head_is_refused(ledger: BudgetLedger) -> None:
    """One that names an earlier end was not signed so."""
    ledger.reserve(charge("r1", [1]), FIXED)
    ledger.reserve(charge("r2", [1]), FIXED)
    path = ledger.keys.home.root / HEADS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:-1], lines[-1].replace('"seq": 2', '"seq": 1')]))
    with pytest.raises(Refusal, match=r"budget ledger: .* was not signed by this home"):
        ledger.history()


def test_an_older_backup_of_the_database_shows(ledger: BudgetLedger, tmp_path: Path) -> None:
    """People would seem to have spent less than they did."""
    ledger.reserve(charge("r1", [1]), FIXED)
    overwrite_deleted(ledger.engine)  # so that the file holds all of it
    shutil.copy(ledger.keys.home.ledger, tmp_path / "backup")
    ledger.reserve(charge("r2", [1]), FIXED)
    ledger.engine.dispose()
    for path in ledger.keys.home.root.glob("ledger.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", ledger.keys.home.ledger)
    with pytest.raises(Refusal, match="entries 2 to 2 were signed and are gone"):
        ledger.verify()


def test_a_ledger_that_went_on_from_a_backup_shows(ledger: BudgetLedger, tmp_path: Path) -> None:
    """As long as the one that was signed, and a chain by itself, it holds another charge."""
    root = ledger.keys.home.root
    ledger.reserve(charge("r1", [1]), FIXED)
    overwrite_deleted(ledger.engine)  # so that the file holds all of it
    for name in (ledger.keys.home.ledger.name, HEADS, JOURNAL_HEADS):
        shutil.copy(root / name, tmp_path / name)
    ledger.reserve(charge("r2", [1]), FIXED)
    ledger.engine.dispose()
    signed = (root / HEADS).read_bytes()
    for path in root.glob("ledger.sqlite*"):
        path.unlink()
    for name in (ledger.keys.home.ledger.name, HEADS, JOURNAL_HEADS):
        shutil.copy(tmp_path / name, root / name)
    ledger.reserve(charge("r3", [2]), FIXED)
    (root / HEADS).write_bytes(signed)
    with pytest.raises(Refusal, match="entry 2 differs from the one that was signed"):
        ledger.remaining(records(1), FIXED)


def test_an_emptied_ledger_is_not_taken_for_a_new_one(ledger: BudgetLedger) -> None:
    """Though its signed heads went with it: the journal says that a run was charged."""
    ledger.reserve(charge("r1", [1]), FIXED)
    edit(ledger, "DELETE FROM budget_events", "DELETE FROM budget_people")
    (ledger.keys.home.root / HEADS).unlink()
    with pytest.raises(Refusal, match="run r1 names entry 1, which is gone"):
        ledger.reserve(charge("r2", [1]), FIXED)
