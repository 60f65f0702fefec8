"""How likely it is that a row of a table is linked to its person, from the sizes of its classes.

El Emam and Dankar, "Protecting privacy using k-anonymity" (2008), for the prosecutor, who knows
that a person is in the table; El Emam, "Guide to the De-Identification of Personal Health
Information" (2013), chapter 16, for the marketer, who links every row and wants many right,
whichever they are. What a journalist achieves, who has a list of a population, is not measured.

Nobody here knows a sensitive value, and whoever links rows is taken to know nothing but the named
columns, exactly. All risks are shares, 0 to 1; 1 for a table without rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from expectations.disclosure import bound_share
from expectations.measures.class_counts import Integers


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
