"""A step that refuses leaves ways out on record: true ones, and none that tells of a person."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from expectations.checks import Check
from expectations.disclosure import Count, Disclosure, Published
from expectations.errors import Refusal, TutelaError, UsageError, carrying
from expectations.gx.table_promises import Judged
from expectations.policy.policy import MissingAtMost, Policy, Rule, ShareBetween, ValuesBetween
from expectations.policy.population import Margin
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Roster
from tasks.account.findings import read
from tasks.account.published import Way, WaysOut
from tasks.airlock.run import Desk, Finder, Run, under_way
from tasks.airlock.step import find_ways, step
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.fitting import Unreachable
from tasks.anonymization.generalize import generalize
from tasks.attack.model import Aim
from tasks.consent.permission import filter_consent
from tasks.own_code.loading import load_own
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.representation.comparison import compare_column, tell_column
from tasks.training.charge import reserve_budget
from tasks.training.train import Rows, fit_model
from tasks.validation.validation import check_values, validate
from tasks.ways import finder, model_ways
from tasks.ways.finder import note_ways_out
from tasks.ways.model_ways import attack_fast, find_model_ways
from tasks.ways.rule_ways import (
    bound_difference,
    find_cohort_ways,
    find_consent_ways,
    find_judged_ways,
    find_rule_ways,
)
from tasks.ways.telling import keep_telling
from tests.conftest import Folder, opened, small_policy

KEY = bytes(32)
COLUMNS = ("age", "sex", "sick")
PROMISE = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
PRIVATE = (
    ("training: {model: logistic-regression}", "training: {model: private-logistic-regression}"),
    ("    recipient: Clinic\n", f"    recipient: Clinic\n    {PROMISE}\n"),
)


def ways_of(run: Run) -> list[WaysOut]:
    """Read the ways that a run noted."""
    entries = run.ledger.entries(run.id)
    return [read(WaysOut, entry.body) for entry in entries if entry.kind == "ways"]


ONE = WaysOut("check", None, "more", "less", "how", {}, (Way("k: 2", True, "k = 2", {}),))
ROWS = pd.DataFrame({"name": ["Zyxwort"]})
"""What is refused, with a value that may not leave the step."""


def refuse(error: TutelaError, find: Finder | None) -> tuple[TutelaError, list[tuple[str, str]]]:
    """Run a step that raises an error carrying rows; give what left it, and what was noted."""

    @step("Refuse", gives=Roster)
    def refusing(_: Desk) -> pa.Table:
        with carrying(ROWS):
            raise error

    noted: list[tuple[str, str]] = []
    append = lambda _run, _step, kind, name, *_, **__: noted.append((kind, name))  # noqa: E731
    keys = SimpleNamespace(seal_incident=lambda text: noted.append(("sealed", text)))
    run = SimpleNamespace(
        id="run", finder=find, observe=lambda *_: None, vault=None, keys=keys,
        ledger=SimpleNamespace(append=append),
    )  # fmt: skip
    with under_way(cast("Run", run)), pytest.raises(type(error)) as left:
        refusing()
    return left.value, noted


def test_a_refusal_leaves_with_its_ways_noted_and_is_the_same() -> None:
    """The finder sees what was refused; it is the same refusal, and it carries nothing any more."""
    seen = list[object]()

    def find(desk: Desk, refusal: Refusal) -> None:
        seen.append(refusal.refused)
        desk.note("ways", refusal.check, None)

    refusal = Refusal("check", "no")
    left, noted = refuse(refusal, find)
    assert left is refusal
    assert seen[0] is ROWS
    assert (refusal.refused, noted) == (None, [("ways", "check")])
    left, noted = refuse(Refusal("check", "no"), None)
    assert (cast("Refusal", left).refused, noted) == (None, [])


def test_a_defect_in_finding_ways_leaves_the_refusal() -> None:
    """And what is no refusal finds no ways."""

    def broken(_: Desk, __: Refusal) -> None:
        raise UsageError("defect")

    for error in (Refusal("check", "no"), UsageError("other")):
        assert refuse(error, broken) == (error, [])


def test_an_unforeseen_error_in_finding_ways_is_sealed_and_leaves_the_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal stays one, with the ways that were found before; the error's text is sealed."""

    def broken(_: Desk, __: Refusal) -> Iterator[WaysOut]:
        yield ONE
        raise ValueError("a library's")

    monkeypatch.setattr(finder, "find_ways_out", broken)
    refusal = Refusal("check", "no")
    left, noted = refuse(refusal, note_ways_out)
    assert left is refusal
    assert [note[0] for note in noted] == ["ways", "sealed"]
    assert "ValueError: a library's" in noted[1][1]


def test_no_ways_are_noted_of_a_refusal_that_own_code_raised(tmp_path: Path) -> None:
    """Its text would stand in them, and may be a person's."""
    text = "import tutela\ndef f(): raise tutela.Refusal('check', 'Ann')"
    (tmp_path / "f.py").write_text(text, encoding="utf-8")
    function = cast("Callable[[], None]", load_own("f.py:f", tmp_path).value)
    notes: list[object] = []
    run = SimpleNamespace(finder=lambda *_: notes.append("tried"))
    with pytest.raises(Refusal, match="Ann") as left, carrying(ROWS):
        function()
    find_ways(cast("Desk", SimpleNamespace(run=run)), left.value)
    assert (notes, left.value.refused) == ([], None)


def test_what_was_refused_is_in_no_text_and_no_pickle_of_the_refusal() -> None:
    """Prefect pickles what ends a task."""
    with pytest.raises(Refusal) as left, carrying(ROWS):
        raise Unreachable("no", 0.5)
    assert left.value.refused is ROWS
    pickled = pickle.dumps(left.value)
    again = pickle.loads(pickled)  # noqa: S301  # our own
    assert (str(again), again.check, again.left) == ("k-anonymity: no", "k-anonymity", 0.5)
    assert again.refused is None
    assert not any("Zyxwort" in repr(said) for said in (pickled, left.value, str(left.value)))


def test_a_model_is_named_as_it_stands_in_a_policy() -> None:
    """Between the braces of `training`, as YAML reads them."""
    for kind, parameters in model_ways.OTHERS:
        found = yaml.safe_load(f"{{{model_ways.name_model(kind, parameters)}}}")
        assert found == {"model": kind, **({"parameters": parameters} if parameters else {})}


def test_ways_that_fail_are_told_up_to_a_few() -> None:
    """All that hold, and all that could not be tried, are."""
    ways = [Way(str(n), n < 9 or None if n % 9 else False, "", {}) for n in range(30)]
    assert sum(way.holds is False for way in keep_telling([*ways, *ways])) == 4
    assert sum(way.holds is True for way in keep_telling(ways)) == 8


def test_a_table_that_is_refused_says_what_would_hold(folder: Folder, home: Home) -> None:
    """The ways are on record when the refusal leaves the step."""
    assert home.root.is_dir()
    kept = (
        "{age: generalize, sex: generalize, sick: generalize}",
        "{age: keep, sex: keep, sick: keep}",
    )
    with opened(folder.write(kept, ("k: 3", "k: 60"))) as run:
        people = select_population(collect(filter_consent(read_roster())))
        with pytest.raises(Refusal, match="k-anonymity"):
            generalize(validate(deidentify(people)), "partner")
        (found,) = ways_of(run)
    assert (found.check, found.outlet) == ("k-anonymity", "partner")
    assert any(way.holds and "granularity" in way.cost for way in found.ways)


@pytest.mark.parametrize(
    ("answer", "smallest", "ways"),
    [
        ("requested", 10, ("legal basis", "ask them again")),
        ("given", 1000, ("smallest cohort", "population: smallest: ")),
    ],
)
def test_too_few_people_leave_what_can_be_done_about_it(
    folder: Folder, home: Home, answer: str, smallest: int, ways: tuple[str, str]
) -> None:
    """Where nobody may be read, and where fewer are left than the policy asks for."""
    assert home.root.is_dir()
    for event in folder.events:
        event["status"] = answer
    with opened(folder.write(("smallest: 10", f"smallest: {smallest}"))) as run:
        with pytest.raises(Refusal):
            select_population(collect(filter_consent(read_roster())))
        (found,) = ways_of(run)
    assert any((found.check, way.change[: len(ways[1])]) == ways for way in found.ways)


def test_a_promise_that_fits_the_budget_is_told(folder: Folder, home: Home) -> None:
    """Each that is said to hold is charged when the policy promises it; nobody was before."""
    assert home.root.is_dir()
    budget = (
        "budget: {lifetime_epsilon: 10, delta: 1e-5}",
        "budget: {lifetime_epsilon: 1.2, delta: 1e-5, composition: fixed}",
    )
    with opened(folder.write(*PRIVATE, budget)):
        reserve_budget(filter_consent(read_roster()))
    with opened(folder.write(*PRIVATE, budget)) as run:
        with pytest.raises(Refusal, match="privacy budget"):
            reserve_budget(filter_consent(read_roster()))
        (found,) = ways_of(run)
    # Gaussian noise composes by squares, about: with 1 spent, 0.66 fits under 1.2 and 1.4 is next.
    assert [(way.change, way.holds) for way in found.ways] == [
        ("promise: epsilon: 0.5", True),
        ("promise: epsilon: 0.3", True),
        ("promise: epsilon: 0.2", True),
        ("budget: lifetime_epsilon: 2", True),
    ]
    assert found.ways[0].cost["runs"] == 1
    assert 1.1 < (found.ways[0].cost["lifetime_epsilon"] or 0) <= 1.2
    held = PRIVATE[0], (PRIVATE[1][0], PRIVATE[1][1].replace("epsilon: 1,", "epsilon: 0.5,"))
    with opened(folder.write(*held, budget)):
        assert reserve_budget(filter_consent(read_roster()))


RULE = Disclosure(b"k" * 32)
RULES: tuple[Rule, ...] = (
    MissingAtMost(rule="missing-at-most", column="waist", share=0.05),
    ShareBetween(rule="share-between", column="ill", value="yes", low=0.5, high=0.6),
    ValuesBetween(rule="between", column="waist", low=60, high=160),
)


def test_a_rule_is_widened_as_far_as_the_check_tells_anyway() -> None:
    """The wider one holds, its ends stand in the check; of values themselves nothing is said."""
    frame = pd.DataFrame({
        "waist": [70.0] * 295 + [170.0] * 20 + [np.nan] * 85, "ill": ["yes"] * 105 + ["no"] * 295,
    })  # fmt: skip
    checks = check_values(frame, RULES, 10)
    assert [check.verdict for check in checks] == [CheckVerdict.REFUSED] * 3
    policy = parse_policy(small_policy()).model_copy(update={"expectations": RULES})
    found = list(find_rule_ways(frame, policy, checks, 10))
    assert [len(one.ways) for one in found] == [1, 1, 0]
    (missing,), (share,) = found[0].ways, found[1].ways
    ends = [float(n) for one in (missing, share) for n in re.findall(r": ([\d.]+)", one.change)]
    wider = (
        RULES[0].model_copy(update={"share": ends[0]}),
        RULES[1].model_copy(update={"low": ends[1], "high": ends[2]}),
    )
    assert [c.verdict for c in check_values(frame, wider, 10)] == [CheckVerdict.PASSED] * 2
    assert f"{100 * ends[0]:g} %" in checks[0].measured
    assert f"{100 * ends[1]:g} %" in checks[1].measured


def test_a_misspelt_word_comes_before_a_wider_limit() -> None:
    """The nearest declared one is named; where others become `other`, check cannot know."""
    policy = parse_policy(small_policy(
        ("values: [f, m]", "values: [emergency, planned], other: other"),
        ("use: [feature, release, audit]", "use: [feature, release, audit, derivation]"),
        ("sugar >= 6.5", "sugar >= 6.5 and sex = 'emergancy'"),
    ))  # fmt: skip
    frame = pd.DataFrame({"sick": ["no"] * 400})
    (found,) = find_rule_ways(frame, policy, check_values(frame, policy.expectations, 10), 10)
    first, second = found.ways
    assert first.change == "derived.sick.expression: 'emergency' instead of 'emergancy'"
    assert first.reached.startswith("not declared as a word of sex")
    assert second.change.startswith("sick: share-between")


@given(st.integers(0, 20_000))
def test_the_smallest_number_that_is_told_holds(people: int) -> None:
    """It is made of the published count alone, and is never above the exact one."""
    policy = parse_policy(small_policy(("smallest: 10", "smallest: 30000")))
    published = Disclosure(KEY).publish(Count(people))
    (found,) = find_cohort_ways(published, {"not eligible": Published(None, 10)}, policy)
    assert (found.ways == ()) == (published.about is None or published.about < 20)
    for way in found.ways:
        told = int(way.change.rpartition(" ")[2])
        assert people - 20 <= told <= people


@example([491, 1579, 3000])  # where the rounding of the shares alone decides
@given(st.lists(st.integers(0, 3_000), min_size=2, max_size=4))
def test_a_difference_that_is_told_is_no_less_than_the_exact_one(people: list[int]) -> None:
    """It is a bound by the published counts; of hidden people there is none."""
    labels = [f"l{n}" for n in range(len(people))]
    margin = Margin(shares=dict.fromkeys(labels, 1 / len(labels)))
    counts = {label: Count(n) for label, n in zip(labels, people, strict=True)}
    shares = compare_column("c", {k: n.exact for k, n in counts.items()}, margin)
    told = tell_column(shares, margin, counts, Disclosure(KEY))
    for row, exact in zip(told, shares.labels, strict=True):
        bound = bound_difference(row)
        assert bound is None or bound >= abs(exact.difference) - 1e-9
        assert bound is None or row.share is not None


def aim_at(kind: str) -> tuple[Aim, Policy]:
    """Train a model of the small policy on three hundred people whose labels are mostly chance."""
    policy = parse_policy(small_policy(
        ("{model: logistic-regression}", kind), ("auc_at_most: 0.75", "auc_at_most: 0.65"),
    ))  # fmt: skip
    draw = np.random.default_rng(5)
    rows = [
        Rows(
            pd.DataFrame({
                "age": np.array(["18-34", "35-49", "50-64", "65+"])[draw.integers(0, 4, 300)],
                "sex": np.array(["f", "m"])[draw.integers(0, 2, 300)],
            }),
            pd.Series(np.array(["no", "yes"])[draw.integers(0, 2, 300)]),
        )
        for _ in range(2)
    ]  # fmt: skip
    return Aim(fit_model(rows[0], policy), rows[0], rows[1], None), policy


@pytest.mark.filterwarnings("ignore")
def test_a_plain_model_that_is_said_to_hold_holds_when_it_is_attacked_again() -> None:
    """With the figures that are told; the policy's own model is not among them."""
    aim, policy = aim_at("{model: gradient-boosting}")
    said = "refused: membership inference: AUC 0.9, where the policy asks for less; change\n"
    said += "refused: memorization: much, where the policy asks for less; change"
    refusal = Refusal("membership inference", said)
    (found,) = find_model_ways(refusal, aim, policy, RULE)
    assert found.reached == "AUC 0.9; not passed either: memorization"
    (way,) = (way for way in found.ways if way.change == "model: logistic-regression")
    again, plain = aim_at("{model: logistic-regression}")
    attacked = attack_fast(again, plain, RULE)
    assert way.holds == attacked.holds
    (others,) = find_model_ways(refusal, again, plain, RULE)
    assert "model: logistic-regression" not in {way.change for way in others.ways}
    assert way.cost == {
        **attacked.worth, "membership_auc": round(attacked.membership[0], 2),
    }  # fmt: skip


def test_beside_a_promise_of_differential_privacy_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No model is trained or attacked: what is told follows from the accounting."""
    policy = parse_policy(small_policy(*PRIVATE))
    for name in ("fit_model", "attack_membership", "tell_worth"):
        monkeypatch.delattr(model_ways, name)
    nobody = cast("Aim", None)
    (found,) = find_model_ways(Refusal("membership inference", "x: y"), nobody, policy, RULE)
    assert [way.holds for way in found.ways] == [None, None]
    assert [way.change for way in found.ways] == ["promise: epsilon: 0.5", "promise: epsilon: 0.25"]
    assert {name for way in found.ways for name in way.cost} == {"lifetime_epsilon"}


@pytest.mark.parametrize(("reached", "told"), [(7, ["k: 7"]), (1, [])])
def test_a_made_table_tells_the_k_that_it_has(reached: int, told: list[str]) -> None:
    """A policy cannot ask for a k of one."""
    outlet = parse_policy(small_policy(("k: 3", "k: 10"))).table_outlets["partner"]
    check = Check("k", "10", f"k = {reached}", CheckVerdict.REFUSED, "", "")
    judged = [Judged("k", reached, check)]
    found = list(find_judged_ways(Refusal("k", "no"), judged, outlet, "partner"))
    assert [way.change for one in found for way in one.ways] == told


def test_why_most_people_were_left_out_is_told_as_far_as_it_may_be() -> None:
    """The most first, with what to do; not a no, nor a reason whose number is hidden."""
    counts = {"expired": 40, "refused": 70, "never asked": None, "no answer": 60}
    reasons = {reason: Published(about, 10) for reason, about in counts.items()}
    (found,) = find_consent_ways(reasons, "dpv:Marketing")
    told = ["60 people are “no answer”", "40 people are “expired”"]
    assert [way.reached for way in found.ways] == told
    assert "tutela consent import" in found.ways[0].change
    assert all(way.holds is None for way in found.ways)
