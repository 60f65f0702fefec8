"""A run's people are charged before a column is read, or it is refused and nobody is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from expectations.disclosure import Count, Disclosure
from expectations.errors import Refusal, UsageError
from expectations.policy.policy import Policy
from expectations.privacy_loss import Bounded, Gaussian, Mechanism, RenyiFilter, compose
from flows.opening import Request, open_run, request
from ledgers.budget.accounts import MOST_RUNS
from ledgers.budget.ledger import Balance, BudgetLedger, Ceiling
from ledgers.evidence import Entry
from ledgers.home.home import Home
from ledgers.vault.stages import DatasetRef, Permitted
from tasks.advice.weigh import reserve_advice, weigh_columns
from tasks.airlock.run import Desk, Run
from tasks.airlock.step import open_at
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.training import charge as room
from tasks.training.charge import (
    LargeDelta,
    bound_people,
    commit,
    give_back,
    judge_balance,
    open_budget,
    read_ceiling,
    reserve_budget,
)
from tasks.training.train import Rows
from tests.conftest import Folder, opened

PROMISE = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
PRIVATE = (
    ("training: {model: logistic-regression}", "training: {model: private-logistic-regression}"),
    ("    recipient: Clinic\n", f"    recipient: Clinic\n    {PROMISE}\n"),
)
BUDGET = "budget: {lifetime_epsilon: 10, delta: 1e-5}"
DRAWN = (Gaussian(3.7308757),)


def within(epsilon: float, delta: float = 1e-5) -> tuple[str, str]:
    """Change the policy's ceiling."""
    meant = f"lifetime_epsilon: {epsilon}, delta: {delta}, composition: fixed"
    return BUDGET, f"budget: {{{meant}}}"


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch, home: Home) -> list[tuple[Mechanism, ...]]:
    """What the policy's estimator says that it draws: ε = 1, or what a test puts first."""
    assert home.root.is_dir()
    said: list[tuple[Mechanism, ...]] = [DRAWN]

    def declare(policy: Policy) -> tuple[Mechanism, ...]:
        assert policy.private
        return said[0]

    monkeypatch.setattr("tasks.training.models.declare_loss", declare)
    return said


def permit() -> DatasetRef[Permitted]:
    """Carry a run to where its people are known."""
    return filter_consent(read_roster())


def reserve(run: Run) -> Desk:
    """Do what the step does, and give its desk."""
    desk, people = Desk(run, "reserve_budget"), open_at(run.vault, permit(), Permitted)
    assert reserve_budget.function(desk, people) is people  # type: ignore[attr-defined]
    return desk


def noted(run: Run, kind: str) -> dict[str, Entry]:
    """Give what a run noted of one kind, by name."""
    return {entry.name: entry for entry in run.ledger.entries(run.id) if entry.kind == kind}


def test_the_permitted_people_are_charged_and_nobody_else(folder: Folder) -> None:
    """Two people did not consent; who did is charged for what the estimator declares."""
    with opened(folder.write(*PRIVATE, within(10))) as run:
        reserve(run)
        people = open_at(run.vault, permit(), Permitted).table([RECORD])
        ledger: BudgetLedger = open_budget(run)
        (one,) = ledger.history()
        assert (one.run_id, one.policy, one.purpose) == (run.id, "small", run.policy.purpose)
        assert (one.mechanisms, one.state) == (DRAWN, "reserved")
        expected = np.sort(people.column(RECORD).to_numpy())
        assert ledger.people("small").tolist() == expected.tolist()
        assert len(expected) == 478


def test_the_people_go_on_as_charged(folder: Folder) -> None:
    """The same people at a further stage; their columns can be collected then."""
    with opened(folder.write(*PRIVATE, within(10))) as run:
        permitted = permit()
        charged = reserve_budget(permitted)
        assert run.vault.stage_of(charged) == "charged"
        assert charged.digest == permitted.digest
        assert collect(charged).schema
        assert open_budget(run).state(run.id) == "reserved"


def test_what_is_left_is_on_record(folder: Folder) -> None:
    """As measures, as a check of the outlet that promises, and with the ledger's head."""
    path = folder.write(*PRIVATE, within(3))
    with opened(path) as run:
        reserve(run)
    with opened(path) as run:
        reserve(run)
        measures = {name: entry.body for name, entry in noted(run, "measure").items()}
        before, after = (compose(DRAWN * n, 1e-5) for n in (1, 2))
        for name, figure in (("_before", before), ("", after)):
            told = measures[f"privacy.lifetime_epsilon{name}"]
            assert isinstance(told, float)
            assert figure <= told < figure + 1e-4
        left = open_budget(run).plan(
            open_budget(run).people("small"), DRAWN, read_ceiling(run.policy)
        )
        assert measures["privacy.runs_left"] == left > 0
        check = noted(run, "check")["privacy budget"].body
        assert isinstance(check, dict)
        assert (check["verdict"], check["outlet"]) == ("passed", "clinic")
        assert f"lifetime ε {after:.3f} of the most-used person with this run" in str(
            check["measured"]
        )
        assert "at most 3 at δ = 1e-05" in str(check["asked"])
        head = open_budget(run).head()
        assert noted(run, "budget")["head"].body == {"seq": head.seq, "link": head.link}


def test_runs_in_a_row_draw_the_budget_down_to_a_refusal(folder: Folder) -> None:
    """The refused one says what was spent and asked, and that waiting does not help."""
    path, left = folder.write(*PRIVATE, within(1.6)), []
    for _ in range(2):
        with opened(path) as run:
            reserve(run)
            left.append(noted(run, "measure")["privacy.runs_left"].body)
    assert left == [1, 0]
    with opened(path) as run:
        with pytest.raises(Refusal, match="Waiting does not help") as told:
            reserve(run)
        assert told.value.check == "privacy budget"
        assert len(open_budget(run).history()) == 2
        check = noted(run, "check")["privacy budget"].body
        assert isinstance(check, dict)
        assert check["verdict"] == "refused"
        assert "nobody was charged" in str(check["measured"])
        measures = noted(run, "measure")
        spent = measures["privacy.lifetime_epsilon"].body
        assert spent == measures["privacy.lifetime_epsilon_before"].body
        assert measures["privacy.runs_left"].body == 0


def test_a_delta_that_lets_one_person_out_is_refused(folder: Folder) -> None:
    """The ceiling's and a promise's; how many people there are is not told."""
    loose = PROMISE.replace("1e-5", "9e-4")
    for number in range(480, 1200):
        row = dict(folder.people[number % 480], pid=f"q{number}")
        folder.people.append(row)
        folder.say(row["pid"], "given", "2024-01-01T12:00:00Z")
    changes = (PRIVATE[0], (PRIVATE[1][0], PRIVATE[1][1].replace(PROMISE, loose)))
    for changed, place in (
        ((*PRIVATE, within(10, 9e-4)), "budget.delta"),
        ((*changes, within(10)), "outlets.clinic.promise.delta"),
    ):
        with opened(folder.write(*changed)) as run:
            with pytest.raises(Refusal, match=f"privacy budget: {place} = 0.0009") as told:
                reserve(run)
            assert not {"1200", "1,200", "1198"} & set(str(told.value).split())
            assert told.value.refused == LargeDelta(1_210)
            assert open_budget(run).history() == []


def test_own_delta_above_the_ceilings_is_refused(
    folder: Folder, drawn: list[tuple[Mechanism, ...]]
) -> None:
    """An infinite ε is refused, and noted as no figure."""
    drawn[0] = (Bounded(0.1, 1e-4),)
    with opened(folder.write(*PRIVATE, within(10))) as run:
        with pytest.raises(Refusal, match="lifetime ε to inf"):
            reserve(run)
        assert noted(run, "measure")["privacy.lifetime_epsilon"].body == 0


def test_a_policy_without_a_private_model_is_charged_nothing(folder: Folder) -> None:
    """The step lets its people pass."""
    with opened(folder.write()) as run:
        reserve(run)
        give_back(run)
        assert open_budget(run).history() == []
        assert "privacy.lifetime_epsilon" not in noted(run, "measure")


def test_a_charge_pays_for_one_training(folder: Folder) -> None:
    """Not without a charge, not twice, and afterwards it is not given back."""
    with opened(folder.write(*PRIVATE, within(10))) as run:
        with pytest.raises(UsageError, match="is not charged"):
            commit(Desk(run, "train"))
        desk = reserve(run)
        commit(desk)
        with pytest.raises(UsageError, match="is committed"):
            commit(desk)
        give_back(run)
        assert open_budget(run).state(run.id) == "committed"


def test_a_run_that_ends_before_training_gives_its_charge_back(folder: Folder) -> None:
    """Once; and a ledger that is broken by then does not hide how the run ended."""
    with opened(folder.write(*PRIVATE, within(10))) as run:
        reserve(run)
        give_back(run)
        give_back(run)
        assert open_budget(run).state(run.id) == "aborted"
        (run.home.root / "budget-heads.jsonl").unlink()
        give_back(run)


def test_a_broken_ledger_refuses_a_private_run(folder: Folder, tmp_path: Path) -> None:
    """Nobody knows then what people have spent."""
    path = folder.write(*PRIVATE, within(10))
    assert path.parent == tmp_path
    with opened(path) as run:
        reserve(run)
        (run.home.root / "budget-heads.jsonl").unlink()
    with opened(path) as run:
        with pytest.raises(Refusal, match=r"budget ledger: .* is missing"):
            reserve(run)
        assert "privacy budget" not in noted(run, "check")


def advise(path: Path) -> Run:
    """Charge for the advice of ε = 1 on a policy, in a run that is then open."""
    with open_run(request(Request(str(path), epsilon=1)), part="advice") as run:
        desk, people = Desk(run, "reserve_advice"), open_at(run.vault, permit(), Permitted)
        reserve_advice.function(desk, people)  # type: ignore[attr-defined]
        return run


def test_after_advice_the_filter_holds_also_in_a_policy_of_fixed_choices(folder: Folder) -> None:
    """Its figures are there to be acted on: what follows was not fixed beforehand."""
    path = folder.write(*PRIVATE, within(6))
    run = advise(path)
    (one,) = open_budget(run).history()
    assert one.composition == "adaptive"
    with opened(path) as later:
        reserve(later)
        spent = RenyiFilter(6, 1e-5).spent([*one.mechanisms, *DRAWN])
        measured = noted(later, "measure")["privacy.lifetime_epsilon"].body
        assert measured == pytest.approx(spent, abs=1e-4)
        check = noted(later, "check")["privacy budget"].body
        assert isinstance(check, dict)
        assert f"over all runs so far (RDP) is {spent:.3f} of 6 for the most-used" in str(
            check["measured"]
        )
        assert "not what a run costs, and only 6 is guaranteed" in str(check["measured"])


def test_advice_that_is_refused_for_few_people_stays_charged(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal tells an exact number of them, and could be asked for again and again."""
    few = Rows(pd.DataFrame({"age": ["18-49"]}), pd.Series(["yes"]))
    monkeypatch.setattr("tasks.advice.weigh.split_rows", lambda *_: (few, few))
    run = advise(folder.write(*PRIVATE, within(6)))
    rows = SimpleNamespace(frame=pd.DataFrame)
    with pytest.raises(Refusal, match="too few training people"):
        weigh_columns.function(Desk(run, "weigh_columns"), rows)  # type: ignore[attr-defined]
    give_back(run)
    assert open_budget(run).state(run.id) == "committed"


def test_the_bound_on_delta_tells_no_more_than_the_published_count() -> None:
    """Whoever tries one δ after the other finds where it is; it is above all the people."""
    rule, bounds = Disclosure(b"k"), dict[int | None, set[int]]()
    for people in range(1, 1500):
        bound = bound_people(rule, people)
        assert people < bound <= people + 20
        bounds.setdefault(rule.publish(Count(people)).about, set()).add(bound)
    assert {len(found) for found in bounds.values()} == {1}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (0, "no more run like this fits"), (1, "1 more run like this fits"),
        (2, "2 more runs like this fit"),
        (MOST_RUNS, f"at least {MOST_RUNS:,} more runs like this fit"),
    ],
)  # fmt: skip
def test_no_more_runs_are_promised_than_were_tried(folder: Folder, runs: int, said: str) -> None:
    """Counting ends somewhere."""
    with opened(folder.write(*PRIVATE, within(6))) as run:
        balance = Balance(0.0, 0.1, Ceiling(6, 1e-5, "fixed"), runs, filtered=False)
        (check,) = judge_balance(run.policy, balance, charged=True)
        assert check.measured.startswith(f"this run fits, {said}; ")
        assert "over all private models and advice of this home" in check.asked


def test_a_charge_that_is_given_back_is_not_told_as_spent(folder: Folder) -> None:
    """What the run has on record in the end is what the most-used person had before it."""
    with opened(folder.write(*PRIVATE, within(10))) as run:
        reserve(run)
        give_back(run)
        told = [e.body for e in run.ledger.entries(run.id) if e.name == "privacy.lifetime_epsilon"]
        assert told == [pytest.approx(1.0, abs=1e-2), 0.0]
        assert "given back" in noted(run, "budget")


def test_what_is_refused_under_the_filter_is_told_by_the_filter(folder: Folder) -> None:
    """An adaptive charge that would exceed is weighed as it would be charged."""
    with opened(folder.write(*PRIVATE, within(1.05))) as run:
        desk, people = Desk(run, "reserve_budget"), open_at(run.vault, permit(), Permitted)
        with pytest.raises(Refusal, match="filter"):
            room.reserve(desk, people, DRAWN, "adaptive")
        assert noted(run, "measure")["privacy.filtered"].body == 1.0
