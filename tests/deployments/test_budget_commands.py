"""`tutela budget`: what was spent, by which runs, and how far what is left will go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from deployments.budget.screen import sum_up
from expectations.policy.policy import Policy
from expectations.privacy_loss import (
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    SampledGaussian,
    calibrate,
    compose,
)
from ledgers.budget.ledger import BudgetLedger, Ceiling
from ledgers.budget.tables import NOTE, Composition
from ledgers.evidence import EvidenceLedger
from ledgers.home.home import Home
from tasks.people.person_keys import key_people
from tests.conftest import Folder
from tests.ledgers.budget.budget_charges import charge, edit, open_ledger
from tests.runs import Said, say
from tests.tasks.training.test_budget_step import PRIVATE, within

CEILING = Ceiling(3, 1e-5, "fixed")
WIDTH = 80


def gaussian(noise: float) -> tuple[Mechanism, ...]:
    """Draw once."""
    return (Gaussian(noise),)


def draws(epsilon: float) -> tuple[Mechanism, ...]:
    """What the policy's estimator draws at an ε."""
    return gaussian(calibrate(gaussian, epsilon, 1e-5))


@pytest.fixture
def ledger(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[BudgetLedger]:
    """A home in which the small policy was charged nothing yet."""

    def declare(policy: Policy) -> tuple[Mechanism, ...]:
        (promise,) = (one.promise for one in policy.model_outlets.values())
        assert promise is not None
        return draws(promise.epsilon)

    monkeypatch.setattr("tasks.training.models.declare_loss", declare)
    opened = open_ledger(home.root)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def policy(folder: Folder) -> str:
    """The small policy with a private model, its ceiling at ε = 3; its people are not there."""
    path = folder.write(*PRIVATE, within(3))
    (Path(path).parent / "people.csv").unlink()
    return str(path)


def budget(*words: str, status: int = 0) -> Said:
    """Call `tutela budget`."""
    from deployments import cli
    from deployments.budget.commands import budget_app

    if not any(group.name == "budget" for group in cli.app.registered_groups):
        cli.app.add_typer(budget_app, name="budget")
    said = say("budget", *words)
    assert said.status == status, said.err
    return said


def plain(text: str) -> str:
    """Join lines, and runs of blanks."""
    return " ".join(text.split())


def test_show_tells_what_was_spent_and_what_is_left(ledger: BudgetLedger, policy: str) -> None:
    """Of the worst person of the policy's earlier runs, other policies' charges included."""
    ledger.reserve(charge("r1", [1, 2], draws(1)), CEILING)
    ledger.reserve(charge("r2", [2, 3], draws(1), policy="other"), CEILING)
    ledger.reserve(charge("r3", [3], draws(1), policy="other"), CEILING)
    found = json.loads(budget("show", policy, "--json").out)
    before, after = (compose(draws(1) * n, 1e-5) for n in (2, 3))
    assert found["lifetime_epsilon"] == pytest.approx(before, abs=1e-4)
    assert found["after_one_more"] == pytest.approx(after, abs=1e-4)
    assert (found["ceiling"], found["composition"]) == (3, "fixed")
    said = budget("show", policy)
    lines = said.out.splitlines()
    assert lines[0] == "small"
    assert max(map(len, lines)) <= WIDTH
    text = plain(said.out)
    for part in (
        f"lifetime ε so far {before:.3f}", f"after one more run {after:.3f}",
        "ceiling 3 at δ = 1e-05", f"more such runs {found['runs_left']}",
        "charged so far 1 unsettled", "noise of one run Gaussian noise of 3.731 sensitivities",
    ):  # fmt: skip
        assert part in text
    assert "no personal data was read" in plain(said.err)


def test_what_merged_identifiers_were_charged_adds_up(ledger: BudgetLedger, folder: Folder) -> None:
    """By the table that says so, though the policy charged the earlier ones alone."""
    same = "  same_person: {location: {kind: csv, path: merged.csv}, other: old, kept: new}\n"
    path = folder.write(*PRIVATE, within(3), ("  person: pid\n", f"  person: pid\n{same}"))
    (path.parent / "people.csv").unlink()
    (path.parent / "merged.csv").write_text("old,new\nq1,p1\nq2,q1\n", "utf-8")
    for run, name, other in (("r1", "q1", ""), ("r2", "q2", "other"), ("r3", "p1", "other")):
        names = pa.chunked_array([pa.array([name], pa.large_string())])
        people = key_people(names, ledger.keys.derive("person")).record
        one = charge(run, [1], draws(0.5), policy=other or "small")
        ledger.reserve(replace(one, people=people), CEILING)
    found = json.loads(budget("show", str(path), "--json").out)
    spent = compose(draws(0.5) * 3, 1e-5)
    assert found["lifetime_epsilon"] == pytest.approx(spent, abs=1e-4)
    (planned,) = json.loads(budget("plan", str(path), "--epsilon", "0.5", "--json").out)["plans"]
    runs = planned["runs"]
    assert compose(draws(0.5) * (3 + runs), 1e-5) <= 3 < compose(draws(0.5) * (4 + runs), 1e-5)


def test_show_says_that_only_the_ceiling_is_guaranteed_once_choices_were_adaptive(
    ledger: BudgetLedger, policy: str
) -> None:
    """The figure below it is no bound then, and is not called a lifetime ε."""
    ledger.reserve(charge("r1", [1], draws(0.2), composition="adaptive"), CEILING)
    found = json.loads(budget("show", policy, "--json").out)
    assert found["filtered"] is True
    said = plain(budget("show", policy).out)
    assert "of 3, the filter's total over all runs (RDP), not the cost of one" in said
    assert f"more such runs {found['runs_left']} under the ceiling of 3" in said
    assert "guaranteed at most 3 at δ = 1e-05, since choices are adaptive" in said
    assert "lifetime ε" not in said


def test_what_many_releases_draw_is_one_line() -> None:
    """Of each kind how often, and at its most telling; noise that is all the same is told so."""
    drawn = (Gaussian(37.3), Gaussian(8.34), Gaussian(26.5, 40), Laplace(0.1), Laplace(0.1))
    assert list(sum_up(drawn)) == [
        "42 times Gaussian noise of 8.34 sensitivities or more", "2 times Laplace noise, ε = 0.1",
    ]  # fmt: skip
    sampled = (SampledGaussian(1.2, 0.01, 300), SampledGaussian(2.0, 0.02))
    assert list(sum_up(sampled)) == [
        (
            "301 times Gaussian noise of 1.2 sensitivities or more on a sample of 0.02 of the "
            "people or less"
        )
    ]


def test_show_says_where_nobody_was_charged_yet(ledger: BudgetLedger, policy: str) -> None:
    """What other policies spent is then not known to concern it."""
    ledger.reserve(charge("r1", [1], draws(1), policy="other"), CEILING)
    said = budget("show", policy)
    assert "lifetime ε so far 0.000" in plain(said.out)
    assert "No run of this policy has been charged" in plain(said.err)


def test_plan_tells_runs_at_each_epsilon(ledger: BudgetLedger, policy: str) -> None:
    """As many as the ledger then lets pass, and the day of the last if weekly."""
    ledger.reserve(charge("r1", [1], draws(1)), CEILING)
    found = json.loads(budget("plan", policy, "--json").out)["plans"]
    by_epsilon = {row["epsilon"]: row for row in found}
    assert list(by_epsilon) == [0.1, 0.25, 0.5, 1, 2]
    people = ledger.people("small")
    for epsilon, row in by_epsilon.items():
        assert row["runs"] == ledger.plan(people, draws(epsilon), CEILING)
        assert row["promised"] == (epsilon == 1)
    today = datetime.now(UTC).date()
    last = today + timedelta(weeks=by_epsilon[1]["runs"] - 1)
    assert by_epsilon[1]["weekly_until"] == last.isoformat()
    said = budget("plan", policy)
    assert re.search(rf"1 +{by_epsilon[1]['runs']} +{last}  \(the policy's\)", said.out)


def test_plan_for_one_epsilon(ledger: BudgetLedger, policy: str) -> None:
    """None fits of what costs more than the ceiling; what is no ε is refused."""
    assert ledger.history() == []
    (row,) = json.loads(budget("plan", policy, "--epsilon", "4", "--json").out)["plans"]
    assert (row["runs"], row["weekly_until"]) == (0, None)
    assert "none fits" in budget("plan", policy, "--epsilon", "4").out
    assert "in a century or later" in budget("plan", policy, "--epsilon", "0.001").out
    for wrong in ("0", "-1", "nan", "21"):
        assert "more than 0" in budget("plan", policy, "--epsilon", wrong, status=2).err


def test_history_tells_every_charge_and_what_months_cost(ledger: BudgetLedger, policy: str) -> None:
    """Each with its run, its state and what it drew; aborted ones cost their month nothing."""
    drawn = (Gaussian(9.0, 2), SampledGaussian(4.0, 0.1), Laplace(0.1), Bounded(0.2, 1e-9))
    ledger.reserve(charge("r1", [1], drawn, at="2026-01-05T10:00:00+00:00"), CEILING)
    ledger.reserve(charge("r2", [1], draws(1), at="2026-01-12T10:00:00+00:00"), CEILING)
    ledger.reserve(charge("r3", [2], draws(0.5), "other", at="2026-02-01T10:00:00+00:00"), CEILING)
    ledger.commit("r1")
    ledger.abort("r2")
    said = budget("history")
    alone = f"{compose(drawn, 1e-5):.3f}"
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[1:4] == [
        ["r1", "small", "committed", alone],
        ["r2", "small", "given", "back", "1.000"],
        ["r3", "other", "unsettled", "0.500"],
    ]
    assert "never renews" in said.err
    assert "unsettled: still going on" in said.err
    found = json.loads(budget("history", "--json").out)
    assert found["charges"][0]["draws"] == [
        "2 times Gaussian noise of 9 sensitivities",
        "Gaussian noise of 4 sensitivities on a sample of 0.1 of the people",
        "Laplace noise, ε = 0.1", "a mechanism of ε = 0.2, δ = 1e-09",
    ]  # fmt: skip
    months = {row["month"]: row["epsilon"] for row in found["months"]}
    assert months["2026-01"] == pytest.approx(compose(drawn, 1e-5), abs=1e-4)
    assert months["2026-02"] == pytest.approx(0.5, abs=1e-3)
    own = json.loads(budget("history", policy, "--json").out)
    assert [one["run"] for one in own["charges"]] == ["r1", "r2"]


def test_history_is_one_line_a_run_that_says_what_it_was_for(
    ledger: BudgetLedger, policy: str
) -> None:
    """Within the screen also where names are long, and two runs began in the same second."""
    evidence = EvidenceLedger(ledger.engine, ledger.keys)
    runs = [f"2026010{day}T100001-aaaaaaa{n}" for day, n in ((5, 1), (6, 2), (6, 3))]
    parts, long = ("all", "advice", "all"), "a-policy-of-a-name-that-is-very-long"
    for run, part, name in zip(runs, parts, ("small", "small", long), strict=True):
        evidence.begin(run, name, {"part": part})
        how: Composition = "adaptive" if part == "advice" else "fixed"
        ledger.reserve(charge(run, [1], draws(0.1), name, how), CEILING)
    evidence.close(runs[0], "refused")
    said = budget("history")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert re.search(r"20260105T100001 +small +training +refused +unsettled +0\.100$", lines[1])
    assert re.search(rf"{runs[1]} +small +advice +under way +unsettled +0\.100 \*$", lines[2])
    assert re.search(rf"{runs[2]} +a-policy-…  training", lines[3])
    assert "* an adaptive choice" in plain(said.err)
    assert all(row["for"] for row in json.loads(budget("history", "--json").out)["charges"])
    assert plain(budget("history", policy).out).count("20260105T100001 ") == 1


def test_history_misses_a_charge_that_a_run_has_on_record(
    ledger: BudgetLedger, policy: str
) -> None:
    """Though the signed heads that named it were cut off with it."""
    heads = ledger.keys.home.root / "budget-heads.jsonl"
    ledger.reserve(charge("r1", [1], draws(1)), CEILING)
    before = heads.read_bytes()
    ledger.reserve(charge("r2", [1], draws(1)), CEILING)
    evidence = EvidenceLedger(ledger.engine, ledger.keys)
    evidence.begin("r2", "small", {})
    head = ledger.head()
    evidence.append("r2", "reserve_budget", NOTE, "head", {"seq": head.seq, "link": head.link})
    assert budget("history", policy).out
    edit(ledger, "DELETE FROM budget_events WHERE seq = 2")
    heads.write_bytes(before)
    assert "run r2 names entry 2, which is gone" in plain(budget("history", status=1).err)


def test_history_is_told_where_a_run_gave_its_charge_back(
    ledger: BudgetLedger, policy: str
) -> None:
    """The run's record holds both the head it saw and what it gave back; only one is a head."""
    evidence = EvidenceLedger(ledger.engine, ledger.keys)
    ledger.reserve(charge("r1", [1], draws(1)), CEILING)
    evidence.begin("r1", "small", {})
    head = ledger.head()
    evidence.append("r1", "reserve_budget", NOTE, "head", {"seq": head.seq, "link": head.link})
    evidence.append("r1", "reserve_budget", NOTE, "given back", {"lifetime_epsilon": 1.0})
    assert "r1" in budget("history", policy).out


def test_a_new_home_has_no_history(ledger: BudgetLedger) -> None:
    """It is said."""
    assert ledger.history() == []
    assert "No run has used any privacy budget" in budget("history").out


def test_a_policy_without_a_private_model_has_no_budget(
    ledger: BudgetLedger, folder: Folder
) -> None:
    """The message says so."""
    assert ledger.history() == []
    path = str(folder.write())
    for word in ("show", "plan"):
        assert "trains no private model" in budget(word, path, status=2).err


def test_a_ledger_that_was_edited_is_not_read_out(ledger: BudgetLedger, policy: str) -> None:
    """Exit status 1, and what is wrong."""
    ledger.reserve(charge("r1", [1], draws(1)), CEILING)
    (ledger.keys.home.root / "budget-heads.jsonl").unlink()
    for words in (("show", policy), ("plan", policy), ("history",)):
        assert "budget-heads.jsonl is missing" in budget(*words, status=1).err
