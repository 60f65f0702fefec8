"""A way out of a refused table that is said to hold does hold, at the cost that is told."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.disclosure import bound_share
from expectations.errors import Refusal
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from tasks.account.published import Way, WaysOut
from tasks.anonymization.generalize import generalize_table, order_sensitive
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST
from tasks.ways.table_changes import Change, change_policy, find_faults, lower_k
from tasks.ways.table_ways import Trials, find_table_ways
from tests.conftest import small_policy

AGES = ("18-34", "35-49", "50-64", "65+")
WIDTHS = {"18-49": 2, "50+": 2}
"""How many ages a merged label stands for; `*` stands for all values of a column."""
SIZES = {"age": 5, "sex": 3, "sick": 3}
"""How many values a column can have: its labels, or none."""
PINNED = (
    "{age: generalize, sex: generalize, sick: generalize}",
    "{age: keep, sex: keep, sick: keep}",
)
NOTHING_KEPT = ", but nothing of the detail is kept"
THRESHOLD = 1
"""As low as can be, so that shares are told in fine steps."""


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy, whose table keeps all three columns as they stand."""
    return parse_policy(small_policy(PINNED, *changes))


def make_people(draws: list[int]) -> pd.DataFrame:
    """Make a frame of people from numbers of 0 to 15, one each."""
    given = np.array(draws)
    return pd.DataFrame({
        RECORD: np.arange(len(given), dtype=np.uint64),
        TEST: np.arange(len(given)) % 3 == 0,
        "age": np.array(AGES)[given % 4],
        "sex": np.array(["f", "m"])[given // 4 % 2],
        "sick": np.array(["no", "yes"])[given // 8],
    })  # fmt: skip


def find(frame: pd.DataFrame, asked: Policy) -> WaysOut | None:
    """Give the ways out for people whose table is refused; None where it is not."""
    outlet = asked.table_outlets["partner"]
    frame = order_sensitive(frame, asked, outlet)
    try:
        generalize_table(frame, asked, outlet)
    except Refusal as refusal:
        return next(find_table_ways(refusal, frame, asked, "partner", THRESHOLD))
    return None


def apply(words: str, outlet: TableOutlet) -> TableOutlet:
    """Change an outlet as a reader of the words would, without the code that made them."""
    said = outlet.model_dump()
    for part in words.split(", and "):
        name, _, value = part.partition(": ")
        if part.startswith("leave out "):
            del said["columns"][part.removeprefix("leave out ")]
        elif name in {"k", "max_suppressed"}:
            said[name] = float(value) if "." in value else int(value)
        elif value == "generalize":
            said["columns"] |= dict.fromkeys(name.split(", "), value)
        else:
            found = re.fullmatch(r"([a-z-]+) with ([a-z]+): (\S+)", value)
            assert found
            (model,) = said["sensitive"][name]
            said["sensitive"] = {name: ({**model, found[2]: float(found[3])},)}
    return TableOutlet.model_validate(said)


def measure(frame: pd.DataFrame, released: pd.DataFrame, asked: int) -> float:
    """Give the granularity by hand; a person or a column that is left out keeps nothing."""
    kept = [
        1 - (SIZES[str(column)] if label == "*" else WIDTHS.get(label, 1)) / SIZES[str(column)]
        for column in released
        for label in released[column].astype(str)
    ]
    return sum(kept) / len(frame) / asked


def assert_true(way: Way, frame: pd.DataFrame, asked: Policy) -> None:
    """Change the outlet as told, recode the same people again, and compare."""
    before = asked.table_outlets["partner"]
    outlet = apply(way.change, before)
    changed = asked.model_copy(update={"outlets": {**asked.outlets, "partner": outlet}})
    if not way.holds:
        with pytest.raises(Refusal):
            generalize_table(frame, changed, outlet)
        return
    released = generalize_table(frame, changed, outlet).frame
    smallest = released.groupby(list(outlet.linkable), observed=True).size().min()
    assert way.reached.removesuffix(NOTHING_KEPT) == f"k of at least {outlet.k:,}"
    assert smallest >= outlet.k
    out = 1 - len(released) / len(frame)
    assert out <= outlet.max_suppressed
    kept = measure(frame, released[[*outlet.linkable]], len(before.linkable))
    assert way.reached.endswith(NOTHING_KEPT) == ((way.cost["granularity"] or 0) < 0.005)
    assert way.cost == {
        "granularity": round(1 - bound_share(1 - kept, len(frame), THRESHOLD), 3),
        "suppressed_share": bound_share(out, len(frame), THRESHOLD),
    }


@settings(max_examples=15)
@given(draws=st.lists(st.integers(0, 15), min_size=20, max_size=60))
def test_each_way_does_what_is_told_of_it(draws: list[int]) -> None:
    """Also one that is told not to hold; and of what is told as one step, none nearer holds."""
    asked, frame = policy(("k: 3", "k: 5")), make_people(draws)
    found = find(frame, asked)
    for way in found.ways if found else ():
        assert_true(way, frame, asked)


RARE = [0] * 12 + [1] * 12 + [4] * 12 + [5] * 12 + [2, 7, 14]
"""Four groups of twelve, and three people who are alone."""


def test_leaving_more_out_coarsening_and_leaving_a_column_out_are_found_as_ways() -> None:
    """All three hold here, and no smaller k does; the best first."""
    asked = policy(("max_suppressed: 0.1", "max_suppressed: 0.05"), ("k: 3", "k: 10"))
    found = find(make_people(RARE), asked)
    assert found is not None
    held = {way.change for way in found.ways if way.holds}
    assert held == {"max_suppressed: 0.2", "age: generalize", "leave out age"}
    told = [way.cost["granularity"] for way in found.ways if way.holds]
    assert told == sorted(told, key=lambda one: -(one or 0))
    assert found.as_is["granularity"] is not None
    assert all(one is not None and one <= found.as_is["granularity"] for one in told)


def test_the_largest_k_that_holds_is_told_and_no_smaller_one() -> None:
    """Groups of six hold five, of the k that are usual."""
    found = find(make_people([n for n in range(8) for _ in range(6)]), policy(("k: 3", "k: 20")))
    assert found is not None
    assert [way.change for way in found.ways if way.change.startswith("k: ")] == ["k: 5"]


def test_a_way_that_keeps_nothing_says_so_and_is_not_the_only_k() -> None:
    """A table of one class holds any k of its people; the largest k that keeps detail is beside."""
    asked = policy((PINNED[1], PINNED[0]), ("k: 3", "k: 500"))
    found = find(make_people([n for n in range(16) for _ in range(15)]), asked)
    assert found is not None
    ks = [way for way in found.ways if way.change.startswith("k: ")]
    assert [way.change for way in ks] == ["k: 100", "k: 200"]
    assert ks[0].cost["granularity"]
    assert ks[1].reached == f"k of at least 200{NOTHING_KEPT}"


def test_two_columns_are_left_out_only_where_no_single_way_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With every single way taken away, two by two is what holds."""
    from tasks.ways import table_ways

    for ladder in ("lower_k", "leave_more_out"):
        monkeypatch.setattr(table_ways, ladder, lambda *_: [])
    monkeypatch.setattr(table_ways, "coarsen", lambda *_: iter(()))
    frame = make_people(list(range(16)))
    asked = policy(("max_suppressed: 0.1", "max_suppressed: 0"), ("k: 3", "k: 6"))
    found = find(frame, asked)
    assert found is not None
    held = [way for way in found.ways if way.holds]
    assert held
    assert all(" and leave out " in way.change for way in held)
    for way in held:
        assert_true(way, frame, asked)


def test_a_weaker_model_of_a_sensitive_column_is_the_strongest_that_holds() -> None:
    """Of a fifth who are ill, one age has none and the other four in ten; both are 0.2 away."""
    models = "sensitive: {sick: [{kind: t-closeness, t: 0.1}]}"
    columns = f"{{age: keep, sex: generalize, sick: keep}}\n    {models}"
    asked = parse_policy(small_policy((PINNED[0], columns)))
    frame = make_people([0] * 10 + [1] * 6 + [9] * 4)
    found = find(frame, asked)
    assert found is not None
    (way,) = (way for way in found.ways if way.change.startswith("sick: "))
    assert way.holds
    assert_true(way, order_sensitive(frame, asked, asked.table_outlets["partner"]), asked)
    t = float(way.change.rpartition(" ")[2])
    assert t == pytest.approx(0.2)


def test_no_more_is_tried_once_the_time_is_up() -> None:
    """What was not tried is counted, and no way is made of it."""
    asked = policy(("k: 3", "k: 20"))
    trials = Trials(make_people(RARE), asked, "partner", THRESHOLD, seconds=-1)
    (change, *_) = lower_k(trials.asked)
    assert trials.run(change) is None
    assert (trials.untried, list(trials.tell(change))) == (1, [])


def test_a_change_that_check_would_refuse_is_not_tried() -> None:
    """A table that a model learns from keeps the model's columns."""
    asked = policy(("training: {model: logistic-regression}",
                    "training: {model: logistic-regression, input: partner}"))  # fmt: skip
    outlet = asked.table_outlets["partner"]
    changed = apply("leave out age", outlet)
    assert find_faults(change_policy(asked, "partner", changed))
    trials = Trials(make_people(RARE), asked, "partner", THRESHOLD)
    assert trials.run(Change("leave out age", changed)) is None


def test_what_was_only_to_be_released_is_not_read_without_its_table() -> None:
    """So that the changed policy is one that check takes."""
    asked = policy(("use: [feature, release, audit]", "use: [release]"))
    changed = change_policy(
        asked, "partner", apply("leave out sex", asked.table_outlets["partner"])
    )
    assert "sex" not in changed.columns
    assert not find_faults(changed)


def test_a_way_that_lets_one_group_lose_too_much_does_not_hold() -> None:
    """Women keep their ages. Men are four of each, so with k = 5 they alone lose them."""
    asked = parse_policy(
        small_policy(
            ("max_suppressed: 0.1", "max_suppressed: 0.1\n    loss_ratio: {sex: 1.2}"),
            ("k: 3", "k: 5"),
        )
    )
    frame = make_people([0, 1, 2, 3] * 20 + [4, 5, 6, 7] * 4)
    as_it_is = Change("as it is", asked.table_outlets["partner"])
    tried = Trials(frame, asked, "partner", THRESHOLD).run(as_it_is)
    assert tried is not None
    assert not tried.holds
    refusal = Refusal("loss by sex of partner", "too much")
    (found,) = find_table_ways(refusal, frame, asked, "partner", THRESHOLD)
    holds = {way.change: way.holds for way in found.ways}
    assert holds["k: 3"]
    assert holds["leave out age"]
    # Some loss beside none is more than any ratio.
    assert not holds["loss_ratio: sex: 12"]
    assert found.reached == tried.reached


def test_a_new_plan_is_a_way_out_of_too_many_left_out_beside_earlier_tables() -> None:
    """By a shorter period, whose plan is fitted to the people there are now; with what it costs."""
    refusal = Refusal("successive releases", "too many would be left out")
    frame = make_people([0, 1, 2, 3] * 20)
    (found,) = find_table_ways(refusal, frame, policy(), "partner", THRESHOLD)
    (way,) = (way for way in found.ways if way.change.startswith("period: "))
    assert way.change == "period: quarter"
    assert way.holds
    assert way.cost["suppressed_share"] is not None
