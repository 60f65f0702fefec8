"""A whole table is read, some columns at a time, and columns are seen together."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting import examination
from tasks.drafting.examination import Examined, examine
from tasks.drafting.profile import LEAST
from tasks.drafting.singling_out import cross, share_alone
from tasks.sources import location_of, open_source

PEOPLE: Mapping[str, Sequence[object]] = {
    "person": [*range(60)],
    "sex": ["f", "m"] * 30,
    "town": ["Aix", "Bonn", "Cork"] * 20,
    "score": [n / 7 for n in range(60)],
}


def examine_csv(folder: Path, columns: Mapping[str, Sequence[object]]) -> Examined:
    """Write a table and examine it."""
    pv.write_csv(pa.table(dict(columns)), folder / "table.csv")
    return examine(open_source(location_of("table.csv"), folder))


def test_every_kind_of_source_is_seen_alike(tmp_path: Path) -> None:
    """CSV holds text, Parquet and databases hold numbers; what is seen is the same."""
    table = pa.table(dict(PEOPLE))
    pv.write_csv(table, tmp_path / "people.csv")
    pq.write_table(table, tmp_path / "people.parquet")
    with sqlite3.connect(tmp_path / "people.db") as database:
        database.execute("create table people (person int, sex text, town text, score real)")
        rows = list(zip(*PEOPLE.values(), strict=True))
        database.executemany("insert into people values (?, ?, ?, ?)", rows)
    database.close()
    places = ("people.csv", "people.parquet", "sqlite:///people.db#people")
    first, *others = (examine(open_source(location_of(place), tmp_path)) for place in places)
    assert [column.profile.name for column in first.columns] == [*PEOPLE]
    assert others == [first, first]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_people_who_are_alone_together_are_counted(rows: list[tuple[int, int]]) -> None:
    """Against a count of the pairs."""
    left, right = (np.array(each, np.int64) for each in zip(*rows, strict=True))
    sizes = Counter(rows)
    alone = sum(sizes[row] < 5 for row in rows) / len(rows)
    assert share_alone(cross(left, right)) == pytest.approx(alone)


def test_columns_that_only_together_single_out_are_named(tmp_path: Path) -> None:
    """`v1` is told by no sign, yet with the year of birth it leaves nobody among five."""
    columns = {
        "birth_year": [1950 + n % 10 for n in range(100)],
        "v1": [n // 10 for n in range(100)],
    }
    examined = examine_csv(tmp_path, columns)
    assert examined.joint == (("birth_year", "v1"), 1.0)
    assert examined.columns[1].identifiability is Identifiability.QUASI


@dataclass(frozen=True)
class Recorded:
    """A table in memory that notes which columns were read together."""

    table: pa.Table
    reads: list[Sequence[str]] = field(default_factory=list)

    def columns(self) -> tuple[str, ...]:
        """Give the names of all columns."""
        return tuple(self.table.column_names)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns."""
        assert where is None
        self.reads.append(columns)
        return self.table.select(list(columns))


@pytest.mark.parametrize("rows_each", [1, 2])
def test_of_a_wide_table_few_columns_are_held_at_a_time(
    rows_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where columns are seen together, of which those are read that are tried."""
    monkeypatch.setattr(examination, "CELLS", 5 * 120)
    coded = {f"v{n}": [row % (n + 3) for row in range(120)] for n in range(40)}
    known = {f"{who}_age": [row % 60 for row in range(120)] for who in ("own", "wife", "son")}
    source = Recorded(
        pa.table({"person_id": [row // rows_each for row in range(120)], **coded, **known})
    )
    examine(source)
    assert max(map(len, source.reads)) <= 5
    together = [name for read in source.reads[-3:] for name in read]
    assert together[:3] == [*known]
    assert together[3:] == [f"v{n}" for n in range(39, 31, -1)]


def test_rows_of_one_person_do_not_make_a_word_common(tmp_path: Path) -> None:
    """Where a key has several rows a person, people are counted."""
    people = [number for number in range(30) for _ in range(LEAST + 2)]
    examined = examine_csv(
        tmp_path,
        {
            "person_id": [*people],
            "job": ["mayor" if number == 0 else "clerk" for number in people],
            "pay": [999_999 if number == 0 else 2_000 + number % 3 for number in people],
        },
    )
    _, job, pay = examined.columns
    assert (job.profile.words, job.profile.rare) == (("clerk",), 1)
    assert "999999" not in pay.profile.words


@pytest.mark.parametrize("people", [6, 30])
@pytest.mark.parametrize("key", ["patient_id", "email"])
def test_whatever_names_people_in_several_rows_counts_them(
    tmp_path: Path, key: str, people: int
) -> None:
    """Of fewer than ten people nothing is told at all; their own number is theirs alone."""
    rows = [number for number in range(people) for _ in range(LEAST + 2)]
    examined = examine_csv(
        tmp_path,
        {
            key: [f"p{number}@example.org" for number in rows],
            "town": [f"Town {number}" for number in rows],
            "income": [20_000 + 731 * number for number in rows],
        },
    )
    _, town, income = (column.profile for column in examined.columns)
    assert (town.words, income.words) == ((), ())
    assert not {float(20_000 + 731 * number) for number in rows} & {income.low, income.high}
    assert people > LEAST or income.edges == ()


def test_who_few_people_work_for_is_not_who_they_are(tmp_path: Path) -> None:
    """Where each row has its number, two managers do not make two people of all rows."""
    examined = examine_csv(tmp_path, {**PEOPLE, "manager": ["Anna Smith", "Peter Parker"] * 30})
    assert examined.columns[2].profile.words == ("Aix", "Bonn", "Cork")


@pytest.mark.parametrize(
    "names",
    [["7", "age"], ["1980-01-31", "age"], ["anna@example.org", "age"], ["4.5", "age"],
     ["North", "smoker"]],
)  # fmt: skip
def test_a_first_line_of_values_is_no_header_and_is_not_quoted(
    tmp_path: Path, names: list[str]
) -> None:
    """The first person would stand in the policy as the columns' names."""
    table = {names[0]: ["North", "South"] * 20, names[1]: ["smoker", "none"] * 20}
    with pytest.raises(SourceError, match="looks like a row of data") as raised:
        examine_csv(tmp_path, table)
    assert names[0] not in str(raised.value)


def test_one_column_that_is_named_as_its_value_is_a_header(tmp_path: Path) -> None:
    """A yes of what the column asks may be spelled so."""
    assert examine_csv(tmp_path, {"smoker": ["smoker", "none"] * 20, "age": [*range(40)]}).rows


def test_what_is_unknown_in_a_medical_table_is_taken_for_health(tmp_path: Path) -> None:
    """In doubt, and only there."""
    known = {
        "sbp": [110 + n % 40 for n in range(60)],
        "glucose": [90 + n % 30 for n in range(60)],
    }
    unknown = {"zeta": [n % 3 for n in range(60)]}
    (zeta,) = examine_csv(tmp_path, unknown).columns
    assert zeta.category is None
    zeta = examine_csv(tmp_path, known | unknown).columns[-1]
    assert (zeta.category, zeta.doubtful) == (Category.HEALTH, True)


def test_a_grade_and_a_visit_are_of_health_only_among_health(tmp_path: Path) -> None:
    """A tumour has a grade, and so have a pupil and a borrower."""
    maybe: dict[str, Sequence[object]] = {
        "grade": ["A", "B", "C"] * 20,
        "visits": [n % 9 for n in range(60)],
    }
    health: dict[str, Sequence[object]] = {
        "sbp": [110 + n % 40 for n in range(60)],
        "bmi": [20 + n % 9 for n in range(60)],
    }
    for column in examine_csv(tmp_path, maybe).columns:
        assert column.category is not Category.HEALTH
    for column in examine_csv(tmp_path, health | maybe).columns[2:]:
        assert (column.category, column.doubtful) == (Category.HEALTH, True)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    """Nothing can be said of it."""
    pq.write_table(pa.table({"age": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    with pytest.raises(SourceError, match="no rows"):
        examine(open_source(location_of("empty.parquet"), tmp_path))


def test_columns_of_odd_kinds_are_told_to_be_doubtful(tmp_path: Path) -> None:
    """Lists and empty columns stop nothing."""
    table = pa.table({"tags": [["a"], ["b"]] * 10, "none": pa.nulls(20), "kind": ["x", "y"] * 10})
    pq.write_table(table, tmp_path / "odd.parquet")
    examined = examine(open_source(location_of("odd.parquet"), tmp_path))
    assert [column.doubtful for column in examined.columns] == [True] * 3
