"""Privacy measures of a table from the table alone, and how likely its rows are linked to people.

The independent check of anonymization: it shares no code with the steps that it judges, knows
neither plans nor hierarchies, and compares labels only for equality. k, l, t are measures of a
release and not counts of people; they say nothing about columns that are not named, nor about what
somebody learns from another release. `sensitive_measures` has each measure of a sensitive column
with its source, `class_counts` says what a class is.

A row is linked to its person by the sizes of classes: El Emam and Dankar, "Protecting privacy using
k-anonymity" (2008), for the prosecutor, who knows that a person is in the table; El Emam, "Guide to
the De-Identification of Personal Health Information" (2013), chapter 16, for the marketer, who
links every row and wants many right, whichever they are. What a journalist achieves, who has a list
of a population, is not measured. Whoever links rows is taken to know nothing but the named columns,
exactly.

A table without rows gets the worst value of each measure, so that an empty release meets no
requirement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from expectations.disclosure import bound_share
from expectations.measures import sensitive_measures as sensitive_of
from expectations.measures.class_counts import Integers, ValueCounts, classify, count_values


@dataclass(frozen=True, slots=True)
class ColumnMeasures:
    """What the classes give away of one sensitive column, as the worst class has it."""

    distinct_l: int
    entropy_l: float
    smallest_c: float
    """What c must exceed for recursive (c, 2)-diversity."""
    equal_t: float
    ordered_t: float
    alpha: float
    beta: float
    enhanced_beta: float
    delta: float


@dataclass(frozen=True, slots=True)
class TableMeasures:
    """What a table gives away over some columns, and of each sensitive column beside them."""

    rows: int
    classes: int
    k: int
    uniqueness: float
    prosecutor: Risk
    marketer: float
    sensitive: Mapping[str, ColumnMeasures]


def measure(
    frame: pd.DataFrame,
    columns: Sequence[str],
    sensitive: Sequence[str] = (),
    weights: Integers | None = None,
) -> TableMeasures:
    """Take every measure in one pass over the table, for several sensitive columns at once.

    `weights` says how many rows of the table each row of the frame stands for; one if not given.

    >>> import pandas as pd, tutela
    >>> rows = pd.DataFrame({"age": ["30+", "30+", "40+", "40+"], "ill": ["flu", "cold"] * 2})
    >>> found = tutela.measure(rows, ["age"], ["ill"])
    >>> found.k, found.prosecutor.largest, found.sensitive["ill"].distinct_l
    (2, 0.5, 2)
    """
    classes = classify(frame, columns, weights)
    size, rows = classes.size, classes.rows
    risk = prosecutor_risk(size)
    return TableMeasures(
        rows,
        len(size),
        int(size.min(initial=rows)),
        share_alone(size),
        risk,
        risk.average,
        {
            column: measure_column(count_values(classes, frame[column], weights))
            for column in sensitive
        },
    )


def measure_column(counts: ValueCounts) -> ColumnMeasures:
    """Take every measure of one sensitive column."""
    return ColumnMeasures(
        distinct_l=sensitive_of.distinct_l_diversity(counts),
        entropy_l=sensitive_of.entropy_l_diversity(counts),
        smallest_c=sensitive_of.smallest_c(counts, 2),
        equal_t=sensitive_of.equal_t_closeness(counts),
        ordered_t=sensitive_of.ordered_t_closeness(counts),
        alpha=sensitive_of.largest_share(counts),
        beta=sensitive_of.beta_likeness(counts),
        enhanced_beta=sensitive_of.enhanced_beta_likeness(counts),
        delta=sensitive_of.delta_disclosure(counts),
    )


def class_sizes(frame: pd.DataFrame, columns: Sequence[str]) -> Integers:
    """Count the rows of each class, in no particular order; without columns all rows are one."""
    return classify(frame, columns).size


def k_anonymity(frame: pd.DataFrame, columns: Sequence[str]) -> int:
    """Give the size of the smallest class (Samarati and Sweeney 1998); 0 without rows.

    >>> import pandas as pd, tutela
    >>> rows = pd.DataFrame({"age": [30, 30, 40], "sex": ["f", "f", "m"]})
    >>> tutela.k_anonymity(rows, ["age", "sex"])
    1
    """
    return int(class_sizes(frame, columns).min(initial=len(frame)))


def uniqueness(frame: pd.DataFrame, columns: Sequence[str]) -> float:
    """Give the share of rows, 0 to 1, that are alone in their class; 1 without rows.

    >>> import pandas as pd, tutela
    >>> tutela.uniqueness(pd.DataFrame({"age": [30, 30, 40, 50]}), ["age"])
    0.5
    """
    return measure(frame, columns).uniqueness


@dataclass(frozen=True, slots=True)
class Risk:
    """The largest and the average chance that a row is linked to its person."""

    largest: float
    average: float


def prosecutor_risk(size: Integers) -> Risk:
    """Link people known to be in the table: 1 over the rows of their class."""
    if not len(size):
        return Risk(1.0, 1.0)
    return Risk(float(1 / size.min()), len(size) / float(size.sum()))


def marketer_risk(size: Integers) -> float:
    """Link every row with somebody of its class: classes over rows are right, on average."""
    return prosecutor_risk(size).average


def share_alone(size: Integers) -> float:
    """Give the share of rows that are alone in their class: the uniqueness of a table."""
    rows = int(size.sum())
    return float((size == 1).sum() / rows) if rows else 1.0


def tell_risks(size: Integers, threshold: int) -> dict[str, float]:
    """Give the risks that a release's record tells, by name: bounds, rounded up.

    `prosecutor` is the largest chance of one row, `marketer` the average of all, `uniqueness` the
    share of rows that are alone in their class. The number of classes is told beside them, so the
    last two go up to the next step of `threshold` people: exact, they would count the rows.
    """
    rows = int(size.sum())
    if not rows:
        return dict.fromkeys(("prosecutor", "marketer", "uniqueness"), 1.0)
    alone = share_alone(size)
    return {
        "prosecutor": math.ceil(1e3 / size.min()) / 1e3,
        "marketer": bound_share(marketer_risk(size), rows, threshold),
        # That nobody is alone is no secret: the smallest class is told as well.
        "uniqueness": bound_share(alone, rows, threshold) if alone else 0.0,
    }


def standardized_difference(share_a: ArrayLike, share_b: ArrayLike) -> NDArray[np.float64]:
    """Give (a - b) / sqrt((a(1 - a) + b(1 - b)) / 2) for shares 0 to 1, element by element.

    Austin, "Balance diagnostics" (2009), section 2: a difference of shares in standard deviations,
    independent of sample size; 0.1 is the usual limit. 0 where both are the same constant,
    infinite where they are opposite ones.
    """
    a, b = np.asarray(share_a, dtype=float), np.asarray(share_b, dtype=float)
    deviation = np.sqrt((a * (1 - a) + b * (1 - b)) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == b, 0.0, (a - b) / deviation)
