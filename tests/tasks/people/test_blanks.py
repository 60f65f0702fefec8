"""What a person keeps back is never read of them, is unknown, and is never made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Collected, Deidentified, Permitted, Roster, Selected
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.deidentify import deidentify
from tasks.people.ingestion import (
    CATEGORIES,
    DRAW,
    PERSON,
    RECORD,
    SAMPLE,
    collect,
    collect_columns,
    make_roster,
    read_roster,
)
from tasks.people.population import derive_columns, keep_eligible, select_population
from tests.conftest import BASIS, Folder, counts, opened, small_policy

TODAY = date(2026, 3, 1)
AGE, GENDER, HEALTH = 0b001, 0b010, 0b100
"""The bits of the small policy's categories."""
BLANK = (BASIS, f"{BASIS}\n  on_partial: blank")
NOTES = """\
  notes: {type: text, identifiability: quasi, category: dpv-pd:Age, use: [eligibility],
    treatment: {kind: redact, known: [sex]}}
derived:
"""
PSEUDONYM = """\
  pseudonym: {from: pid, type: text, identifiability: identifier, category: dpv-pd:Age,
    use: [release], treatment: {kind: token}}
derived:
"""


@dataclass
class Source:
    """A table that writes down every value that it is asked for, by person and column."""

    table: pa.Table
    asked: list[tuple[str, str]] = field(default_factory=list)
    reads: int = 0

    def columns(self) -> tuple[str, ...]:
        """Give the header."""
        return tuple(self.table.column_names)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Note each value that is asked for, and give them."""
        assert where is not None, "columns are read of named people only"
        self.reads += 1
        rows = self.table.filter(pc.is_in(self.table[where[0]], where[1].cast(pa.string())))
        self.asked += [(name, c) for name in rows[where[0]].to_pylist() for c in columns]
        return rows.select(columns)


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy; its categories are those of the bits above, in their order."""
    made = parse_policy(small_policy(*changes))
    assert [c.rpartition(":")[2] for c in made.categories] == ["Age", "Gender", "Health"]
    return made


def people(covered: Sequence[int], **columns: object) -> pa.Table:
    """Give people p0, p1, … who let so much of theirs be read, with some collected columns."""
    names = [f"p{number}" for number in range(len(covered))]
    roster = make_roster(pa.chunked_array([pa.array(names, pa.string())]), b"k", "pid")
    return pa.table(
        {name: roster[name] for name in (PERSON, RECORD, DRAW, SAMPLE)}
        | {CATEGORIES: pa.array(covered, pa.uint32()), **columns}
    )


def source_of(number: int) -> Source:
    """Give a source in which every value is its own: of p3 age 3, sex "f3" and sugar 3.5."""
    rows = range(number)
    return Source(
        pa.table(
            {
                "pid": pa.array([f"p{n}" for n in rows], pa.string()),
                "age": pa.array([str(n) for n in rows], pa.string()),
                "sex": pa.array([f"f{n}" for n in rows], pa.string()),
                "sugar": pa.array([f"{n}.5" for n in rows], pa.string()),
            }
        )
    )


def whole(number: int) -> dict[str, object]:
    """Give what is collected of a person of `source_of` who keeps nothing back."""
    return {"age": number, "sex": f"f{number}", "sugar": number + 0.5}


COLUMNS = {"age": AGE, "sex": GENDER, "sugar": HEALTH}


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_each_value_is_read_of_just_those_who_let_it_be_read(
    covered: list[int], random: object
) -> None:
    """Once; the others are missing, nothing of one person is put beside another, in any order."""
    source, permitted = source_of(len(covered)), people(covered)
    order = list(range(len(covered)))
    random.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis' own
    found = collect_columns(source, policy(), permitted.take(order))
    allowed = {
        (f"p{n}", c) for n, held in enumerate(covered) for c, bit in COLUMNS.items() if held & bit
    }
    asked = [pair for pair in source.asked if pair[1] != "pid"]
    assert sorted(asked) == sorted(allowed)
    assert source.reads <= 1 + len(COLUMNS)
    assert found[PERSON].to_pylist() == [f"p{n}" for n in range(len(covered))]
    for number, (held, row) in enumerate(zip(covered, found.to_pylist(), strict=True)):
        read = {c: v if held & COLUMNS[c] else None for c, v in whole(number).items()}
        assert row == {PERSON: f"p{number}", **read}


def test_where_nobody_keeps_anything_back_one_read_is_enough() -> None:
    """Whatever else is set beside the bits of the policy's categories."""
    source = source_of(3)
    found = collect_columns(source, policy(), people([7, 7, 2**32 - 1]))
    assert source.reads == 1
    assert found.drop_columns([PERSON]).to_pylist() == [whole(0), whole(1), whole(2)]


@pytest.mark.parametrize("gone", ["base", "part"])
def test_who_comes_or_goes_between_two_reads_stops_the_run(gone: str) -> None:
    """Also when only one of the later reads misses them."""
    source = source_of(3)
    permitted = people([7, 7, 1])

    class Leaving(Source):
        """A source that somebody leaves before its last read."""

        def read(
            self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
        ) -> pa.Table:
            """Lose the second person, from the first read or after it."""
            if gone == "base" or self.reads:
                self.table = self.table.filter(pc.not_equal(self.table["pid"], "p1"))
            return super().read(columns, where=where)

    with pytest.raises(SourceError, match="the people changed between the reading"):
        collect_columns(Leaving(source.table), policy(), permitted)


def test_text_is_read_only_with_the_identifiers_that_are_taken_out_of_it() -> None:
    """Else a person who keeps their name back would have it left in their notes."""
    noted = policy(
        ("derived:\n", NOTES),
        ("eligible: age >= 18", "eligible: age >= 18 or notes is not missing"),
        ("use: [feature, release, audit]", "use: [feature, release, audit, redaction]"),
    )
    source = source_of(2)
    source.table = source.table.append_column("notes", pa.array(["f0 came", "f1 came"]))
    found = collect_columns(source, noted, people([AGE, AGE | GENDER]))
    assert found["notes"].to_pylist() == [None, "f1 came"]
    assert ("p0", "notes") not in source.asked
    assert found["age"].to_pylist() == [0, 1]
    known = found.append_column(CATEGORIES, pa.array([AGE, AGE | GENDER], pa.uint32()))
    kept, _ = keep_eligible(
        known.append_column(RECORD, pa.array([1, 2], pa.uint64())), noted, TODAY
    )
    assert kept[PERSON].to_pylist() == ["p1"]


def test_a_persons_own_column_is_kept_back_like_any_other() -> None:
    """The identifier is read to find the row, and does not become a column by that."""
    released = "not_linkable: {pseudonym: only we can}\n    columns: {pseudonym: keep, age:"
    told = policy(("derived:\n", PSEUDONYM), ("columns: {age:", released))
    found = collect_columns(source_of(2), told, people([GENDER, AGE]))
    assert found["pseudonym"].to_pylist() == [None, "p1"]
    assert found[PERSON].to_pylist() == ["p0", "p1"]


def test_who_kept_their_health_back_is_not_derived_to_be_healthy() -> None:
    """Of two people without a value one may be called healthy, the other is unknown."""
    made = policy(("sugar >= 6.5", "coalesce(sugar >= 6.5, false)"))
    table = people([7, 7, AGE | GENDER], age=[40, 40, 40], sex=["f"] * 3, sugar=[7.0, None, None])
    derived = derive_columns(table, made, TODAY)
    assert derived["sick"].to_pylist() == [True, False, None]


@pytest.mark.parametrize(
    ("expression", "otherwise"),
    [
        ("sugar is missing", True),
        ("sugar is not missing", False),
        ("coalesce(sugar, 0) = 0", True),
        ("not (sugar > 6)", None),
        ("sugar is missing or age > 18", True),
        ("age > 18 or sugar > 6", True),
        ("if(sugar > 6, false, true)", True),
    ],
)
def test_whatever_reads_what_was_kept_back_is_unknown(
    expression: str, otherwise: bool | None
) -> None:
    """So nobody is eligible for having kept something back, and nothing is derived from it.

    Of somebody who keeps nothing back, the same missing value means what the expression says.
    """
    uses = "[feature, eligibility, release]"
    asked = policy(
        ("eligible: age >= 18", f'eligible: "{expression}"'),
        ("[derivation]", "[derivation, eligibility]"),
        (uses, uses if "age" in expression else "[feature, release]"),
    )
    sick = asked.derived["sick"].model_copy(update={"expression": expression})
    asked = asked.model_copy(update={"derived": {"sick": sick}})
    sugar = pa.array([None, None], pa.float64())
    table = people([AGE | GENDER, 7], age=[40, 40], sex=["f", "f"], sugar=sugar)
    kept, rest = keep_eligible(table, asked, TODAY)
    assert kept[PERSON].to_pylist() == (["p1"] if otherwise else [])
    assert rest.exact == 2 - kept.num_rows
    assert derive_columns(table, asked, TODAY)["sick"].to_pylist() == [None, otherwise]


def test_what_reads_nothing_that_was_kept_back_is_as_ever() -> None:
    """Each expression is judged by its own columns."""
    table = people([AGE, HEALTH], age=[40, None], sex=[None, None], sugar=[None, 7.0])
    kept, rest = keep_eligible(table, policy(), TODAY)
    assert kept[PERSON].to_pylist() == ["p0"]
    assert rest.exact == 1
    assert derive_columns(table, policy(), TODAY)["sick"].to_pylist() == [None, True]


@step("Permit in part", gives=Permitted)
def permit_in_part(_desk: Desk, roster: Opened[Roster]) -> pa.Table:
    """Permit everybody; each third keeps their health back, and each fifth their gender."""
    table = roster.table([PERSON, RECORD, DRAW, SAMPLE])
    numbers = [int(name[1:]) for name in table[PERSON].to_pylist()]
    held = [7 & ~(HEALTH * (n % 3 == 0)) & ~(GENDER * (n % 5 == 0)) for n in numbers]
    return table.append_column(CATEGORIES, pa.array(held, pa.uint32()))


def test_the_step_reads_in_part_and_counts_what_was_kept_back(home: Home, folder: Folder) -> None:
    """Every category is counted, also one that nobody kept back, and the rest goes on."""
    assert home.vault.is_dir()
    anybody = (
        "{model: logistic-regression}",
        "{model: logistic-regression, unlabelled_at_most: 1}",
    )
    with opened(folder.write(BLANK, anybody)) as run:
        collected = collect(permit_in_part(read_roster()))
        rows = run.vault.load(collected, Collected).to_table().to_pylist()
        selected = select_population(collected)
        derived = run.vault.load(selected, Selected).to_table().to_pylist()
        treated = run.vault.load(deidentify(selected), Deidentified).to_table().to_pylist()
        found = counts(run)
    assert {name: n for name, n in found.items() if "blanked" in name} == {
        "people.blanked.dpv-pd:Age": 0,
        "people.blanked.dpv-pd:Gender": 96,
        "people.blanked.dpv-pd:Health": 160,
    }
    for row in rows:
        number = int(row[PERSON][1:])
        assert (row["sugar"] is None, row["sex"] is None) == (number % 3 == 0, number % 5 == 0)
        assert str(row["age"]) == folder.people[number]["age"]
    assert all((row["sick"] is None) == (row["sugar"] is None) for row in derived)
    assert [(row["sex"], row["sick"] is None) for row in treated] == [
        (row["sex"], row["sugar"] is None) for row in rows
    ]
    assert found["people.selected"] == 480
    assert found["people.unlabelled"] == 160


def test_where_the_policy_leaves_such_people_out_nothing_is_called_blanked(
    home: Home, folder: Folder
) -> None:
    """A count that can be nothing but zero is none."""
    assert home.vault.is_dir()
    with opened(folder.write()) as run:
        collect(permit_in_part(read_roster()))
        assert not [name for name in counts(run) if "blanked" in name]
