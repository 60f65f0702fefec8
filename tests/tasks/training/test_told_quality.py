"""From figures of a model's quality no number of people follows, whatever the outcomes were."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from expectations.disclosure import CLASS, TEN, Count, Disclosure, Published, rate, tell_average
from expectations.errors import Refusal
from expectations.policy.outcome import Classes, Number, Outcome
from tasks.training.quality import Scored, refuse_few, tell_quality

Numbers = NDArray[np.int64]
MOST = 500
HOMES = [Disclosure(b"home %d" % number) for number in range(3)]


CHANGES = sorted(
    ((p, q, hits, false)
     for p, q in product(range(-9, 10), repeat=2)
     for hits, false in product({0, p}, {0, q}) if p),
    key=lambda change: abs(change[0]) + abs(change[1]),
)  # fmt: skip
"""Other numbers of both classes and of those called positive, the nearest first."""


def make(positives: int, negatives: int, found: int, alarms: int) -> Scored:
    """Make people of whom so many are called positive, each surely."""
    outcomes = np.repeat([True, True, False, False], [
        found, positives - found, alarms, negatives - alarms,
    ])  # fmt: skip
    scores = np.repeat([0.9, 0.1, 0.9, 0.1], [
        found, positives - found, alarms, negatives - alarms,
    ])  # fmt: skip
    return Scored(scores, outcomes)


def every_outcome() -> list[Numbers]:
    """Give every two classes of 50 people or more, up to 500 in all, with some calls of each."""
    sizes = range(CLASS, MOST - CLASS + 1)
    pairs = [(p, q) for p in sizes for q in sizes if p + q <= MOST]
    p, q = (np.array(side) for side in zip(*pairs, strict=True))
    calls = [
        (found, alarms) for found in (p * 0, p // 2, p - 1, p) for alarms in (q * 0, q // 3, q)
    ]
    found, alarms = (np.concatenate(side) for side in zip(*calls, strict=True))
    return [np.tile(p, len(calls)), np.tile(q, len(calls)), found, alarms]


def agree(numbers: list[Numbers], told: list[Numbers]) -> NDArray[np.bool_]:
    """Say where one key could have published these numbers so; hidden ones are told as 0.

    A number is rounded up from its tens' turn on, so no two of the same tens may be rounded apart
    where the larger one goes down.
    """
    fits = np.ones(len(numbers[0]), dtype=bool)
    for number, about in zip(numbers, told, strict=True):
        tens = number // TEN * TEN
        fits &= np.where(
            number < TEN, about == 0, (about == tens) | ((about == tens + TEN) & (number > tens))
        )
    for one, other in combinations(range(len(numbers)), 2):
        for up, down in ((one, other), (other, one)):
            same = (numbers[up] // TEN == numbers[down] // TEN) & (numbers[up] >= TEN)
            raised = told[up] > numbers[up]
            fits &= ~(
                same & raised & (told[down] <= numbers[down]) & (numbers[up] <= numbers[down])
            )
    return fits


def bound_auc(p: Numbers, q: Numbers, found: Numbers, alarms: Numbers) -> list[NDArray[np.float64]]:
    """Give the least and the largest AUC of people of whom so many are called positive."""
    hits, false = found / p, alarms / q
    return [hits * (1 - false), 1 - (1 - hits) * false]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("end", [0, 1])
def test_more_than_one_number_of_people_fits_whatever_is_told(home: Disclosure, end: int) -> None:
    """Another number with the outcome has the same figures, for every two classes up to 500 people.

    Every share and interval is made of the five published counts, and the AUC lies in a step. So
    other numbers must be found that a key publishes so, and whose AUC can lie in the same step.
    """
    about = np.array([home.publish(Count(n)).about or 0 for n in range(MOST + 1)])
    outcomes = every_outcome()
    ends = [bound_auc(*outcomes)[end]]
    for change in CHANGES:
        p, q, found, alarms = outcomes
        told = [about[n] for n in (p, q, p + q, found, alarms)]
        step = TEN / np.minimum(*(np.maximum(one - TEN + 1, TEN) for one in told[:2]))
        shown = np.round(ends[0] / step) * step
        others = [n + by for n, by in zip(outcomes, change, strict=True)]
        fits = (others[2] <= others[0]) & (others[3] <= others[1])
        fits &= (others[2] >= 0) & (others[3] >= 0)
        fits &= agree([*others[:2], others[0] + others[1], *others[2:]], told)
        low, high = bound_auc(*others)
        fits &= (low <= shown + step / 2) & (high >= shown - step / 2)
        outcomes, ends = [one[~fits] for one in outcomes], [ends[0][~fits]]
    assert not len(ends[0]), [list(one[:5]) for one in outcomes]


def test_figures_are_made_of_published_counts_and_steps_alone() -> None:
    """Outcomes with the same published counts have the same shares; AUC and Brier differ by steps.

    The intervals too: nothing else of the people goes into them.
    """
    home = HOMES[0]
    seen: dict[tuple[Published, ...], list[object]] = {}
    for p, q in product(range(60, 76), range(91, 100)):
        told = tell_quality(make(p, q, 40, 20), home)
        calls = told.calls
        key = (calls.positives, calls.negatives)
        figures = (calls.accuracy, calls.base_rate, calls.true_positive_rate)
        assert seen.setdefault(key, [figures])[0] == figures
        if told.auc is not None:
            seen[key].append((told.auc, told.auc_low, told.auc_high))
    assert len(seen) < 8
    for figures, *aucs in seen.values():
        assert len(set(aucs)) <= 2, figures


def test_ten_people_hardly_move_an_average() -> None:
    """A step is ten times what one of the fewest people can change it by."""
    for about in (50, 60, 150, 800):
        least = Published(about, 10).least
        steps = sorted({tell_average(n / 1e4, least) for n in range(10_001)})
        assert min(np.diff(steps[:-1])) >= TEN / least - 1e-9
        assert max(abs(tell_average(n / 1e4, least) - n / 1e4) for n in range(10_001)) <= (
            TEN / least / 2 + 1e-9
        )


def test_a_share_of_hidden_people_tells_that_they_are_hidden() -> None:
    """Nobody and nine people have the same one."""
    home = HOMES[0]
    whole = home.publish(Count(200))
    shares = {rate(home.publish(Count(few)), whole) for few in range(10)}
    assert shares == {5 / 200}
    assert rate(home.publish(Count(0)), Published(0, 0)) == 0


@pytest.mark.parametrize(("positives", "negatives"), [(49, 900), (900, 49), (0, 900)])
def test_a_class_of_fewer_than_fifty_refuses(positives: int, negatives: int) -> None:
    """Of either outcome; the exact number is not said."""
    outcomes = pd.Series(np.repeat(["yes", "no"], [positives, negatives]))
    with pytest.raises(Refusal, match=r"evaluation: .* need at least 50 each") as refused:
        refuse_few(outcomes, Classes(("no", "yes")), HOMES[0])
    assert "49" not in str(refused.value)
    refuse_few(pd.Series(np.repeat(["yes", "no"], [50, 50])), Classes(("no", "yes")), HOMES[0])


def test_a_refused_class_is_named_with_its_published_share_and_what_would_do() -> None:
    """So that its reader knows which outcome is rare, how rare, and how far off the data are."""
    outcomes = pd.Series(np.repeat(["yes", "no"], [30, 270]))
    with pytest.raises(Refusal) as refused:
        refuse_few(outcomes, Classes(("no", "yes")), HOMES[0])
    said = str(refused.value)
    assert "about 30 of about 300 test people (10 %) have the outcome `yes`" in said
    assert "about 500 test people" in said
    assert "choose an outcome that more people have" in said


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        pytest.param(
            np.repeat(["a", "b", "c"], [90, 49, 49]), Classes(("a", "b", "c")), id="words"
        ),
        pytest.param(np.arange(99.0), Number(0, 100), id="numbers"),
    ],
)
def test_too_few_people_for_any_figure_of_words_or_numbers_refuse(
    outcomes: np.ndarray, outcome: Outcome
) -> None:
    """Figures need two classes of 50 people, or 100 people of whom there are numbers."""
    with pytest.raises(Refusal, match="figures of so few would tell of each"):
        refuse_few(pd.Series(outcomes), outcome, HOMES[0])
    refuse_few(pd.Series(np.repeat(outcomes, 2)), outcome, HOMES[0])
