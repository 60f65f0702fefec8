"""What k costs: how much detail, and how good a model, the table of a policy would keep at each k.

For whoever chooses k. The same people are recoded again at other k, and a plain logistic
regression learns from each table to predict the policy's target for people as they are, so that
the figures can be compared with those of untouched rows (k = 1). It is no model that leaves, and
says nothing about other uses of the table, nor about models of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.disclosure import bound_share
from expectations.errors import Refusal, UsageError
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO
from ledgers.evidence import JSON
from ledgers.vault.stages import Recorded, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.generalize import declare_hierarchy, generalize_table, pin_values
from tasks.anonymization.loss import (
    Detail,
    compare_column,
    find_cover,
    measure_granularity,
    measure_query_error,
)
from tasks.anonymization.table_plan import spell_labels
from tasks.people.population import TEST

if TYPE_CHECKING:
    import pandas as pd

Members = Mapping[str, Mapping[str, Sequence[str]]]
OTHER_K: Final = (2, 3, 5, 10, 20, 50)
FEWEST: Final = 20
"""The fewest people of each class, in training and test, from whom a model is judged."""


@dataclass(frozen=True, slots=True)
class Point:
    """One k: granularity (0 to 1), median relative error of counts, AUC; None if there is none.

    At a k that the policy's limit on people left out cannot reach, all are None. k = 1 stands for
    the rows as they are.
    """

    k: int
    granularity: float | None = None
    query_error: float | None = None
    auc: float | None = None


def measure_tradeoff(frame: pd.DataFrame, policy: Policy, outlet: TableOutlet) -> list[Point]:
    """Measure the table at k = 1, at the policy's k and at the usual others."""
    points = [measure_table(frame, frame, {}, (policy, outlet))]
    for k in sorted({*OTHER_K, outlet.k}):
        asked = outlet.model_copy(update={"k": k})
        try:
            recoded = generalize_table(frame, policy, asked)
        except (Refusal, UsageError):
            points.append(Point(k))
        else:
            members = recoded.plan.members
            points.append(measure_table(frame, recoded.frame, members, (policy, asked)))
    return points


def measure_table(
    frame: pd.DataFrame,
    released: pd.DataFrame,
    members: Members,
    asked: tuple[Policy, TableOutlet],
) -> Point:
    """Measure what a released table keeps of a frame's rows, or, without `members`, they do."""
    columns = compare_columns(frame, released, members, asked)
    detail = measure_granularity(list(columns.values()), len(frame))
    error = measure_query_error(list(columns.values()), len(frame))
    return Point(
        asked[1].k if members else 1,
        round(1 - bound_share(1 - detail, len(frame)), 3),
        None if error is None else round(error, 3),
        predict_target(frame, released, columns, asked[0].target),
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
    frame: pd.DataFrame, released: pd.DataFrame, columns: dict[str, Detail], target: str | None
) -> float | None:
    """Train on the released training people, test on the others as they are; give the AUC.

    A label counts as an equal part of each value that it stands for. None where the policy has no
    target in the table, or too few people of either class.
    """
    if target is None or target not in released:
        return None
    predictors = [detail for name, detail in columns.items() if name != target]
    train, test = ~released[TEST].to_numpy(bool), frame[TEST].to_numpy(bool)
    known = (spell_labels(table[target]).astype(str) for table in (released, frame))
    learned, tested = (labels.isin(YES_NO).to_numpy() for labels in known)
    y_learned, y_tested = (
        (spell_labels(table[target]).astype(str) == YES_NO[1]).to_numpy()[rows]
        for table, rows in ((released, learned & train), (frame, tested & test))
    )
    if not predictors or min(_rarer(y_learned), _rarer(y_tested)) < FEWEST:
        return None
    return _fit_and_score(
        (_encode(predictors, learned & train, raw=False), y_learned),
        (_encode(predictors, tested & test, raw=True), y_tested),
    )


def _fit_and_score(
    training: tuple[NDArray[np.float64], NDArray[np.bool_]],
    testing: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    model = LogisticRegression(max_iter=500).fit(*training)
    return round(float(roc_auc_score(testing[1], model.decision_function(testing[0]))), 3)


def _rarer(labels: NDArray[np.bool_]) -> int:
    return int(min(labels.sum(), (~labels).sum()))


def _encode(
    columns: Sequence[Detail], rows: NDArray[np.bool_], *, raw: bool
) -> NDArray[np.float64]:
    """Give each row, per column, the part of it that each value has."""
    parts = [
        np.eye(len(detail.values))[detail.before[rows]] if raw else detail.share[detail.after[rows]]
        for detail in columns
    ]
    return np.concatenate(parts, axis=1)


@step("Weigh detail against k", gives=Recorded)
def weigh_detail(desk: Desk, validated: Opened[Validated], outlet: str) -> None:
    """Note for the report what the table would keep at other k; nothing of it leaves."""
    policy = desk.policy
    table = policy.table_outlets[outlet]
    target = (policy.target,) if policy.target else ()
    frame = validated.frame(list(dict.fromkeys([TEST, *table.columns, *target])))
    points: list[JSON] = [dict(asdict(point)) for point in measure_tradeoff(frame, policy, table)]
    desk.note("table", f"utility.{outlet}.tradeoff", points)
