"""No value of a few people stands in a drafted policy, nor does anybody's extreme number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.vocabulary import Article6, Article9
from expectations.policy_file import parse_policy
from tasks.drafting.deciding import person_column
from tasks.drafting.decisions import Fate
from tasks.drafting.examination import examine
from tasks.drafting.writing import write_policy
from tests.tasks.drafting.drafted_columns import draft_of

LETTERS = st.text("bcdfghjklmnpqrstvwxz", min_size=7, max_size=9)
LONG = st.integers(1_000_001, 9_999_999).filter(lambda n: n % 1000)
"""Numbers of so many digits that no rounded edge is one of them by chance."""


@dataclass(frozen=True)
class Held:
    """A table in memory that is read like any source."""

    table: pa.Table

    def columns(self) -> tuple[str, ...]:
        """Give the names of all columns."""
        return tuple(self.table.column_names)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns."""
        assert where is None
        return self.table.select(list(columns))


@st.composite
def people(draw: st.DrawFn) -> pa.Table:
    """Some sixty people: a few words and numbers that many share, and others that few have."""
    many = draw(st.lists(LETTERS, min_size=1, max_size=3, unique=True))
    few = draw(st.lists(LETTERS, min_size=1, max_size=8, unique=True))
    numbers = draw(st.lists(LONG, min_size=20, max_size=40, unique=True))
    days = draw(st.lists(st.integers(0, 30_000), min_size=12, max_size=30, unique=True))
    words = [*(word for word in many for _ in range(draw(st.integers(10, 20)))), *few]
    rows = len(words)
    made: dict[str, Sequence[object]] = {
        "member_id": [f"M-{n}-{word}" for n, word in enumerate(words)],
        draw(st.sampled_from(["district", "job", "religion", "q1", "consent", "name"])): words,
        draw(st.sampled_from(["income", "age", "visits", "x"])): [
            numbers[n % len(numbers)] for n in range(rows)
        ],
        "weight": [numbers[-1 - n % len(numbers)] / 1000 for n in range(rows)],
        draw(st.sampled_from(["born", "member_since"])): [
            (date(1930, 1, 1) + timedelta(days[n % len(days)])).isoformat() for n in range(rows)
        ],
    }
    return as_text(made)


def as_text(made: Mapping[str, Sequence[object]]) -> pa.Table:
    """Give a table as a file of separated values would hold it."""
    return pa.table({name: [str(value) for value in column] for name, column in made.items()})


def held_by_few(table: pa.Table) -> set[str]:
    """Give every value that fewer than ten rows hold, as the file writes it."""
    return {
        value
        for column in table.columns
        for value, times in Counter(column.to_pylist()).items()
        if times < 10
    }


@given(people(), st.sampled_from([Article6.CONSENT, Article6.PUBLIC_TASK]))
def test_nothing_that_few_people_have_is_written(table: pa.Table, six: Article6) -> None:
    """Not in force, not in a comment; and what is written passes check."""
    examined = examine(Held(table))
    assert person_column(examined) is not None
    draft = draft_of(*examined.columns, six=six, nine=Article9.MADE_PUBLIC, rows=examined.rows)
    text = write_policy(draft)
    if draft.decided.of(Fate.PROPOSED):  # else the command refuses to write it
        assert parse_policy(text).columns
    assert [value for value in held_by_few(table) if value in text] == []


def test_the_extremes_are_rounded_outward() -> None:
    """The smallest and the largest are somebody's, however many there are."""
    ages = [17 + n % 60 for n in range(300)]
    incomes = [31_417 + 7 * (n % 90) for n in range(300)]
    made: dict[str, Sequence[object]] = {
        "member_id": [f"M{n}" for n in range(300)],
        "age": ages,
        "income": incomes,
    }
    examined = examine(Held(as_text(made)))
    text = write_policy(draft_of(*examined.columns, rows=300))
    numbers = {int(number) for number in re.findall(r"\d+", text)}
    assert not numbers & {17, 76, 31_417, max(incomes)}
    assert parse_policy(text).columns["income"].from_data


def test_a_table_of_nobody_is_refused() -> None:
    """There is nothing to tell of it."""
    with pytest.raises(SourceError, match="no rows"):
        examine(Held(pa.table({"a": pa.array([], pa.string())})))
