"""How likely it is that a row of a table is linked to its person, from the sizes of its classes.

El Emam and Dankar, "Protecting privacy using k-anonymity" (2008), for the prosecutor, who knows
that a person is in the table, and the journalist, who only knows that they are in a population;
El Emam, "Guide to the De-Identification of Personal Health Information" (2013), chapter 16, for all
three with the marketer, who links every row and wants many right, whichever they are.

Nobody here knows a sensitive value, and whoever links rows is taken to know nothing but the named
columns, exactly. All risks are shares, 0 to 1; 1 for a table without rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expectations.class_counts import Integers, classify
from expectations.disclosure import bound_share
from expectations.errors import UsageError


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


def share_at_risk(size: Integers, threshold: float) -> float:
    """Give the share of rows whose chance of being linked, 1 over their class, is above a bound."""
    rows = int(size.sum())
    return float(size[size * threshold < 1].sum() / rows) if rows else 1.0


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


@dataclass(frozen=True, slots=True)
class PopulationRisk:
    """What a journalist and a marketer with a list of the population achieve."""

    journalist: Risk
    marketer: float


def population_risk(
    frame: pd.DataFrame,
    columns: Sequence[str],
    population: pd.DataFrame,
    weights: str | None = None,
) -> PopulationRisk:
    """Link rows with people of a population that the table's people belong to.

    `population` has the same columns and a row per person, or per class with the column `weights`
    saying how many people it stands for. With F people in a class's population and f rows: the
    journalist's largest chance is 1 / min F, the average the larger of classes / sum F and the mean
    of 1 / F over rows, which is also the marketer's share. Raises `UsageError` where a class has
    more rows than its population has people.
    """
    names = list(columns)
    both = pd.concat([frame[names], population[names]])
    people = np.ones(len(population)) if weights is None else population[weights].to_numpy()
    classes = classify(both, names)
    count = len(classes.size)
    rows = np.bincount(classes.number[: len(frame)], minlength=count)
    known = np.bincount(classes.number[len(frame) :], people, count)
    short = int((known < rows).sum())
    if short:
        raise UsageError(
            f"{short:,} of {int((rows > 0).sum()):,} classes have more rows than the population "
            "has people; give the population that the table was drawn from"
        )
    if not len(frame):
        return PopulationRisk(Risk(1.0, 1.0), 1.0)
    here = rows > 0
    rows, known = rows[here], known[here]
    expected = float((rows / known).sum() / len(frame))
    average = max(len(rows) / float(known.sum()), expected)
    return PopulationRisk(Risk(float(1 / known.min()), average), expected)
