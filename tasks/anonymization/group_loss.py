"""Who pays for k: how much detail each declared group of people loses in a table.

Local recoding keeps detail where many are alike, so that minorities lose more. A person's loss is
the mean, over the columns that k holds over, of the share of a column's other values that their
label stands for as well (Iyengar 2002): 0 keeps all, 1 loses all, as for who is left out. It is the
loss of this release for these people; whether that matters for a use is not said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
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
    told = "some loss beside none" if math.isinf(ratio) else f"{ratio:.1f} times as much"
    power = f"a ratio of {least:.2f} at these sizes; a smaller one may be chance"
    if math.isinf(least):
        power = "nothing: at these sizes any ratio may be chance"
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
        remedy += "; the plan is frozen, so that a changed policy or the next period begins anew"
    return Check(
        f"loss by {column} of {outlet}",
        f"at most {allowed:g} times as much loss for the worst-treated group as for the best",
        measured, verdict, power, remedy, outlet,
    )  # fmt: skip
