"""k-anonymity by local recoding: rows of one class share all their quasi-identifiers' labels.

The room's public function. Fitting reads everybody, so it may stand before a released table but
never before a differentially private trainer. Nothing here checks itself: the independent check is
`expectations.measures.measures`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from expectations.errors import UsageError
from expectations.policy.declaration import Declaration
from expectations.policy.privacy_models import DistinctLDiversity, PrivacyModel, TCloseness
from tasks.anonymization.clusters import STEPS, Effort
from tasks.anonymization.fitting import Asked, Output, Sensitive, fit_rows
from tasks.anonymization.hierarchies import ROOT, Hierarchy, number_labels, read_all
from tasks.anonymization.loss import PEOPLE, Measures, measure
from tasks.anonymization.plan import Plan, sort_labels

Hierarchies = Mapping[str, Hierarchy | pd.DataFrame | str | Path]
"""Per column a hierarchy, its table without header, or the path of an ARX file."""


@dataclass(frozen=True)
class Recoded:
    """A k-anonymous table, what it cost, and the plan that made it.

    `steps` were made after the first plan; as many again give the same plan. 0 with few columns,
    where the search ends by itself.
    """

    frame: pd.DataFrame
    measures: Measures
    plan: Plan
    steps: int = 0


def k_anonymize(  # noqa: PLR0913  # each says one thing that is asked
    frame: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    k: int,
    *,
    hierarchies: Hierarchies | None = None,
    sensitive: str | Sequence[str] | Sensitive | None = None,
    l_diversity: float | PrivacyModel | None = None,
    t_closeness: float | PrivacyModel | None = None,
    max_suppressed: float = 0.0,
    weights: Mapping[str, float] | None = None,
    output: Output = "hierarchy",
    steps: int = STEPS,
    seconds: float | None = None,
) -> Recoded:
    """Generalize the quasi-identifiers until every row shares them with at least k - 1 others.

    `hierarchies` maps a column to its labels, leaf first and root last: a DataFrame without header
    or the path of an ARX file. A column without one keeps a value or loses it (`*`).
    `output="sets"` releases the values that a class has, joined by `~`, numbers as `low-high`.
    At most the share `max_suppressed` of rows is left out. `weights` say how much a column's
    detail is worth (1 by default); reported figures are not weighted.

    `sensitive` names columns whose values a class must not reveal: `l_diversity` (a number of
    different values) and `t_closeness` (a distance 0 to 1, all values equally far apart) apply to
    each, or a mapping gives each its own models (see `expectations.policy.privacy_models`).

    With many columns (from about ten on) classes are improved step by step: more `steps` never lose
    more detail, and the same number gives the same table. `seconds` ends them early, between two
    steps; the result says how many were made.

    Raises `UsageError` for invalid arguments, `Refusal` if they cannot be met.

    k-anonymity hides who a row is among those columns. It does not hide what all k rows of a class
    have in common, and says nothing about columns that are not named.

    >>> import pandas as pd, tutela
    >>> rows = pd.DataFrame({"age": [31, 34, 52, 58], "ill": ["no", "yes", "no", "no"]})
    >>> found = tutela.k_anonymize(rows, ["age"], 2, output="sets")
    >>> found.frame["age"].tolist(), tutela.k_anonymity(found.frame, ["age"])
    (['31~34', '31~34', '52~58', '52~58'], 2)
    """
    if not isinstance(frame, pd.DataFrame):
        raise UsageError("k-anonymity: the table is a pandas DataFrame")
    models = name_models(sensitive, l_diversity, t_closeness)
    asked = Asked(k, max_suppressed, models, weights or {}, output, Effort(steps, seconds))
    asked.check_names(frame, quasi_identifiers)
    found = name_hierarchies(frame, quasi_identifiers, hierarchies or {})
    # A row is a person here; whoever counts people elsewhere calls `fitting.fit`.
    fitted = fit_rows(frame.assign(**{PEOPLE: 1}), found, asked)
    examples = frame.iloc[fitted.example].reset_index(drop=True)
    histogram = examples.assign(**{PEOPLE: fitted.people})
    released = fitted.plan.release(histogram, fitted.place)
    # On distinct tuples with their people: the same figures as on rows, from far fewer.
    measures = measure(released, histogram, found, fitted.plan.members)
    made = fitted.plan.release(frame, fitted.place[fitted.tuple])
    return Recoded(made, measures, fitted.plan, fitted.steps)


def name_models(
    sensitive: str | Sequence[str] | Sensitive | None,
    l_diversity: float | PrivacyModel | None,
    t_closeness: float | PrivacyModel | None,
) -> Sensitive:
    """Give each sensitive column its models, whichever way they were said."""
    both = [
        _make_model(said, given)
        for said, given in (("l_diversity", l_diversity), ("t_closeness", t_closeness))
        if given is not None
    ]
    if isinstance(sensitive, Mapping):
        models = {column: (*_list_models(own), *both) for column, own in sensitive.items()}
    else:
        names = [sensitive] if isinstance(sensitive, str) else list(sensitive or ())
        models = dict.fromkeys(names, tuple(both))
    if both and not models:
        raise UsageError(
            "k-anonymity: l_diversity and t_closeness need a sensitive column: name it"
        )
    if idle := sorted(column for column, own in models.items() if not own):
        raise UsageError(
            f"k-anonymity: the sensitive column '{idle[0]}' has no model; give l_diversity, "
            "t_closeness or its own models"
        )
    return models


def _list_models(own: PrivacyModel | Sequence[PrivacyModel]) -> list[PrivacyModel]:
    """Take one model for a list of one."""
    models = [own] if isinstance(own, Declaration) else list(own)
    if not all(isinstance(model, Declaration) for model in models):
        raise UsageError(
            "k-anonymity: a sensitive column's models come from "
            "expectations.policy.privacy_models, such as TCloseness(t=0.2)"
        )
    return models


def _make_model(said: str, given: float | PrivacyModel) -> PrivacyModel:
    """Take a number as the model that is meant most often: distinct values, equal distance."""
    if isinstance(given, Declaration):
        return given
    try:
        if said == "t_closeness":
            return TCloseness(t=given)
        # 2.0 is no number of values: `index` takes whole numbers only.
        return DistinctLDiversity(l=operator.index(given))  # type: ignore[arg-type]  # or TypeError
    except (TypeError, ValueError):
        raise UsageError(
            f"k-anonymity: {said} is a model of expectations.policy.privacy_models or a number: "
            "l_diversity a whole one from 2, t_closeness above 0 and up to 1"
        ) from None


def name_hierarchies(
    frame: pd.DataFrame,
    columns: Sequence[str],
    given: Hierarchies,
) -> dict[str, Hierarchy]:
    """Give each column its hierarchy: the one that is given, or a flat one of its own values."""
    declared = read_all(given, columns)
    return {
        column: declared[column] if column in declared else list_values(frame, column)
        for column in columns
    }


def list_values(frame: pd.DataFrame, column: str) -> Hierarchy:
    """Take a flat hierarchy from a column's own values."""
    labels = set(number_labels(frame[column])[1])
    # As a leaf it would read like what is released of somebody hidden.
    if ROOT in labels:
        raise UsageError(
            f"k-anonymity: '{ROOT}' is a value of column '{column}', but means all values in a "
            "release; spell it differently"
        )
    return Hierarchy.flat(column, sort_labels(labels), derived=True)
