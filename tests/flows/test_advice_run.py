"""Runs of `tutela advise`: charged before a column is read; a patch is left, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.request import checked_advice
from deployments.run.screen import advice_lines
from expectations.errors import UsageError
from expectations.policy_file import read_policy
from ledgers.budget.ledger import BudgetLedger
from ledgers.home.home import Home
from tasks.account.advised import Advice, AtEpsilon, Dropped, LeftIn, Trial
from tasks.advice import weigh
from tasks.advice.advice import Advice as Found
from tasks.advice.advice import Loss
from tasks.advice.advice import Trial as Tried
from tests.conftest import Folder
from tests.runs import Place, Said, changed_policy, make_place

PRIVATE = (
    ("{model: logistic-regression}", "{model: private-logistic-regression}"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)


@dataclass(frozen=True)
class Advised:
    """A home in which advice was asked for once, and what the command said."""

    place: Place
    said: Said
    policy: Path

    @property
    def patch(self) -> Path:
        """Where the patch lies, if there is one."""
        return self.place.home.reports / f"{self.place.last.record.run_id}.patch"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train private models at one ε only; the curve is made of many of them."""
    monkeypatch.setattr(weigh, "EPSILONS", (1.0,))
    monkeypatch.setattr(weigh, "DRAWS", 1)


def advise(home: Home, policy: Path, *words: str) -> Advised:
    """Ask for advice on a policy in a home."""
    place = Place(home)
    return Advised(place, place.tell("advise", str(policy), *words), policy)


def states(place: Place) -> list[str]:
    """Give what became of each charge of the home's budget."""
    return [charge.state for charge in BudgetLedger(place.ledger.engine, place.keys).history()]


def check_that_only_advice_is_left(advised: Advised) -> None:
    """No model, no table, nothing waiting; the page and the summary name no outlet."""
    place = advised.place
    assert (place.handed_over, place.waiting) == ((set(), set()), [])
    run = place.last
    assert run.decision["verdict"] == "passed"
    told = place.tell("report", run.record.run_id, "--json")
    assert json.loads(told.out)["outlets"] == []
    assert json.loads(told.out)["advice"]["trials"]
    assert (place.home.reports / f"{run.record.run_id}.html").is_file()


@pytest.mark.usefixtures("quick")
def test_advice_on_a_private_model_is_charged_before_a_column_is_read(
    home: Home, folder: Folder
) -> None:
    """It is drawn from a twin, whose ε is on the ledger beside trainings, for choices to follow."""
    advised = advise(home, folder.write(*PRIVATE), "--epsilon", "2")
    assert advised.said.status == 0, advised.said.err
    (charge,) = BudgetLedger(advised.place.ledger.engine, advised.place.keys).history()
    assert (charge.state, charge.composition) == ("committed", "adaptive")
    told = advised.place.last.named("advice")["columns"]
    assert isinstance(told, dict)
    assert told["epsilon"] == 2
    assert {trial["column"] for trial in told["trials"]} == {"age", "sex"}
    page = advised.place.home.reports / f"{advised.place.last.record.run_id}.html"
    assert "What the model could do without" in page.read_text(encoding="utf-8")
    steps = [entry.step for entry in advised.place.last.entries]
    assert steps.index("filter_consent") < steps.index("reserve_advice") < steps.index("collect")
    assert not {"train", "attack", "generalize", "make_ready"} & set(steps)
    assert "ε = 2" in advised.said.out
    check_that_only_advice_is_left(advised)


@pytest.mark.usefixtures("quick")
def test_advice_on_another_model_costs_nothing_and_says_that_it_is_not_private(
    home: Home, folder: Folder
) -> None:
    """It is tried on the training people; what could go stands in a patch that applies."""
    advised = advise(home, folder.write())
    assert advised.said.status == 0, advised.said.err
    assert states(advised.place) == []
    assert "not private" in " ".join(advised.said.out.split())
    check_that_only_advice_is_left(advised)
    body = advised.place.last.named("advice")["columns"]
    assert isinstance(body, dict)
    assert body["epsilon"] is None
    assert advised.patch.is_file() == bool(body["patch"])
    if advised.patch.is_file():
        assert advised.patch.read_text("utf-8") == body["patch"]
        assert str(advised.patch) in advised.said.out


@pytest.mark.usefixtures("quick")
def test_what_could_go_is_written_as_a_patch(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the report, of the policy's own file, with the rights of the user alone."""
    trial = Tried("sex", "drop", Loss(0.0, 0.0, 0.001))
    found = Found(0.8, (trial,), (), ("sex",), ())
    monkeypatch.setattr(weigh, "advise", lambda *_: found)
    advised = advise(home, folder.write())
    text = advised.patch.read_text("utf-8")
    assert "-    use: [feature, release, audit]" in text
    assert "+    use: [release, audit]" in text
    assert advised.patch.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("quick")
def test_advice_that_the_lifetime_does_not_hold_is_refused_before_a_column_is_read(
    home: Home, folder: Folder
) -> None:
    """Of 10, 6 were spent; 9 more do not fit, and nobody is charged for them."""
    policy = folder.write(*PRIVATE)
    assert advise(home, policy, "--epsilon", "6").said.status == 0
    second = advise(home, policy, "--epsilon", "9.5")
    assert second.said.status == 1
    assert "privacy budget" in second.said.err
    assert second.place.last.decision["check"] == "privacy budget"
    assert "collect" not in {entry.step for entry in second.place.last.entries}
    assert states(second.place) == ["committed"]
    assert not second.patch.exists()


def test_advice_that_is_refused_by_what_its_people_are_stays_charged(
    home: Home, folder: Folder
) -> None:
    """Too few people of a class are refused, which already tells something of them."""
    for person in folder.people:
        person["sugar"] = "5.0"
    value_rule = '  - {rule: share-between, column: sick, value: "yes", low: 0.1, high: 0.9}'
    policy = folder.write(*PRIVATE, (f"expectations:\n{value_rule}\n", ""))
    advised = advise(home, policy, "--epsilon", "2")
    assert advised.said.status == 1, advised.said.err
    assert "too few training people of one class" in " ".join(advised.said.out.split())
    assert states(advised.place) == ["committed"]


@pytest.mark.parametrize("epsilon", [None, 0.0, -1.0, 10.1, float("nan"), float("inf")])
def test_what_advice_on_a_private_model_may_cost_must_be_said(
    folder: Folder, epsilon: float | None
) -> None:
    """Above nothing, and not beyond the lifetime."""
    with pytest.raises(UsageError, match="--epsilon: give the ε that the advice may cost"):
        checked_advice(str(folder.write(*PRIVATE)), None, epsilon)


def test_an_epsilon_for_a_model_that_is_not_private_is_refused(folder: Folder) -> None:
    """Whoever gives one believes in a protection that is not there."""
    with pytest.raises(UsageError, match="trains no private model"):
        checked_advice(str(folder.write()), None, 1.0)
    assert checked_advice(str(folder.write()), None, None).policy.name == "small"


def test_a_policy_without_a_model_has_nothing_to_be_advised_on(tmp_path: Path) -> None:
    """The command ends as wrongly used, and nothing is on record."""
    tables = [name for name in ("registry", "notes") if read_policy(name).policy.training is None]
    assert tables
    place = make_place(tmp_path / "home")
    said = place.tell("advise", str(changed_policy(tmp_path, of=tables[0])))
    assert said.status == 2
    assert "trains no model: there is nothing to advise on" in said.err
    assert place.runs == []


def advice(epsilon: float | None, patch: str = "", left_in: tuple[str, ...] = ()) -> Advice:
    """Give advice as it is published."""
    trials = (
        Trial("physical_activity_in_leisure", "drop", -0.0012, -0.0103, 0.0079, "cannot tell"),
        Trial("physical_activity_in_leisure", "coarsen", 0.012, 0.006, 0.018, "needed"),
        Trial("sex", "drop", 0.0, -0.001, 0.001, "not needed"),
    )
    curve = (AtEpsilon(1.0, 0.79, 0.78, 0.8),)
    left = tuple(LeftIn(name, "a rule reads it") for name in left_in)
    return Advice(epsilon, 0.806, trials, (Dropped(1, "sex", 0.8),), curve, patch, left)


@pytest.mark.parametrize("epsilon", [None, 0.25])
@pytest.mark.parametrize("patch", ["", "--- a/x\n+++ b/x\n"])
def test_the_screen_is_no_wider_than_eighty_columns(epsilon: float | None, patch: str) -> None:
    """All lines but the patch's path, which may be copied whole; what holds is said."""
    left_in = ("waist", "alcohol_per_week", "hours_of_sleep", "blood_pressure", "pulse")
    path = Path("/home/reports/run.patch")
    lines = list(advice_lines(advice(epsilon, patch, left_in), path))
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert ("which cost each of them ε = 0.25" in said) == (epsilon is not None)
    assert ("not private" in said) == (epsilon is None)
    assert (str(path) in said) == bool(patch)
    assert ("nothing could be left out" in said) == (not patch)
    assert "AUC 0.806 with all 2 features" in said
    assert "−.001 (−.010 to +.008)" in said
    assert "+.012 (+.006 to +.018) needed" in said
    assert "+.000 (−.001 to +.001) free" in said
    assert all(name in said for name in left_in)
