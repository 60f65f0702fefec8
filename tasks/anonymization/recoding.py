"""k-anonymity by local recoding: rows of one class share all their quasi-identifiers' labels.

Plans are made on the weighted histogram of distinct tuples, which any engine produces with one
group-by, and applied to any partition. Fitting reads everybody, so it may stand before a released
table but never before a differentially private trainer. Nothing here checks itself: the
independent check is `expectations.measures`. The searches are in `tasks.anonymization.search`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from expectations.disclosure import bound_share
from expectations.errors import Refusal, UsageError
from expectations.privacy_models import DistinctLDiversity, PrivacyModel, TCloseness
from tasks.anonymization.boxes import LEFT, Codes
from tasks.anonymization.cover import Classes, Tuples, combine
from tasks.anonymization.hierarchies import Hierarchy, label_of, read_all
from tasks.anonymization.loss import PEOPLE, Measures, measure
from tasks.anonymization.plan import (
    Labels,
    Plan,
    check_columns,
    encode,
    find_distinct,
    mark_leaves,
    sort_labels,
)
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.search import rescue, search
from tasks.anonymization.sets import refine_sets

Output = Literal["hierarchy", "sets"]
Sensitive = Mapping[str, Sequence[PrivacyModel]]


@dataclass(frozen=True)
class Recoded:
    """A k-anonymous table, what it cost, and the plan that made it."""

    frame: pd.DataFrame
    measures: Measures
    plan: Plan


@dataclass(frozen=True)
class Asked:
    """What is asked of a recoding, beside the quasi-identifiers and their hierarchies."""

    k: int
    max_suppressed: float = 0.0
    sensitive: Sensitive | None = None
    weights: Mapping[str, float] | None = None
    output: Output = "hierarchy"

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 <= self.max_suppressed <= 1:
            raise UsageError(
                "k-anonymity: k is a whole number from 1 and max_suppressed a share 0 to 1"
            )
        if self.output not in ("hierarchy", "sets"):
            raise UsageError("k-anonymity: output is 'hierarchy' or 'sets'")
        if any(weight <= 0 for weight in (self.weights or {}).values()):
            raise UsageError("k-anonymity: a weight is above 0; leave a column out instead")

    def check_names(self, frame: pd.DataFrame, columns: Sequence[str]) -> None:
        """Refuse sensitive columns that are quasi-identifiers or absent, and stray weights."""
        named = list(self.sensitive or {})
        if both := [column for column in named if column in columns]:
            raise UsageError(
                f"k-anonymity: {', '.join(map(repr, both))} cannot be quasi-identifier and "
                "sensitive at once: take it out of one; k already hides what is released of it"
            )
        if named:
            check_columns(frame, named)
        if strangers := sorted(set(self.weights or {}) - set(columns)):
            raise UsageError(
                f"k-anonymity: weight for '{strangers[0]}', which is no quasi-identifier; "
                "name the column among them or drop its weight"
            )


def k_anonymize(
    frame: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    k: int,
    *,
    hierarchies: Mapping[str, Hierarchy | pd.DataFrame | str | Path] | None = None,
    sensitive: str | Sequence[str] | Sensitive | None = None,
    l_diversity: float | PrivacyModel | None = None,
    t_closeness: float | PrivacyModel | None = None,
    max_suppressed: float = 0.0,
    weights: Mapping[str, float] | None = None,
    output: Output = "hierarchy",
) -> Recoded:
    """Generalize the quasi-identifiers until every row shares them with at least k - 1 others.

    `hierarchies` maps a column to its labels, leaf first and root last: a DataFrame without header
    or the path of an ARX file. A column without one keeps a value or loses it whole (`*`).
    `output="sets"` releases the values that a class has, joined by `~`, numbers as `low-high`.
    At most the share `max_suppressed` of rows is left out. `weights` say how much a column's
    detail is worth (1 if not named); what is reported is not weighted.

    `sensitive` names columns whose values a class must not tell: `l_diversity` (a number of
    different values) and `t_closeness` (a distance 0 to 1, all values equally far apart) hold for
    each, or a mapping gives each its own models (see `expectations.privacy_models`).

    Raises `UsageError` for what cannot be meant, `Refusal` when it cannot be reached.

    k-anonymity hides who a row is among those columns. It does not hide what all k rows of a class
    have in common, and says nothing about columns that are not named.
    """
    models = name_models(sensitive, l_diversity, t_closeness)
    asked = Asked(k, max_suppressed, models, weights, output)
    check_columns(frame, quasi_identifiers)
    asked.check_names(frame, quasi_identifiers)
    declared = read_all(hierarchies or {}, quasi_identifiers)
    found = {
        column: declared[column] if column in declared else list_values(frame, column)
        for column in quasi_identifiers
    }
    plan, place, histogram = _fit_rows(frame.assign(**{PEOPLE: 1}), found, asked)
    released = plan.release(frame, place)
    return Recoded(released, measure(plan.apply(histogram), histogram, found, plan.members), plan)


def name_models(
    sensitive: str | Sequence[str] | Sensitive | None,
    l_diversity: float | PrivacyModel | None,
    t_closeness: float | PrivacyModel | None,
) -> Sensitive:
    """Give each sensitive column its models, whichever way they were said."""
    both: list[PrivacyModel] = []
    if l_diversity is not None:
        many = isinstance(l_diversity, int | float)
        both.append(DistinctLDiversity(l=int(l_diversity)) if many else l_diversity)  # type: ignore[arg-type]  # many says so
    if t_closeness is not None:
        near = isinstance(t_closeness, int | float)
        both.append(TCloseness(t=float(t_closeness)) if near else t_closeness)  # type: ignore[arg-type]  # near says so
    if isinstance(sensitive, Mapping):
        models = {column: (*own, *both) for column, own in sensitive.items()}
    else:
        names = [sensitive] if isinstance(sensitive, str) else list(sensitive or ())
        models = dict.fromkeys(names, tuple(both))
    if both and not models:
        raise UsageError("k-anonymity: l_diversity and t_closeness need a sensitive column: name it")
    if idle := sorted(column for column, own in models.items() if not own):
        raise UsageError(
            f"k-anonymity: nothing is asked of the sensitive column '{idle[0]}'; give l_diversity, "
            "t_closeness or models of its own"
        )
    return models


def histogram(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Count the people of each distinct tuple, one row per tuple and the count in `_people`."""
    check_columns(frame, columns)
    if PEOPLE in columns:
        raise UsageError(f"k-anonymity: rename column '{PEOPLE}', the histogram counts under it")
    grouped = frame.groupby(list(columns), dropna=False, observed=True, sort=False)
    return grouped.size().rename(PEOPLE).reset_index()


def fit(histogram: pd.DataFrame, hierarchies: Mapping[str, Hierarchy], asked: Asked) -> Plan:
    """Find a plan under which every class meets what is asked.

    The histogram has one row per distinct combination of quasi-identifiers and sensitive columns,
    with the people in `_people`; rows may repeat. Classes are searched; if more than
    `max_suppressed` (a share of people) is left over, those join other classes; if it is still
    more, a `Refusal` names the pinned columns responsible. Orders of rows and columns change
    nothing.
    """
    check_columns(histogram, [*hierarchies, PEOPLE])
    asked.check_names(histogram, list(hierarchies))
    return _fit_rows(histogram, hierarchies, asked)[0]
