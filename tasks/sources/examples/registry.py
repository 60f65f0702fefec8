"""A made-up cancer registry of 3,000 patients, and the list of 120 who objected; nobody is real.

Sex, region and date of birth are drawn independently; stage rises with age, treatment follows
the stage, and relapse within two years (`outcome`) follows stage, treatment and age. Objections
do not depend on anything.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa

from tasks.sources.examples.identities import pick, shuffle

PEOPLE, OBJECTIONS = 3_000, 120
PATIENT = ("patient_id", "birth_date", "sex", "region", "stage", "treatment", "outcome")
OBJECTION = ("patient_id", "objected_at")
"""The columns of the two tables."""
REGISTRY_DAY = date(2024, 1, 1)
"""The day on which the ages of 30 to 89 are counted."""
_REGIONS = ("Coast", "Delta", "East", "Highlands", "Lakes", "North", "South", "West")
_STAGES = ("I", "II", "III", "IV")
_TREATMENTS = ("surgery", "radiotherapy", "chemotherapy", "observation")
_BY_STAGE = np.cumsum(
    [
        [0.60, 0.15, 0.05, 0.20],
        [0.45, 0.25, 0.20, 0.10],
        [0.20, 0.30, 0.40, 0.10],
        [0.05, 0.25, 0.50, 0.20],
    ],
    axis=1,
)
"""For each stage, the cumulated shares of the treatments."""
_RISK = np.array([-0.4, 0.0, 0.1, 0.5])
"""What each treatment adds to the log-odds of a relapse."""


@cache
def make_registry() -> pa.Table:
    """Make the table of patients."""
    rng = np.random.Generator(np.random.PCG64(3000))
    days = 30 * 365 + 8 + (rng.random(PEOPLE) * 60 * 365).astype(int)
    ages = days / 365.25
    stages = np.clip((rng.random(PEOPLE) * 3.2 + (ages - 55) / 40).astype(int), 0, 3)
    treatments = np.minimum((rng.random((PEOPLE, 1)) > _BY_STAGE[stages]).sum(axis=1), 3)
    odds = -2.0 + 0.9 * stages + _RISK[treatments] + (ages - 60) / 40
    relapsed = rng.random(PEOPLE) < 1 / (1 + np.exp(-odds))
    return pa.table(
        {
            "patient_id": [f"R-{number:05d}" for number in shuffle(rng, 20_000, PEOPLE)],
            "birth_date": [(REGISTRY_DAY - timedelta(days=int(d))).isoformat() for d in days],
            "sex": pick(rng, ("female", "male"), PEOPLE),
            "region": pick(rng, _REGIONS, PEOPLE),
            "stage": [_STAGES[stage] for stage in stages],
            "treatment": [_TREATMENTS[treatment] for treatment in treatments],
            "outcome": ["yes" if relapse else "no" for relapse in relapsed],
        }
    )


@cache
def make_objections() -> pa.Table:
    """Make the list of those who objected: patient_id and the day on which they did."""
    rng = np.random.Generator(np.random.PCG64(120))
    people = make_registry()["patient_id"].to_pylist()
    rows = shuffle(rng, PEOPLE, OBJECTIONS)
    days = sorted(
        (date(2024, 1, 1) + timedelta(days=int(d * 700))).isoformat()
        for d in rng.random(OBJECTIONS)
    )
    return pa.table({"patient_id": [people[row - 1] for row in rows], "objected_at": days})
