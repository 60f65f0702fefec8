"""A group is attacked by itself where it is large enough, and judged with its power."""

import numpy as np
import pandas as pd
import pytest

from tasks.attack.membership_groups import (
    AttackedGroups,
    GroupSeparation,
    describe_group,
    separate_groups,
)
from tasks.attack.separation import Separation


def make_group(low: float, high: float, detectable: float = 0.55) -> GroupSeparation:
    """Give a group that came out so."""
    return GroupSeparation("c", "g", Separation((low + high) / 2, low, high, detectable))


def separate(sizes: dict[str, tuple[int, int]], smallest: int = 10) -> AttackedGroups:
    """Attack groups of so many members and non-members with scores of chance."""
    labels = [label for label, sides in sizes.items() for _ in range(sum(sides))]
    member = [k < inside for inside, out in sizes.values() for k in range(inside + out)]
    score = np.random.default_rng(1).normal(size=len(labels))
    columns = pd.DataFrame({"region": labels}, dtype=object)
    return separate_groups(score, np.array(member), columns, smallest)


def test_a_group_under_the_smallest_cohort_is_neither_attacked_nor_named() -> None:
    """On either side: nine non-members are too few to tell of."""
    found = separate({"a": (40, 40), "b": (40, 9), "c": (9, 40)})
    assert [one.group for one in found.attacked] == ["a"]
    assert found.too_small == 2


def test_people_without_a_label_are_a_group() -> None:
    """They can leak as anybody else."""
    columns = pd.DataFrame({"region": ["a", None] * 10}, dtype=object)
    found = separate_groups(np.arange(20.0), np.arange(20) < 10, columns, 2)
    assert [one.group for one in found.attacked] == ["a", "missing"]


def test_more_groups_widen_each_interval() -> None:
    """A group's bad luck must not be found just because many were looked at."""
    (alone,) = separate({"a": (40, 40)}).attacked
    among, *_ = separate({"a": (40, 40), "b": (40, 40), "c": (40, 40)}).attacked
    assert among.separation.auc == alone.separation.auc
    assert among.separation.high > alone.separation.high
    assert among.separation.detectable > alone.separation.detectable


@pytest.mark.parametrize(
    ("group", "verdict"),
    [
        pytest.param(make_group(0.45, 0.58), "passed", id="within"),
        pytest.param(make_group(0.55, 0.68), "inconclusive", id="leaks-perhaps-over-the-limit"),
        pytest.param(make_group(0.65, 0.75, 0.8), "refused", id="leaks-whatever-the-power"),
        pytest.param(make_group(0.45, 0.65), "inconclusive", id="neither-is-certain"),
        pytest.param(make_group(0.45, 0.58, 0.7), "inconclusive", id="no-power"),
        pytest.param(make_group(0.51, 0.58), "passed", id="leaks-within-the-limit"),
    ],
)
def test_a_group_is_judged_by_what_is_certain_of_it(group: GroupSeparation, verdict: str) -> None:
    """Refused only where it leaks for certain; passed only with power."""
    assert group.verdict(0.6) == verdict


@pytest.mark.parametrize(
    ("groups", "verdict"),
    [
        pytest.param([(0.45, 0.58), (0.55, 0.78), (0.65, 0.7)], "refused", id="one-leaks"),
        pytest.param([(0.45, 0.58), (0.4, 0.7)], "inconclusive", id="one-unknown"),
        pytest.param([(0.45, 0.58)], "passed", id="all-known"),
        pytest.param([], "inconclusive", id="none"),
    ],
)
def test_the_worst_group_decides(groups: list[tuple[float, float]], verdict: str) -> None:
    """And is the one that is named, when it is refused."""
    found = AttackedGroups(tuple(make_group(*one) for one in groups))
    assert found.verdict(0.6) == verdict
    if verdict == "refused":
        worst = found.find_worst(0.6)
        assert worst is not None
        assert worst.verdict(0.6) == "refused"


@pytest.mark.parametrize(
    ("people", "told"),
    [(5000, "0.54 (0.48 to 0.62)"), (300, "0.50 (0.40 to 0.70)"), (60, "0.60 (0.40 to 0.80)")],
)
def test_a_group_is_told_in_steps_of_ten_or_twenty_of_its_people(people: int, told: str) -> None:
    """Finer ones would tell how many of a few people were compared."""
    found = Separation(0.5437, 0.4872, 0.6014, 0.7, people)
    words = describe_group(GroupSeparation("c", "g", found))
    assert words == f"worst: c g, AUC {told}"


def test_a_kept_limit_is_not_told_as_passed() -> None:
    """The end of the interval goes up to the next step, but no farther than to the limit."""
    found = Separation(0.5437, 0.4872, 0.6014, 0.7, 60)
    assert found.tell(0.65)[2] == 0.65
    assert found.tell(0.6)[2] == pytest.approx(0.8)
