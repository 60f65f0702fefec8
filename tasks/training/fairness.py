"""How a model treats the groups of a column that is there to be audited by, told in public figures.

Measured by `fairlearn` on people the model was not trained on. A group under the minimum size is
not shown, and no figure of it follows from the others and the whole: with it further ones are left
out, until those left out are of that size together. How far apart groups are has intervals that
hold for all pairs of them at once. Why groups differ is not known here, nor whether a difference is
just.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from expectations.disclosure import Count, Disclosure
from expectations.policy.vocabulary import MISSING, Use
from ledgers.evidence import JSON
from tasks.account.published import Difference
from tasks.airlock.run import Desk
from tasks.training.quality import ask_model, effective_size, estimate_auc_error, in_tens

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


Rate: TypeAlias = tuple[float, float]
"""A share of people, 0 to 1, and of how many people it is one."""
DIFFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "demographic_parity": {"selection_rate": "people"},
    "equalized_odds": {"true_positive_rate": "positives", "false_positive_rate": "negatives"},
}
"""Each difference: the rates of which it is the largest, and whose share each rate is."""


class Scored(NamedTuple):
    """What a model says of people whose outcome is known, row by row.

    `scores` is the probability of the positive class; `weights` is None where all count alike.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """One group's figures, rounded; those by outcome are None where one outcome is too rare.

    The AUC has its 95 % interval (Hanley & McNeil 1982). Rates are of being called positive at
    0.5: of all, of those who are positive, and of those who are not.
    """

    group: str
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    selection_rate: float
    true_positive_rate: float | None
    false_positive_rate: float | None


@dataclass(frozen=True, slots=True)
class Fairness:
    """The groups that may be shown, and how far apart they are."""

    groups: tuple[GroupQuality, ...]
    differences: tuple[Difference, ...]


def score(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    weights: NDArray[np.float64] | None = None,
) -> Scored:
    """Ask a fitted binary pipeline about people; the positive class is its last."""
    return Scored(ask_model(pipeline, X), (y == pipeline.classes_[1]).to_numpy(), weights)


def audit(desk: Desk, scored: Scored, tested: pd.DataFrame) -> None:
    """Note the model's figures for each group of the columns that are there to be audited by.

    `tested` holds the same people as `scored`, row by row.
    """
    disclosure = desk.run.disclosure
    smallest = max(disclosure.threshold, desk.policy.population.smallest // 20)
    for column in desk.policy.used_as(Use.AUDIT):
        found = compare_groups(scored, tested[column], smallest)
        body = describe_groups(tested, found.groups, column, disclosure)
        desk.note("table", f"utility.groups.{column}", body)
        for difference in found.differences:
            for name in ("value", "low", "high"):
                suffix = "" if name == "value" else f"_{name}"
                measure = f"fairness.{difference.name}{suffix}.{column}"
                desk.measure(measure, getattr(difference, name))


def describe_groups(
    frame: pd.DataFrame, groups: Sequence[GroupQuality], column: str, disclosure: Disclosure
) -> list[JSON]:
    """Give the model's figures by group, each with its published number of test people."""
    values = frame[column].astype(object).where(frame[column].notna(), MISSING)
    rows: list[JSON] = []
    for quality in groups:
        count = Count(int((values == quality.group).sum()))
        rows.append(asdict(quality) | {"people": str(disclosure.publish(count))})
    return rows


def compare_groups(scored: Scored, groups: pd.Series, minimum: int) -> Fairness:
    """Measure each group that may be shown; people without a group are a group.

    `groups` is aligned with `scored` by position. With weights the figures are of the people as
    they are weighted; who is shown is not. Figures by outcome are shown of groups with `minimum`
    people of either outcome, by the same rule.
    """
    people = _gather(scored, groups)
    sizes = people.groupby("group")[["people", "positives", "negatives"]].sum()
    shown = choose_shown(sizes[["people"]], minimum)
    ranked = choose_shown(sizes[["positives", "negatives"]], minimum)
    rates = _measure(people, shown, ("selection_rate",))
    odds = _measure(
        people,
        [name for name in ranked if name in shown],
        ("auc", "true_positive_rate", "false_positive_rate"),
    )
    effective = {str(name): _count_effective(rows) for name, rows in people.groupby("group")}
    figures = {name: told | odds.get(name, {}) for name, told in rates.items()}
    found = tuple(_describe(name, told, effective[name]) for name, told in figures.items())
    return Fairness(found, tuple(_list_differences(figures, effective)))


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


def _gather(scored: Scored, groups: pd.Series) -> pd.DataFrame:
    """Lay out people row by row with their group, and as which kind of people they count."""
    import pandas as pd

    return pd.DataFrame(
        {
            "score": scored.scores,
            "positive": scored.positive.astype(int),
            "weight": 1.0 if scored.weights is None else scored.weights,
            "group": groups.astype(object).where(groups.notna(), MISSING).astype(str).to_numpy(),
            "people": 1,
            "positives": scored.positive.astype(int),
            "negatives": 1 - scored.positive.astype(int),
        }
    )


def _measure(
    people: pd.DataFrame, shown: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Measure some figures of each shown group, by group and name, rounded."""
    from sklearn.metrics import roc_auc_score

    some = people[people["group"].isin(shown)]
    if some.empty:
        return {}
    found = _measure_rates(some, [name for name in names if name != "auc"])
    for group, rows in some.groupby("group") if "auc" in names else ():
        auc = roc_auc_score(rows["positive"], rows["score"], sample_weight=rows["weight"])
        found[str(group)]["auc"] = round(float(auc), 3)
    return found


def _measure_rates(people: pd.DataFrame, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure rates of being called positive at 0.5, rounded, of people counted by kind.

    Each is of all who are alike in group, outcome and call, whom `fairlearn` would look at one by
    one.
    """
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )

    known = (selection_rate, true_positive_rate, false_positive_rate)
    called = people.assign(called=(people["score"] > 0.5).astype(int))
    alike = called.groupby(["group", "positive", "called"], as_index=False)["weight"].sum()
    measured = MetricFrame(
        metrics={rate.__name__: rate for rate in known if rate.__name__ in names},
        y_true=alike["positive"],
        y_pred=alike["called"],
        sensitive_features=alike["group"],
        sample_params={name: {"sample_weight": alike["weight"]} for name in names},
    )
    return {
        str(group): {name: round(float(row[name]), 2) for name in names}
        for group, row in measured.by_group.iterrows()
    }


def _count_effective(rows: pd.DataFrame) -> dict[str, float]:
    """Give the effective number of a group's people of each kind, in whole tens.

    So that no interval tells an exact one.
    """
    kinds = ("people", "positives", "negatives")
    weights = {kind: rows.loc[rows[kind] == 1, "weight"].to_numpy(float) for kind in kinds}
    return {kind: in_tens(effective_size(held)) for kind, held in weights.items() if len(held)}


def _describe(group: str, told: Mapping[str, float], sizes: Mapping[str, float]) -> GroupQuality:
    """Put a group's figures together; without those by outcome where they are not shown."""
    auc = told.get("auc")
    low = high = None
    if auc is not None:
        margin = 1.96 * estimate_auc_error(auc, sizes["positives"], sizes["negatives"])
        low, high = round(max(auc - margin, 0.0), 3), round(min(auc + margin, 1.0), 3)
    return GroupQuality(
        group,
        auc,
        low,
        high,
        told["selection_rate"],
        told.get("true_positive_rate"),
        told.get("false_positive_rate"),
    )


def _list_differences(
    figures: Mapping[str, Mapping[str, float]], sizes: Mapping[str, Mapping[str, float]]
) -> Iterator[Difference]:
    """Find the largest differences of what is shown of two groups or more.

    An interval above 0 means that some two groups differ by more than chance, however many there
    are.
    """
    for name, kinds in DIFFERENCES.items():
        families = [
            [(told[rate], sizes[group][kind]) for group, told in figures.items() if rate in told]
            for rate, kind in kinds.items()
        ]
        if all(len(family) > 1 for family in families):
            value = max(max(family)[0] - min(family)[0] for family in families)
            low, high = bound_largest_difference(families)
            yield Difference(name, round(value, 2), round(low, 2), round(high, 2))


def bound_largest_difference(families: Sequence[Sequence[Rate]]) -> tuple[float, float]:
    """Bound the largest difference of two rates of one family with 95 % confidence.

    Every pair has its interval (Newcombe 1998, method 10, of Wilson's) at a level that holds for
    all pairs at once (Bonferroni), since which two differ most is seen only in the data.
    """
    pairs = [pair for family in families for pair in combinations(family, 2)]
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    bounds = [_bound_difference(one, other, z) for one, other in pairs]
    return max(low for low, _ in bounds), max(high for _, high in bounds)


def _bound_difference(one: Rate, other: Rate, z: float) -> tuple[float, float]:
    """Bound |p - q| by Newcombe's interval of p - q."""
    (q, m), (p, n) = sorted((one, other))
    (p_low, p_high), (q_low, q_high) = _bound_rate(p, n, z), _bound_rate(q, m, z)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return max(low, 0.0), max(high, -low)


def _bound_rate(rate: float, size: float, z: float) -> tuple[float, float]:
    """Give Wilson's interval (1927) of a rate."""
    middle = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
