"""What k costs: how much detail, and how good a model, the table of a policy would keep at each k.

For whoever chooses k. The same people are recoded again at other k, and a plain logistic
regression learns from each table to predict the policy's target for people as they are, so that
the figures can be compared with those of untouched rows (k = 1). Where a recipient can put several
tables together, one plan recodes all, and what this table would keep by a plan of its own stands
beside it. It is no model that leaves, and says nothing about other uses of the table, nor about
models of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.disclosure import CLASS, Count, bound_share, in_steps, tell_average
from expectations.errors import Refusal, UsageError
from expectations.policy.outcome import Classes
from expectations.policy.outlets import TableOutlet, join
from expectations.policy.policy import Policy
from ledgers.evidence import JSON
from ledgers.vault.stages import Recorded, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.fitting import fit_rows, histogram
from tasks.anonymization.generalize import ask_recoding, declare_hierarchy, pin_values
from tasks.anonymization.loss import (
    PEOPLE,
    Detail,
    People,
    compare_column,
    find_cover,
    measure_granularity,
    measure_query_error,
)
from tasks.anonymization.plan import Plan
from tasks.anonymization.table_plan import Common, find_common, merge_rare, spell_labels
from tasks.people.population import TEST

if TYPE_CHECKING:
    import pandas as pd

Members = Mapping[str, Mapping[str, Sequence[str]]]
OTHER_K: Final = (2, 3, 5, 10, 20, 50)
QUARTER: Final = 4
"""A query asks for half the values of two columns, and so for about a quarter of the people."""


@dataclass(frozen=True, slots=True)
class Point:
    """One k: granularity (0 to 1), median relative error of counts, AUC; None if there is none.

    At a k that the policy's limit on people left out cannot reach, all are None. k = 1 stands for
    the rows as they are. The AUC has all its digits until it is told.
    """

    k: int
    granularity: float | None = None
    query_error: float | None = None
    auc: float | None = None


def measure_tradeoff(
    frame: pd.DataFrame, policy: Policy, outlet: TableOutlet, joint: TableOutlet
) -> list[Point]:
    """Measure the table at k = 1, at the policy's k and at the usual others.

    `joint` is what one plan is fitted over: the outlet itself, or it with those beside it.
    """
    counted = histogram(frame, name_columns(policy, outlet))
    as_is = measure_table(counted, counted, {}, (policy, keep_measured(policy, outlet)))
    others = sorted({*OTHER_K, outlet.k})
    return [as_is, *(measure_at(k, frame, policy, outlet, joint) for k in others)]


def measure_at(
    k: int, frame: pd.DataFrame, policy: Policy, outlet: TableOutlet, joint: TableOutlet
) -> Point:
    """Measure the outlet's table at one k, recoded by a plan over `joint`."""
    # Distinct rows, counted once: of many people few rows are different.
    counted = histogram(frame, name_columns(policy, joint))
    table, asked = (
        keep_measured(policy, one).model_copy(update={"k": k}) for one in (outlet, joint)
    )
    try:
        released, plan = recode(counted, find_common(frame, asked), policy, asked)
    except (Refusal, UsageError):
        return Point(k)
    return measure_table(counted, released, plan.members, (policy, table))


def keep_measured(policy: Policy, outlet: TableOutlet) -> TableOutlet:
    """Give the outlet as if it released those of its columns alone that the figures hang on."""
    names = name_columns(policy, outlet)
    there = {column: how for column, how in outlet.columns.items() if column in names}
    return outlet.model_copy(update={"columns": there})


def name_columns(policy: Policy, outlet: TableOutlet) -> list[str]:
    """Name the columns that the figures hang on: no token, nor another column outside k."""
    target = (policy.target,) if policy.target else ()
    return list(dict.fromkeys([TEST, *outlet.linkable, *outlet.sensitive, *target]))


def recode(
    counted: pd.DataFrame, common: Mapping[str, Common], policy: Policy, outlet: TableOutlet
) -> tuple[pd.DataFrame, Plan]:
    """Recode rows that each stand for several people, as a table of those people is."""
    merged = merge_rare(counted, common)
    fitted = fit_rows(merged, *ask_recoding(merged, policy, outlet))
    return fitted.plan.release(merged, fitted.place[fitted.tuple]), fitted.plan


def measure_table(
    counted: pd.DataFrame,
    released: pd.DataFrame,
    members: Members,
    asked: tuple[Policy, TableOutlet],
) -> Point:
    """Measure what a released table keeps of counted rows, or, without `members`, they do."""
    columns = compare_columns(counted, released, members, asked)
    people = People(*(table[PEOPLE].to_numpy(np.int64) for table in (counted, released)))
    detail = measure_granularity(list(columns.values()), people)
    error = measure_query_error(list(columns.values()), people)
    return Point(
        asked[1].k if members else 1,
        round(1 - bound_share(1 - detail, people.count), 3),
        None if error is None else in_steps(error, people.count / QUARTER),
        predict_target(counted, released, columns, asked[0]),
    )


def compare_columns(
    frame: pd.DataFrame,
    released: pd.DataFrame,
    members: Members,
    asked: tuple[Policy, TableOutlet],
) -> dict[str, Detail]:
    """Line up each linkable column's values with its released labels."""
    found = {}
    for name in asked[1].linkable:
        before, after = (
            spell_labels(frame[name]).astype(str),
            spell_labels(released[name]).astype(str),
        )
        hierarchy = declare_hierarchy(*asked, name) or pin_values(name, frame[name])
        cover = find_cover(hierarchy, before.unique(), members.get(name, {}))
        found[name] = compare_column(before, after, cover)
    return found


def predict_target(
    counted: pd.DataFrame, released: pd.DataFrame, columns: dict[str, Detail], policy: Policy
) -> float | None:
    """Train on the released training people, test on the others as they are; give the AUC.

    A label counts as an equal part of each value that it stands for. None where the policy has no
    target of two words in the table, or too few people of either class.
    """
    target, words = policy.target, find_words(policy)
    if target is None or target not in released or words is None:
        return None
    predictors = [detail for name, detail in columns.items() if name != target]
    learned, tested = (
        find_known(table, (target, words), test=test)
        for table, test in ((released, False), (counted, True))
    )
    if not predictors or min(learned.rarer, tested.rarer) < CLASS:
        return None
    return _fit_and_score(
        (_encode(predictors, learned.rows, raw=False), learned),
        (_encode(predictors, tested.rows, raw=True), tested),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """Rows of one side whose target is known, shape (all rows,); of these the labels and people."""

    rows: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    people: NDArray[np.int64]

    @property
    def rarer(self) -> int:
        """How many people the rarer class has."""
        return int(min(self.people[self.positive].sum(), self.people[~self.positive].sum()))


def find_words(policy: Policy) -> tuple[str, ...] | None:
    """Give the two words of the policy's target; None of another, whose tables are not learned."""
    outcome = policy.outcome if policy.target else None
    return outcome.labels if isinstance(outcome, Classes) and outcome.binary else None


def find_known(table: pd.DataFrame, target: tuple[str, tuple[str, ...]], *, test: bool) -> Known:
    """Find the rows of the test people, or of the others, whose target is one of its words."""
    name, words = target
    labels = spell_labels(table[name]).astype(str)
    rows = labels.isin(words).to_numpy() & (table[TEST].to_numpy(bool) == test)
    return Known(rows, (labels == words[-1]).to_numpy()[rows], table[PEOPLE].to_numpy()[rows])


def _fit_and_score(
    training: tuple[NDArray[np.float64], Known], testing: tuple[NDArray[np.float64], Known]
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    (X, learned), (asked, tested) = training, testing  # noqa: N806  # sklearn's
    model = LogisticRegression(max_iter=500).fit(X, learned.positive, learned.people)
    scores = model.decision_function(asked)
    return float(roc_auc_score(tested.positive, scores, sample_weight=tested.people))


def _encode(
    columns: Sequence[Detail], rows: NDArray[np.bool_], *, raw: bool
) -> NDArray[np.float64]:
    """Give each row, per column, the part of it that each value has."""
    parts = [
        np.eye(len(detail.values))[detail.before[rows]] if raw else detail.share[detail.after[rows]]
        for detail in columns
    ]
    return np.concatenate(parts, axis=1)


@step("Measure detail lost for each k", gives=Recorded)
def weigh_detail(desk: Desk, validated: Opened[Validated], outlet: str) -> None:
    """Note for the report what the table would keep at other k; none of these is released."""
    policy, table = desk.policy, desk.policy.table_outlets[outlet]
    joint = join([*policy.joined_with(outlet).values()])
    frame = validated.frame(name_columns(policy, joint))
    points = measure_tradeoff(frame, policy, table, joint)
    if joint is not table:
        alone = measure_at(table.k, frame, policy, table, table).granularity
        if alone is not None:
            desk.measure(f"utility.{outlet}.granularity_alone", alone)
    if any(point.auc is not None for point in points):
        points = [tell_point(point, count_rarer(frame, policy, desk)) for point in points]
    body: list[JSON] = [dict(asdict(point)) for point in points]
    desk.note("table", f"utility.{outlet}.tradeoff", body)


def count_rarer(frame: pd.DataFrame, policy: Policy, desk: Desk) -> int:
    """Give how many test people of the rarer class there are at least, by a published count."""
    words = find_words(policy)
    assert policy.target is not None
    assert words is not None, "only of two words there is an AUC"
    known = find_known(frame.assign(**{PEOPLE: 1}), (policy.target, words), test=True)
    return desk.run.disclosure.publish(Count(known.rarer)).least


def tell_point(point: Point, rarer: int) -> Point:
    """Round the AUC of one k to what may be told of so many test people of the rarer class."""
    if point.auc is None:
        return point
    return replace(point, auc=round(tell_average(point.auc, rarer), 3))
