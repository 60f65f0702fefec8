"""Each column becomes what the policy says, row by row, and a value without a treatment stops."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.treatments import (
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Mask,
    Redact,
    Round,
    Token,
    Treatment,
)
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Deidentified
from tasks.anonymization.deidentify import deidentify, deidentify_table, treat
from tasks.anonymization.labels import Undeclared
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import TEST, select_population
from tests.conftest import Folder, counts, opened, small_policy

KEY = b"k" * 32
BINS = Bin(kind="bin", edges=(30, 40.5), labels=("young", "middle", "old"))
WORDS = Categories(kind="categories", values=("f", "m"), rename={"w": "f"})
INF = float("inf")


def treated(treatment: Treatment, values: list[Any], kind: pa.DataType) -> list[Any]:
    """Treat a column that comes in two pieces."""
    middle = len(values) // 2
    pieces = [pa.array(values[:middle], kind), pa.array(values[middle:], kind)]
    made = treat(pa.chunked_array(pieces, kind), treatment, KEY)
    assert made is not None
    return list(made.to_pylist())


@pytest.mark.parametrize(
    ("treatment", "kind", "values", "made"),
    [
        pytest.param(Keep(kind="keep"), pa.int64(), [1, None], [1, None], id="keep"),
        pytest.param(
            Keep(kind="keep"), pa.bool_(), [True, False, None], ["yes", "no", None], id="keep-bool"
        ),
        pytest.param(
            Mask(kind="mask"), pa.large_string(), ["ab\nc", "", None], ["****", "", None], id="mask"
        ),
        pytest.param(
            Mask(kind="mask", show_last=2),
            pa.large_string(),
            ["12345", "Zoë", "12", "1", None],
            ["***45", "*oë", "**", "*", None],
            id="mask-but-the-last",
        ),
        pytest.param(
            BINS,
            pa.float64(),
            [29.9, 30.0, 40.5, -1e300, 1e300, None],
            ["young", "middle", "old", "young", "old", None],
            id="bin",
        ),
        pytest.param(
            BINS,
            pa.int64(),
            [29, 30, 41, None],
            ["young", "middle", "old", None],
            id="bin-integers",
        ),
        pytest.param(
            Clip(kind="clip", low=1, high=9.5),
            pa.int64(),
            [-5, 5, 99, None],
            [1, 5, 9.5, None],
            id="clip",
        ),
        pytest.param(
            Round(kind="round", to=5), pa.int64(), [12, 13, -2, None], [10, 15, 0, None], id="round"
        ),
        pytest.param(WORDS, pa.large_string(), ["w", "m", None], ["f", "m", None], id="words"),
        pytest.param(
            DateParts(kind="date-parts", precision="year"),
            pa.date32(),
            [date(1969, 12, 31), None],
            ["1969", None],
            id="year",
        ),
        pytest.param(
            DateParts(kind="date-parts", precision="month"),
            pa.date32(),
            [date(2024, 2, 29), None],
            ["2024-02", None],
            id="month",
        ),
        pytest.param(
            DateParts(kind="date-parts", precision="quarter"),
            pa.date32(),
            [date(2024, 3, 31), date(2024, 4, 1), None],
            ["2024-Q1", "2024-Q2", None],
            id="quarter",
        ),
    ],
)
def test_a_treatment_does_what_it_says(
    treatment: Treatment, kind: pa.DataType, values: list[Any], made: list[Any]
) -> None:
    """Also at its edges; what is missing stays missing, and no row is lost at a seam."""
    assert treated(treatment, values, kind) == made
    assert treated(treatment, [], kind) == []


@pytest.mark.parametrize(
    "treatment", [Drop(kind="drop"), Redact(kind="redact")], ids=["drop", "text"]
)
def test_of_a_dropped_column_nothing_is_made(treatment: Treatment) -> None:
    """Free text goes another way, for it needs the row's other columns."""
    assert treat(pa.chunked_array([["a"]]), treatment, KEY) is None


def test_a_token_is_the_same_for_the_same_value_and_key() -> None:
    """32 hex digits; numbers and their text, and both forms of é, are one value each."""
    token = Token(kind="token")
    number = treated(token, [12, 13, None], pa.int64())
    assert number[:1] == treated(token, ["12"], pa.large_string())
    assert number[0] != number[1]
    assert (len(number[0]), number[2]) == (32, None)
    composed, other = treated(token, ["\u00e9", "e\u0301"], pa.large_string())
    assert composed == other
    fresh = treat(pa.chunked_array([["12"]]), token, b"z" * 32)
    assert fresh is not None
    assert fresh.to_pylist() != number[:1]


def test_labelled_columns_carry_the_declared_words_alone() -> None:
    """In their order; neither the order of rows nor a source's own word shows."""
    for treatment, values, words in (
        (WORDS, ["m", "w"], ["f", "m"]),
        (Keep(kind="keep"), [True, True], ["no", "yes"]),
    ):
        made = treat(pa.chunked_array([pa.array(values)]), treatment, KEY)
        assert made is not None
        assert made.dictionary.to_pylist() == words


def test_an_undeclared_word_stops_with_its_count() -> None:
    """Missing ones are not among them, and the word is not said."""
    values = pa.chunked_array([["f", "Kestrel", None], ["Kestrel", "F"]] * 10)
    with pytest.raises(Undeclared, match=r"^about 30 values are not among those declared$"):
        treat(values, WORDS, KEY)


WARD = """\
  ward:
    {type: text, identifiability: none, category: dpv-pd:Health, use: [audit],
     treatment: {kind: categories, values: [a, b]}}
"""
POLICY = parse_policy(
    small_policy(
        ("derived:\n", f"{WARD}derived:\n"),
    )
)


def selected(rows: list[dict[str, Any]]) -> pa.Table:
    """Give selected people, one row each, as the steps before leave them."""
    kinds = {
        RECORD: pa.uint64(), TEST: pa.bool_(), "_person": pa.large_string(), "age": pa.int64(),
        "sex": pa.large_string(), "sugar": pa.float64(), "ward": pa.large_string(),
        "sick": pa.bool_(),
    }  # fmt: skip
    plain = {TEST: False, "_person": "Zyxwort", "sex": "f", "ward": "a", "sick": None}
    full = [{**dict.fromkeys(kinds), **plain, RECORD: n, **row} for n, row in enumerate(rows)]
    return pa.Table.from_pylist(full, pa.schema(list(kinds.items())))


def test_undeclared_words_of_all_columns_are_told_at_once() -> None:
    """Each column with its count, and how to mend it; no value."""
    table = selected([{"sex": "Kestrel"}, {"sex": "Vole"}, {"ward": "Kestrel"}, {}])
    with pytest.raises(SourceError) as found:
        deidentify_table(table, POLICY, KEY)
    text = str(found.value)
    assert "  sex: fewer than 10 values" in text
    assert "  ward: fewer than 10 values" in text
    assert "declare them under the column's treatment" in text
    assert "`other: other`" in text
    assert "Kestrel" not in text
    assert "Vole" not in text


def test_nothing_of_a_dropped_column_stays() -> None:
    """Neither the column nor one of its values, and the person's name is gone as well."""
    table, _ = deidentify_table(selected([{"sugar": 47.125}, {"age": 30}]), POLICY, KEY)
    assert table.column_names == [RECORD, TEST, "age", "sex", "ward", "sick"]
    assert "47.125" not in str(table.to_pylist())
    assert "Zyxwort" not in str(table.to_pylist())


persons = st.fixed_dictionaries(
    {
        "age": st.none() | st.integers(0, 120),
        "sex": st.none() | st.sampled_from("fm"),
        "sugar": st.none() | st.floats(0, 40),
        "ward": st.none() | st.sampled_from("ab"),
        "sick": st.none() | st.booleans(),
    }
)


@given(st.lists(persons, min_size=1, max_size=6), st.data())
def test_one_person_changes_only_their_own_row(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Without one person all others' rows are as they were: what a private trainer needs."""
    table = selected(rows)
    gone = data.draw(st.integers(0, len(rows) - 1))
    rest = np.array([number != gone for number in range(len(rows))])
    everybody, _ = deidentify_table(table, POLICY, KEY)
    others, _ = deidentify_table(table.filter(pa.array(rest)), POLICY, KEY)
    assert others.to_pylist() == everybody.filter(pa.array(rest)).to_pylist()
    assert others.schema == everybody.schema


NOTE = """\
  note:
    {type: text, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: redact, known: [name]}}
  name:
    {type: text, identifiability: identifier, category: dpv-pd:Identifying, use: [redaction],
     treatment: {kind: drop}}
"""
NOTES = ("derived:\n", f"{NOTE}derived:\n")
RELEASED = ("sick: generalize}", "sick: generalize, note: keep}\n    not_linkable: {note: why}")


def test_free_text_is_reduced_by_the_rows_own_identifiers(home: Home, folder: Folder) -> None:
    """The step counts the people in whose text one still stands, and hides a small count."""
    assert home.vault.is_dir()
    for person in folder.people:
        person["note"] = f"seen; {person['name']} was well"
    with opened(folder.write(NOTES, RELEASED)) as run:
        made = deidentify(select_population(collect(filter_consent(read_roster()))))
        table = run.vault.load(made, Deidentified).to_table()
        assert counts(run)["people.texts_with_identifiers"] == 0
    assert set(table["note"].to_pylist()) == {"seen; <IDENTIFIER> was well"}
    assert "name" not in table.column_names


def test_where_no_identifier_is_known_no_check_passes(home: Home, folder: Folder) -> None:
    """A search for nothing finds nothing, so it is no check."""
    assert home.vault.is_dir()
    for person in folder.people:
        person["note"] = f"seen; {person['name']} was well"
    alone = NOTES[1].replace(", known: [name]", "")
    alone = alone[: alone.index("  name:")] + "derived:\n"
    with opened(folder.write((NOTES[0], alone), RELEASED)) as run:
        deidentify(select_population(collect(filter_consent(read_roster()))))
        assert [e.name for e in run.ledger.entries(run.id) if e.kind == "check"] == []


def test_text_without_known_columns_is_reduced_as_well() -> None:
    """Then only what Presidio recognizes goes; the rows are marked by what still stands."""
    alone = parse_policy(small_policy(NOTES, RELEASED))
    note = alone.columns["note"].model_copy(update={"treatment": Redact(kind="redact")})
    policy = alone.model_copy(update={"columns": {"note": note}, "derived": {}})
    table = selected([{}, {}]).append_column("note", pa.array(["mail a.b@example.org", None]))
    made, standing = deidentify_table(table, policy, KEY)
    assert made["note"].to_pylist() == ["mail <EMAIL_ADDRESS>", None]
    assert standing.tolist() == [False, False]
