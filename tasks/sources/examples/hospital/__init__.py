"""A made-up hospital: patients, stays, diagnoses and laboratory values of three years; nobody real.

Simulated by `clinosim` 0.6.5 (MIT licence), four towns of 4,500 people, seeds 1 to 4, from 2022 to
2024; `docs/make_readmission.py` makes the files anew. Kept are those who were in the emergency
department or on a ward, but for births.

- `patients`: patient, age, sex, smoking_status, seen_until (the end of the data, or of their life)
- `stays`: patient, kind (emergency or inpatient), admitted, discharged
- `diagnoses`: patient, code (three characters of ICD-10), admitted, discharged: known at discharge
- `labs`: patient, test, value, unit, known (when the result was there)

Consents are made up here, by `consent_history`: nine in ten would consent, whoever they are.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa

from expectations.policy.locations import ParquetFiles
from tasks.sources.examples.consent_history import make_events
from tasks.sources.parquet_files import ParquetSource

CHANCE = 0.9
"""Of each patient, that they would consent to research."""
LAST_DAY = date(2024, 12, 31)
"""The day on which ages are counted."""


def open_table(name: str) -> ParquetSource:
    """Give the source of one of the four tables."""
    path = files("tasks.sources.examples.hospital") / f"{name}.parquet"
    return ParquetSource(ParquetFiles(kind="parquet", path=str(path)), Path())


@cache
def make_consent() -> pa.Table:
    """Make the consent events of all patients, as `consent_history` describes them."""
    people = open_table("patients").read(["patient", "age"])
    rng = np.random.Generator(np.random.PCG64(30))
    days = rng.integers(0, 365, people.num_rows)
    born = [
        LAST_DAY.replace(year=LAST_DAY.year - age) - timedelta(days=int(day))
        for age, day in zip(people["age"].to_pylist(), days, strict=True)
    ]
    numbers = people["patient"].to_pylist()
    return make_events(rng, numbers, born, [CHANCE] * people.num_rows)
