"""Two runs that race for the last of somebody's budget: one gets it. One that dies keeps it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from expectations.errors import UsageError
from expectations.privacy_loss import compose
from ledgers.budget.ledger import BudgetLedger, Ceiling
from ledgers.home.home import Home
from tests.ledgers.budget.budget_charges import (
    DELTA,
    FIXED,
    ONE,
    charge,
    open_ledger,
    records,
    start_script,
)

ROUNDS = 20
"""As many as show two that both get it in 999 of 1,000, if it happens in three rounds of ten."""
RACE = """
from expectations.errors import Refusal
from ledgers.budget.ledger import Ceiling
name, rounds = sys.argv[2], int(sys.argv[3])
ledger.plan(records(0), ONE, FIXED)
for n in range(rounds):
    print("ready", flush=True)
    sys.stdin.readline()
    # Both want person n, for whom there is room once; the others differ.
    mine = charge(f"{name}-{n}", [n, 1000 + n if name == "a" else 2000 + n])
    try:
        ledger.reserve(mine, Ceiling(1.2, DELTA, "fixed"))
        print("got it", flush=True)
    except Refusal:
        print("refused", flush=True)
"""
KILLED = """
ledger.reserve(charge("killed", [1]), FIXED)
os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_BEFORE_SIGNING = """
from ledgers.signed_heads import Heads
signs = Heads.sign
Heads.sign = lambda self, head: (
    os.kill(os.getpid(), signal.SIGKILL) if head.seq else signs(self, head)
)
ledger.reserve(charge("killed", [1]), FIXED)
"""


@pytest.fixture
def ledger(home: Home) -> Iterator[BudgetLedger]:
    """The budget ledger of a home in which nothing was run."""
    opened = open_ledger(home.root)
    yield opened
    opened.engine.dispose()


def test_of_two_runs_that_race_for_the_last_of_it_one_gets_it(ledger: BudgetLedger) -> None:
    """Twenty times, by processes that begin each round together."""
    racers = [start_script(ledger, RACE, name, str(ROUNDS)) for name in "ab"]
    outcomes = []
    for _ in range(ROUNDS):
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        outcomes.append([racer.stdout.readline().strip() for racer in racers if racer.stdout])
    for racer in racers:
        racer.communicate()
    assert [racer.returncode for racer in racers] == [0, 0]
    assert [sorted(outcome) for outcome in outcomes] == [["got it", "refused"]] * ROUNDS
    assert len(ledger.history()) == ROUNDS
    assert ledger.verify().seq == ROUNDS
    everybody = records(*range(ROUNDS))
    assert ledger.remaining(everybody, FIXED).before == compose(ONE, DELTA)


@pytest.mark.parametrize("script", [KILLED, KILLED_BEFORE_SIGNING], ids=["after", "unsigned"])
def test_a_run_that_is_killed_after_it_reserved_stays_charged(
    ledger: BudgetLedger, script: str
) -> None:
    """Also before its entry was signed; the next one's head covers it."""
    with start_script(ledger, script) as process:
        assert process.wait() == -signal.SIGKILL
    assert ledger.state("killed") == "reserved"
    assert ledger.remaining(records(1), FIXED).before == compose(ONE, DELTA)
    with pytest.raises(UsageError, match="was charged before"):
        ledger.reserve(charge("killed", [1]), FIXED)
    assert ledger.reserve(charge("next", [1]), FIXED).after == compose(ONE * 2, DELTA)
    assert ledger.verify().seq == 2


def test_a_run_that_is_killed_while_it_reserves_leaves_nothing_or_a_charge(
    ledger: BudgetLedger,
) -> None:
    """Killed before the commit of the database, it charged nobody, and nothing is broken."""
    script = (
        "import ledgers.budget.ledger as module\n"
        "module.append_event = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ledger.reserve(charge('killed', [1]), FIXED)"
    )
    with start_script(ledger, script) as process:
        assert process.wait() == -signal.SIGKILL
    assert ledger.state("killed") is None
    assert ledger.reserve(charge("killed", [1]), Ceiling(1.2, DELTA, "fixed")).before == 0
    assert ledger.verify().seq == 1
