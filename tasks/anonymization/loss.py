"""What a recoding cost: by column, by group of people, and in the measures of the literature.

For the person who chooses hierarchies or k. Three views, each of a whole release:

- `measure`: what k, suppression and the labels came to, on histograms of distinct tuples.
- `measure_losses` and what follows: who pays for k. Local recoding keeps detail where many are
  alike, so that minorities lose more. A person's loss is the mean, over the columns that k holds
  over, of the share of a column's other values that their label stands for as well (Iyengar 2002):
  0 keeps all, 1 loses all, as for who is left out.
- `measure_granularity` and `measure_query_error`: figures to compare with other tools. They need to
  know which of a column's values a released label stands for: its cover.

None says whether the table is good enough for a use that is not named (for a model, see
`tasks.training.tradeoff`). What the search itself minimizes is `tuples.Tuples.losses`. The check
that a release is k-anonymous is `expectations.measures.measures`, which shares no code with the
recoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.checks import Check
from expectations.disclosure import Count, bound_share
from expectations.policy.vocabulary import MISSING, CheckVerdict
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.plan import mark_leaves

if TYPE_CHECKING:
    import pandas as pd


PEOPLE = "_people"


@dataclass(frozen=True)
class Measures:
    """What a recoding reached and cost.

    `loss` is Iyengar's per column (2002): leaves of the hierarchy under the released label, from 0
    (none but itself) to 1 (all), averaged over people; `ncp` the mean over columns of the same
    with only the data's values as leaves. A suppressed person costs 1 in every column.
    `discernibility` is the mean size of a released person's class: Bayardo and Agrawal, "Data
    privacy through optimal k-anonymization" (2005), section 2.1, by person and without those who
    are suppressed.
    """

    k: int
    suppressed: float
    classes: int
    loss: Mapping[str, float]
    ncp: float
    discernibility: float


def measure(
    released: pd.DataFrame,
    histogram: pd.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    members: Mapping[str, Mapping[str, Sequence[str]]],
) -> Measures:
    """Compare a histogram with what a plan made of it, under hierarchies of what it was made from.

    `members` are per column and released label the labels that it stands for (`Plan.members`).
    """
    columns = sorted(hierarchies)
    people = histogram[PEOPLE].to_numpy()
    kept = released[PEOPLE].to_numpy()
    # Not 1 - the share kept, which is off in its last digits.
    lost = float((people.sum() - kept.sum()) / people.sum()) if len(people) else 0.0
    sizes = released.groupby(columns, observed=True)[PEOPLE].sum()
    loss, penalty = {}, []
    for column in columns:
        label, categories = released[column].cat.codes, released[column].cat.categories
        weight = np.bincount(label, kept, len(categories)) / max(people.sum(), 1)
        hierarchy, values = hierarchies[column], histogram[column]
        declared, seen = _widths(hierarchy, values, [members[column][name] for name in categories])
        loss[column] = float(lost + weight @ declared)
        penalty.append(lost + weight @ seen)
    return Measures(
        k=int(sizes.min()) if len(sizes) else 0,
        suppressed=lost,
        classes=len(sizes),
        loss=MappingProxyType(loss),
        ncp=float(np.mean(penalty)),
        discernibility=float((sizes.astype(float) ** 2).sum() / max(sizes.sum(), 1)),
    )


def _widths(
    hierarchy: Hierarchy, values: pd.Series, labels: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss of each label, 0 to 1, with all declared leaves, and with those in the data only."""
    seen = np.bincount(hierarchy.encode(values), minlength=hierarchy.groups.shape[1]) > 0
    declared = seen | (np.arange(len(seen)) < len(hierarchy.levels))
    marked = mark_leaves(hierarchy, [tuple(each) for each in labels])
    found = []
    for counted in (declared, seen):
        leaves = marked[:, counted].sum(axis=1)
        found.append(np.maximum(leaves - 1, 0) / max(counted.sum() - 1, 1))
    return found[0], found[1]


CHANCE: Final = 0.05
"""How often some two of the groups that lose alike may seem this far apart by chance."""


@dataclass(frozen=True, slots=True)
class GroupLoss:
    """The mean loss of one group, 0 to 1, its standard deviation, and who is in it."""

    group: str
    people: Count
    loss: float
    spread: float


def measure_losses(
    frame: pd.DataFrame,
    released: pd.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    members: Mapping[str, Mapping[str, Sequence[str]]],
) -> NDArray[np.float64]:
    """Give each person's loss, in the order of `frame`; `released` has the same index, or part.

    `members` are per column and released label the labels that it stands for (`Plan.members`).
    """
    lost = np.ones(len(frame))
    where = frame.index.get_indexer(released.index)
    columns = [_lose(frame[c], released[c], h, members[c]) for c, h in hierarchies.items()]
    lost[where] = np.mean(columns, axis=0) if columns else 0.0
    return lost


def _lose(
    values: pd.Series, labels: pd.Series, hierarchy: Hierarchy, members: Mapping[str, Sequence[str]]
) -> NDArray[np.float64]:
    """Give the loss of each row's label: other values under it, of all other values.

    A missing value counts among the values where somebody has one.
    """
    import pandas as pd

    number, distinct = pd.factorize(labels.astype(str))
    seen = np.unique(hierarchy.encode(values))
    leaves = np.union1d(seen, np.arange(len(hierarchy.levels)))
    marked = mark_leaves(hierarchy, [tuple(members[label]) for label in distinct])
    others = marked[:, leaves].sum(axis=1) - 1
    lost: NDArray[np.float64] = np.maximum(others, 0)[number] / max(len(leaves) - 1, 1)
    return lost


def compare_groups(frame: pd.DataFrame, column: str, lost: NDArray[np.float64]) -> list[GroupLoss]:
    """Give the loss of each group of a column, the missing as one, in the order of their names."""
    groups = frame[column].astype(object).where(frame[column].notna(), MISSING).astype(str)
    found = []
    for name, places in sorted(groups.groupby(groups).indices.items()):
        mean, spread = float(lost[places].mean()), float(lost[places].std())
        found.append(GroupLoss(str(name), Count(len(places)), mean, spread))
    return found


def show_groups(groups: list[GroupLoss], threshold: int) -> list[GroupLoss]:
    """Give the groups that are large enough to be shown."""
    return [group for group in groups if group.people.exact >= threshold]


def tell_loss(group: GroupLoss, threshold: int) -> float:
    """Give a bound that the group's loss does not exceed, as of a share of people left out."""
    return bound_share(group.loss, group.people.exact, threshold)


def judge_ratio(
    groups: list[GroupLoss], column: str, allowed: float, outlet: str, *, frozen: bool
) -> Check:
    """Judge how many times as much the worst-treated group loses as the best.

    `groups` are those that may be shown; `frozen` says that the plan is of an earlier run. What
    chance could do is taken from two groups of these sizes that lose alike.
    """
    ordered = sorted(groups, key=lambda one: (one.loss, one.group))
    if len(ordered) < 2:
        return _word(
            (column, allowed, outlet), "fewer than two groups are large enough to be compared",
            CheckVerdict.INCONCLUSIVE, "nothing: there is nothing to compare", frozen=frozen,
        )  # fmt: skip
    best, worst = ordered[0], ordered[-1]
    ratio = worst.loss / best.loss if best.loss else (math.inf if worst.loss else 1.0)
    least = find_least_ratio(best, worst, math.comb(len(groups), 2))
    verdict = CheckVerdict.PASSED if ratio <= allowed else CheckVerdict.REFUSED
    if least > max(allowed, ratio if ratio > allowed else 0):
        verdict = CheckVerdict.INCONCLUSIVE
    told = "some loss against none" if math.isinf(ratio) else f"{ratio:.1f} times as much"
    power = f"a ratio of {least:.2f} at these sizes; a smaller one may be chance"
    if math.isinf(least):
        power = "nothing: with groups of these sizes any ratio may be chance"
    measured = f"{told} ({worst.group} beside {best.group})"
    return _word((column, allowed, outlet), measured, verdict, power, frozen=frozen)


def find_least_ratio(one: GroupLoss, other: GroupLoss, pairs: int = 1) -> float:
    """Give the smallest ratio of two groups' losses that is told from chance, 1 to infinity.

    The logarithm of the ratio of two means has about the variance of the sum of s² / (n m²) (delta
    method), here with the mean m of both together, as if they lost alike. `pairs` is the number of
    pairs from which these two were picked (Bonferroni).
    """
    groups = (one, other)
    mean = np.average([g.loss for g in groups], weights=[g.people.exact for g in groups])
    if mean == 0:
        return 1.0
    error = math.sqrt(sum(g.spread**2 / g.people.exact for g in groups)) / mean
    far = NormalDist().inv_cdf(1 - CHANCE / 2 / pairs) * error
    return math.exp(far) if far < 700 else math.inf


def _word(
    asked: tuple[str, float, str], measured: str, verdict: CheckVerdict, power: str, *, frozen: bool
) -> Check:
    column, allowed, outlet = asked
    remedy = (
        "raise the weight of the columns that these people lose, lower k, leave more people out, "
        "put small groups together, or allow a larger ratio with a reason"
    )
    if frozen:
        remedy += "; the plan is frozen, so change the policy, or wait for the next period"
    return Check(
        f"loss by {column} of {outlet}",
        f"at most {allowed:g} times as much loss for the worst-treated group as for the best",
        measured, verdict, power, remedy, outlet,
    )  # fmt: skip


Cover = Mapping[str, frozenset[str]]
"""Per label the values that it stands for."""

QUERIES: Final = 500
SELECTED: Final = 0.5
"""The share of a column's values that a query asks for, as in LeFevre et al. (2006)."""
FLOOR: Final = 0.001
"""Errors are relative to at least this share of the people (Xiao and Tao 2006, section 6)."""


@dataclass(frozen=True)
class Detail:
    """One column as it was and as it is released, by rows that each stand for some people.

    `values` are all that the column can hold, `before` the number of each row's value, shape
    (rows,), `after` that of each released row's label, shape (released,), and `share` what a
    label tells of each value: 1 / (number of values it stands for), shape (labels, values).
    """

    values: tuple[str, ...]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """How many people each row stands for: of the rows as they were, and of the released ones."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @classmethod
    def one_each(cls, before: int, after: int) -> People:
        """Take each of so many rows for a person."""
        return cls(np.ones(before, dtype=np.int64), np.ones(after, dtype=np.int64))

    @property
    def count(self) -> int:
        """How many people there were."""
        return int(self.before.sum())


def find_cover(
    hierarchy: Hierarchy, values: Iterable[str], members: Mapping[str, Iterable[str]]
) -> Cover:
    """Say which leaves each label stands for: a value for itself, a released one as a plan says.

    `members` are per released label the labels of the hierarchy that it names (`Plan.members`).
    """
    leaves: dict[str, set[str]] = {}
    for level in range(hierarchy.depth):
        for leaf, group in enumerate(hierarchy.groups[level, :-1]):
            label = hierarchy.labels[level][group]
            leaves.setdefault(label, set()).add(hierarchy.labels[0][leaf])
    cover = {value: frozenset((value,)) for value in (*values, *hierarchy.labels[0])}
    for label, named in members.items():
        cover[label] = frozenset().union(*(leaves.get(one, {one}) for one in named))
    return cover


def compare_column(before: pd.Series, after: pd.Series, cover: Cover) -> Detail:
    """Line up a column's values and its released labels; every value must be under some label."""
    import pandas as pd

    values = pd.Index(sorted(frozenset().union(*cover.values())), dtype=str)
    labels = pd.Index(sorted(cover), dtype=str)
    share = np.zeros((len(labels), len(values)))
    for number, label in enumerate(labels):
        members = values.get_indexer(pd.Index(sorted(cover[label])))
        share[number, members] = 1 / len(members)
    return Detail(
        tuple(values),
        values.get_indexer(pd.Index(before.astype(str))).astype(np.int64),
        labels.get_indexer(pd.Index(after.astype(str))).astype(np.int64),
        share,
    )


def measure_granularity(columns: Sequence[Detail], people: People) -> float:
    """Give 1 - the mean share of a column's values that a released label stands for, 0 to 1.

    Iyengar, "Transforming data to satisfy privacy constraints" (2002), turned so that more is
    better; a person left out counts as all values.
    """
    kept = []
    for column in columns:
        width = (column.share > 0).sum(axis=1) / max(len(column.values), 1)
        kept.append(float((1 - width)[column.after] @ people.after / max(people.count, 1)))
    return float(np.mean(kept)) if kept else 0.0


def measure_query_error(columns: Sequence[Detail], people: People) -> float | None:
    """Give the median relative error of counts asked of the release, 0 to infinity.

    Each of 500 queries asks how many people have, in two columns, one of half the values. The
    answer from the release takes a label as any of its values alike (LeFevre et al. 2006, section
    5.4). The queries are the same for the same columns. None with fewer than two columns.
    """
    if len(columns) < 2 or not people.count:
        return None
    draw = np.random.default_rng(2006)
    errors = np.empty(QUERIES)
    for query in range(QUERIES):
        true, guess = people.before.astype(float), people.after.astype(float)
        for at in draw.choice(len(columns), 2, replace=False):
            wanted = _draw_values(draw, len(columns[at].values))
            true *= wanted[columns[at].before]
            guess *= (columns[at].share @ wanted)[columns[at].after]
        errors[query] = abs(guess.sum() - true.sum()) / max(true.sum(), FLOOR * people.count)
    return float(np.median(errors))


def _draw_values(draw: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Mark about half of a column's values, at least one."""
    wanted = np.zeros(count)
    wanted[draw.choice(count, max(1, round(SELECTED * count)), replace=False)] = 1
    return wanted
