"""How a model treats the groups of a column that is there to be audited by, told in public figures.

Measured by `fairlearn` on people the model was not trained on, of published counts of them
(`tasks.training.quality`). A group of which either class is under the minimum size is not shown,
and no figure of it follows from the others and the whole: with it further ones are left out, until
those left out have together as many people of each class. How far apart groups are has intervals
that hold for all pairs of them at once. Why groups differ is not known here, nor whether a
difference is just.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, TypeAlias

from expectations.disclosure import CLASS, TEN, Count, Disclosure
from expectations.policy.vocabulary import MISSING, Use
from ledgers.evidence import JSON
from tasks.account.measured import Difference, GroupQuality
from tasks.airlock.run import Desk
from tasks.training.quality import (
    Calls,
    Kind,
    Scored,
    count_calls,
    seal_counts,
    tell_quality,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


GROUPS: Final = "utility.groups."
"""What the table of a column's groups is called, before the column's name."""
Rate: TypeAlias = tuple[float, float]
"""A share of people, 0 to 1, and of how many people it is one."""
DIFFERENCES: Final[Mapping[str, Mapping[str, Kind]]] = {
    "demographic_parity": {"selection_rate": "people"},
    "equalized_odds": {"true_positive_rate": "positives", "false_positive_rate": "negatives"},
}
"""Each difference: the rates of which it is the largest, and whose share each rate is."""
ROUNDED: Final = TEN**2 / 6
"""The variance that rounding to tens gives to a count, on average over its last digits."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """The groups that may be shown, how far apart they are, and under seal their exact counts."""

    groups: tuple[GroupQuality, ...] = ()
    differences: tuple[Difference, ...] = ()
    exact: Mapping[str, Mapping[str, Count]] = field(default_factory=dict, compare=False)

    def note(self, desk: Desk, column: str) -> None:
        """Note them for the groups of one column."""
        body: list[JSON] = [asdict(group) for group in self.groups]
        exact: dict[str, JSON] = {n: seal_counts(counts) for n, counts in self.exact.items()}
        desk.note("table", f"{GROUPS}{column}", body, sealed=exact)
        for difference in self.differences:
            for name in ("value", "low", "high"):
                suffix = "" if name == "value" else f"_{name}"
                measure = f"fairness.{difference.name}{suffix}.{column}"
                desk.measure(measure, getattr(difference, name))


def list_audited(desk: Desk) -> Iterator[tuple[str, int]]:
    """Give each column that is there to be audited by, and how many people a group has at least."""
    smallest = max(CLASS, desk.policy.population.smallest // 20)
    for column in desk.policy.used_as(Use.AUDIT):
        yield column, smallest


def name_groups(groups: pd.Series) -> NDArray[np.object_]:
    """Name each person's group; people without one are a group."""
    named = groups.astype(object).where(groups.notna(), MISSING).astype(str).to_numpy()
    return named.astype(object)


def audit(desk: Desk, scored: Scored, tested: pd.DataFrame) -> None:
    """Note the model's figures for each group of the columns that are there to be audited by.

    `tested` holds the same people as `scored`, row by row.
    """
    for column, smallest in list_audited(desk):
        compare_groups(scored, tested[column], smallest, desk.run.disclosure).note(desk, column)


def compare_groups(
    scored: Scored, groups: pd.Series, minimum: int, disclosure: Disclosure
) -> Fairness:
    """Measure each group that may be shown; people without a group are a group.

    `groups` is aligned with `scored` by position. Shown are groups with `minimum` people of either
    class. With weights the figures are of the people as they are weighted; who is shown is not.
    """
    names = name_groups(groups)
    shown = choose_shown(count_classes(scored, names), minimum)
    people = {name: scored.among(names == name) for name in shown}
    told = {name: tell_quality(some, disclosure) for name, some in people.items()}
    calls = {name: found.calls for name, found in told.items()}
    rates = measure_rates(calls)
    groups_told = [
        GroupQuality(
            group=name,
            people=str(disclosure.publish(Count(len(people[name].scores)))),
            auc=_round(found.auc),
            auc_low=_round(found.auc_low),
            auc_high=_round(found.auc_high),
            **{figure: round(share, 2) for figure, share in rates[name].items()},
        )
        for name, found in told.items()
    ]
    exact = {name: count_calls(some) for name, some in people.items()}
    return Fairness(tuple(groups_told), tuple(list_differences(rates, calls)), exact)


def count_classes(scored: Scored, names: NDArray[np.object_]) -> pd.DataFrame:
    """Count the people of each class in each group."""
    import pandas as pd

    classes = pd.DataFrame({"positives": scored.positive, "negatives": ~scored.positive})
    return classes.groupby(names).sum()


def choose_shown(sizes: pd.DataFrame, minimum: int) -> list[str]:
    """Name the groups that may be shown, of the numbers of people (groups x kinds of people).

    With groups under the minimum the next larger ones are left out, until those left out have
    together as many people of each kind: what the others and the whole tell is of them all.
    """
    ordered = sizes.loc[sizes.min(axis=1).sort_values(kind="stable").index]
    hidden = int((ordered.min(axis=1) < minimum).sum())
    while 0 < hidden < len(ordered) and (ordered.iloc[:hidden].sum() < minimum).any():
        hidden += 1
    return sorted(str(name) for name in ordered.index[hidden:])


def measure_rates(calls: Mapping[str, Calls]) -> dict[str, dict[str, float]]:
    """Measure how often people of each group are called positive, of published counts alone."""
    import pandas as pd
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )

    cells = pd.DataFrame(
        [
            (group, positive, called, people)
            for group, one in calls.items()
            for positive, called, people in one.cells
        ],
        columns=["group", "positive", "called", "people"],
    )
    if cells.empty:
        return {}
    known = (selection_rate, true_positive_rate, false_positive_rate)
    names = [rate.__name__ for rate in known]
    measured = MetricFrame(
        metrics=dict(zip(names, known, strict=True)),
        y_true=cells["positive"],
        y_pred=cells["called"],
        sensitive_features=cells["group"],
        sample_params={name: {"sample_weight": cells["people"]} for name in names},
    )
    return {
        str(group): {name: float(row[name]) for name in names}
        for group, row in measured.by_group.iterrows()
    }


def list_differences(
    rates: Mapping[str, Mapping[str, float]], calls: Mapping[str, Calls]
) -> Iterator[Difference]:
    """Find the largest differences of what is shown of two groups or more.

    An interval above 0 means that some two groups differ by more than chance and rounding,
    however many there are.
    """
    if len(rates) < 2:
        return
    for name, kinds in DIFFERENCES.items():
        families = [
            [(rates[group][rate], one.count_effective(kind)) for group, one in calls.items()]
            for rate, kind in kinds.items()
        ]
        value = max(max(family)[0] - min(family)[0] for family in families)
        low, high = bound_largest_difference(families, ROUNDED)
        yield Difference(name, round(value, 2), round(low, 2), round(high, 2))


def bound_largest_difference(
    families: Sequence[Sequence[Rate]], rounded: float = 0.0
) -> tuple[float, float]:
    """Bound the largest difference of two rates of one family with 95 % confidence.

    Every pair has its interval (Newcombe 1998, method 10, of Wilson's) at a level that holds for
    all pairs at once (Bonferroni), since which two differ most is seen only in the data. `rounded`
    is the variance that rounding gave to each count.
    """
    pairs = [pair for family in families for pair in combinations(family, 2)]
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    bounds = [_bound_difference(one, other, z, rounded) for one, other in pairs]
    return max(low for low, _ in bounds), max(high for _, high in bounds)


def _bound_difference(one: Rate, other: Rate, z: float, rounded: float) -> tuple[float, float]:
    """Bound |p - q| by Newcombe's interval of p - q."""
    (q, m), (p, n) = sorted((one, other))
    (p_low, p_high), (q_low, q_high) = bound_rate(p, n, z, rounded), bound_rate(q, m, z, rounded)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return max(low, 0.0), max(high, -low)


def bound_rate(rate: float, size: float, z: float, rounded: float) -> tuple[float, float]:
    """Give Wilson's interval (1927) of a rate, wider by what rounding did to its two counts."""
    middle = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    spread = rate * (1 - rate) / size + z**2 / (4 * size**2) + rounded * (1 + rate**2) / size**2
    reach = z / (1 + z**2 / size) * sqrt(spread)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def _round(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)
