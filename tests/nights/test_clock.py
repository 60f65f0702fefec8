"""A clock that is set a day back, or forth: nothing that was decided or said comes undone by it.

The processes are real, and see another time by libfaketime, which has to be installed
(`apt install faketime`); without it these tests fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from ledgers.budget.ledger import BudgetLedger
from ledgers.home.home import Home
from tests.conftest import Folder
from tests.flows.test_budget_flow import PRIVATE
from tests.nights.test_kills import CHILD, assert_all_charged
from tests.runs import Place

pytestmark = pytest.mark.nightly

ROOT: Final = Path(__file__).parents[2]
BACK, FORTH = "-1d", "+1d"
EVENTS: Final = "stated: {notice: study, indication: explicit}"
FRESH: Final = (EVENTS, f"{EVENTS}\n      not_older_than: 25 hours")
STALE: Final = timedelta(hours=40).total_seconds()
"""The age of a delivery that looks fresh to a clock that was set back."""
COMMAND: Final = "from deployments.cli import main; main()"


def shift(by: str) -> Mapping[str, str]:
    """Give the variables by which a process sees another time."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is missing: apt install faketime"
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@dataclass(frozen=True)
class Clocked:
    """A home and a policy, run by processes whose clocks may be wrong."""

    place: Place
    policy: Path

    def run(self, by: str = "") -> str | None:
        """Run the policy under a clock, and give the verdict of the newest run."""
        self.call(CHILD, str(self.policy), by=by)
        return self.place.runs[-1].verdict

    def tell(self, *words: str, by: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command under a clock."""
        return self.call(COMMAND, *words, by=by)

    def call(self, *words: str, by: str) -> subprocess.CompletedProcess[str]:
        """Run Python under a clock."""
        return subprocess.run(
            [sys.executable, "-c", *words], capture_output=True, text=True, cwd=ROOT, check=False,
            env=os.environ | (shift(by) if by else {}),
        )  # fmt: skip

    def permitted(self) -> int:
        """Give how many people the newest run might read."""
        return self.place.last.exact("people.permitted")


@pytest.fixture
def clocked(home: Home, folder: Folder) -> Clocked:
    """A private model, and consent that has to be delivered each day."""
    os.environ["PYTHONPATH"] = str(ROOT)
    return Clocked(Place(home), folder.write(*PRIVATE, FRESH))


def test_a_clock_that_is_set_back_undoes_nothing(clocked: Clocked) -> None:
    """Neither a withdrawal, nor a stale feed's refusal, nor a charge; the order of runs stays."""
    place = clocked.place
    assert clocked.run() == "passed"
    before, people = place.runs[-1], clocked.permitted()
    assert clocked.tell("consent", "withdraw", "p05", "--policy", str(clocked.policy)).stdout
    assert clocked.run(BACK) == "passed"
    after = place.runs[-1]
    assert clocked.permitted() == people - 1
    assert after.started_at >= before.started_at
    assert after.run_id[:15] >= before.run_id[:15]
    charges = BudgetLedger(place.ledger.engine, place.keys).history()
    assert [charge.state for charge in charges] == ["committed"] * 2
    assert_all_charged(place, clocked.policy)
    ats = [entry.at for run in place.runs for entry in place.ledger.entries(run.run_id)]
    assert ats == sorted(ats)
    doctor = clocked.tell("doctor", by=BACK)
    assert (doctor.returncode, "behind the newest record" in doctor.stdout) == (2, True)
    feed = clocked.policy.parent / "consent.csv"
    os.utime(feed, (time.time() - STALE,) * 2)
    assert clocked.run(BACK) == "refused"
    assert place.last.decision["check"] == "fresh consent"


def test_a_clock_that_was_ahead_shortens_no_days_once_it_is_right(clocked: Clocked) -> None:
    """Runs are counted from the newest record, and removal waits as long as the policy says."""
    place = clocked.place
    assert clocked.run("+20h") == "passed"
    ahead = place.runs[-1]
    os.utime(clocked.policy.parent / "consent.csv")
    assert clocked.run() == "passed"
    assert place.runs[-1].started_at >= ahead.started_at
    maintained = clocked.tell("maintain", by="+30d")
    assert maintained.returncode == 0, maintained.stderr
    assert len(list(place.home.releases.glob("*/partner"))) == 2
    assert clocked.tell("maintain", by="+31d").returncode == 0
    assert not list(place.home.releases.glob("*/partner"))
