"""Who leaves or comes alone: their class is one of several that shrink, and none grows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from expectations.checks import Check
from expectations.policy.outlets import TableOutlet
from expectations.policy.vocabulary import CheckVerdict
from tasks.anonymization.releases import decoys
from tasks.anonymization.releases.difference_attack import Row, judge_moves
from tasks.anonymization.releases.release import Past, choose_rows
from tests.tasks.anonymization.releases.release_waves import (
    PLAIN,
    Person,
    count,
    fitted,
    observe,
    people,
)

WARNED = CheckVerdict.WARNED
MANY: list[Person] = [(n << 40, n % 4, n // 4 % 2, 0) for n in range(160)]
"""Twenty people in each of eight classes."""


@pytest.fixture(autouse=True)
def two_decoys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two others seem to leave, on average, though the people are few."""
    monkeypatch.setattr(decoys, "MOST", 2)
    monkeypatch.setattr(decoys, "SHARE", 1.0)


def sizes_of(
    waves: Sequence[Sequence[Person]], secret: bytes, outlet: TableOutlet = PLAIN
) -> list[dict[Row, int]]:
    """Release one wave after the other; give the rows of each class, by table."""
    plan, past, seen = fitted(*MANY), [], []
    for wave in waves:
        made = choose_rows(people(wave), outlet, plan, Past(tuple(past)), secret).frame
        past.append(count(made, outlet))
        seen.append({labels: n for (labels, _), n in observe(made, outlet).items()})
    return seen


def shrunk(before: dict[Row, int], after: dict[Row, int]) -> set[Row]:
    """Name the classes that lost rows."""
    return {row for row, number in before.items() if after.get(row, 0) < number}


def test_the_class_that_shrank_is_not_certainly_the_leavers() -> None:
    """With two decoys on average theirs alone shrinks once in seven times, not always."""
    alone, odds = 0, []
    for seed in range(50):
        left = [one for one in MANY if one[0] >> 40 != seed]
        found = shrunk(*sizes_of([MANY, left], b"secret %d" % seed))
        alone += len(found) == 1
        odds.append(1 / len(found))
    assert alone <= 15
    assert np.mean(odds) == pytest.approx((1 - np.exp(-2)) / 2, abs=0.12)


def test_what_seemed_to_leave_stays_away() -> None:
    """A class that came back when the next person left would be known to be nobody's."""
    left = [MANY[1:], MANY[2:], MANY[3:]]
    for seed in range(10):
        seen = sizes_of([MANY, *left], b"secret %d" % seed)
        for before, after in pairwise(seen):
            assert not shrunk(after, before)


def test_decoys_do_not_leave_out_more_than_the_policy_allows() -> None:
    """Where only the leaver's own class fits, only that shrinks."""
    outlet = PLAIN.model_copy(update={"max_suppressed": 3 / 150})
    for seed in range(10):
        before, after = sizes_of([MANY, MANY[1:]], b"secret %d" % seed, outlet)
        assert len(shrunk(before, after)) == 1


def test_nobody_seems_to_leave_where_nobody_left() -> None:
    """The same people, or more of them, lose no row."""
    for seed in range(10):
        first, *later = sizes_of([MANY[:150], MANY[:150], MANY], b"secret %d" % seed)
        assert not any(shrunk(first, one) for one in later)


def test_no_class_grows_alone() -> None:
    """Three newcomers to one class wait until two other classes can grow with theirs."""
    newcomers = [((200 + n) << 40, 0, 0, 0) for n in range(3)]
    more = [((300 + n) << 40, 1 + n % 2, 0, 0) for n in range(6)]
    first, alone, together = sizes_of([MANY, [*MANY, *newcomers], [*MANY, *newcomers, *more]], b"s")
    assert alone == first
    assert sum(together.values()) == sum(first.values()) + 9


def test_a_class_that_moves_alone_is_warned_of() -> None:
    """By the files alone; several, or none, are not, and beyond a few no number is told."""
    sizes = {f"class {n}": 9 for n in range(9)}

    def judge(**moved: int) -> Check | None:
        two = [
            Counter({((row,), ()): n for row, n in some.items()}) for some in (sizes, sizes | moved)
        ]
        return judge_moves(two[0], two[1], "partner")

    few = {f"class {n}": 4 for n in range(7)}
    alone, together, grown = judge(**{"class 0": 4}), judge(**few), judge(new=9)
    assert judge() is None
    assert alone is not None
    assert (alone.verdict, alone.measured) == (WARNED, "1 class shrank, no class grew")
    assert together is not None
    assert (together.verdict, together.measured) == (
        CheckVerdict.PASSED, "5 classes or more shrank, no class grew")  # fmt: skip
    assert grown is not None
    assert grown.verdict is WARNED
