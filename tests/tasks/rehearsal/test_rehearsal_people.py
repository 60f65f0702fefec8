"""Made-up people are what a policy declares: eligible, and in its types, words and shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import PolicyError
from expectations.policy.plain_yaml import Plain
from expectations.policy.policy import Policy
from expectations.policy_file import PACKAGED, parse_policy, read_policy
from tasks.own_code.loading import load_policy_code
from tasks.rehearsal.people import make_people, make_rows
from tasks.rehearsal.staging import (
    Crowd,
    add_answers,
    choose_notice,
    make_crowd,
    make_events,
    people_needed,
    stage,
)
from tests.conftest import Folder, make_folder
from tests.expectations.coherence.test_many_rows_coherence import TABLES, VISITS

HELD = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.large_string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}
NOTES = (PACKAGED / "notes.yaml").read_text("utf-8")
REGISTRY = (PACKAGED / "registry.yaml").read_text("utf-8")
DIABETES = (PACKAGED / "diabetes.yaml").read_text("utf-8")
WARD = "category: dpv-pd:Health, use: [eligibility, release],\n     treatment: {kind: categories"
READMITTED = "category: dpv-pd:Health,\n     use: [eligibility, release], treatment: {kind: keep}"
POLICIES = tuple(sorted(file.stem for file in PACKAGED.glob("*.yaml")))


def changed(text: str, *changes: tuple[str, str]) -> Policy:
    """Parse a policy with some of its text changed."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return parse_policy(text)


def known(frame: pd.DataFrame, column: str) -> list[object]:
    """Give the values of a column that are there, as plain Python has them."""
    values: list[object] = pa.array(frame[column]).drop_null().to_pylist()
    return values


@pytest.mark.parametrize("name", POLICIES)
def test_they_have_the_policys_columns_in_its_types(name: str) -> None:
    """As many rows as asked for, the same again for the same seed, others for another."""
    policy = read_policy(name).policy
    frame = make_people(policy, 200, 1)
    assert len(frame) == 200
    assert list(frame) == list(policy.columns)
    held = {column: pa.array(frame[column]).type for column in frame}
    assert held == {column: HELD[kind] for column, kind in policy.types.items()}
    assert frame.equals(make_people(policy, 200, 1))
    assert not frame.equals(make_people(policy, 200, 2))


@settings(max_examples=15, deadline=None)
@given(low=st.integers(0, 70), seed=st.integers(0, 2**32 - 1))
def test_most_are_eligible_and_not_all(low: int, seed: int) -> None:
    """Counted in plain Python, 95 in 100 have the age that is asked for, wherever it lies."""
    policy = changed(NOTES, ("age >= 18", f"age between {low} and {low + 25}"))
    ages = known(make_people(policy, 200, seed), "age")
    eligible = sum(isinstance(age, int) and low <= age <= low + 25 for age in ages)
    assert 0.9 <= eligible / 200 <= 0.97


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_narrow_conditions_on_several_columns_are_met(seed: int) -> None:
    """What fails is drawn again, so that a combination that hardly comes up by chance is had."""
    asked = "age >= 18 and note is not missing"
    policy = changed(
        NOTES,
        (asked, "age = 61 and ward = 'oncology' and readmitted and note is not missing"),
        ("category: dpv-pd:Health, use: [release],\n     treatment: {kind: categories", WARD),
        ("category: dpv-pd:Health,\n     use: [release], treatment: {kind: keep}", READMITTED),
    )
    frame = make_people(policy, 100, seed)
    people = zip(known(frame, "age"), known(frame, "ward"), known(frame, "readmitted"), strict=True)
    assert sum(person == (61, "oncology", True) for person in people) >= 90


def test_dates_are_as_old_as_is_asked() -> None:
    """Years and days since a date are counted to today."""
    asked = "years_since(birth_date) between 40 and 44"
    policy = changed(REGISTRY, ("eligible: birth_date is not missing", f'eligible: "{asked}"'))
    today = datetime.now(UTC).date()
    days = known(make_people(policy, 200, 3), "birth_date")
    years = [(today - day).days / 365.25 for day in days if isinstance(day, date)]
    assert sum(39.9 < year < 45.1 for year in years) >= 180


def test_identifiers_are_each_persons_own_and_stand_in_their_text() -> None:
    """No two share a number or an address; a note holds what is to be found in it."""
    frame = make_people(read_policy("notes").policy, 100, 4)
    for column in ("phone", "e_mail", "mrn", "note"):
        assert len(set(known(frame, column))) == 100, column
    assert all(row["mrn"] in row["note"] for _, row in frame.iterrows())


def test_words_are_the_sources_own() -> None:
    """A word that leaves under another name is held as the source writes it."""
    words = set(known(make_people(read_policy("diabetes").policy, 300, 5), "general_health"))
    assert {"Fair or", "Poor?"} <= words
    assert not words & {"Fair", "Poor"}


def test_declared_margins_are_met() -> None:
    """The share of each published label is within two in a hundred, counted in plain Python."""
    policy = read_policy("prevalence").policy
    frame = make_people(policy, 2000, 6)
    reference = policy.population.reference
    assert reference is not None
    origins = Counter(frame["race"])
    for label, share in reference.margins["race"].shares.items():
        assert abs(origins[label] / 2000 - share) < 0.02, label
    smoked = Counter(frame["smoked"])
    assert abs(smoked[True] / 2000 - reference.margins["smoked"].shares["yes"]) < 0.02


def test_features_tell_something_of_the_target() -> None:
    """Of the stages in order, relapse is told more often of some than of others."""
    frame = make_people(read_policy("registry").policy, 2000, 7)
    rates = frame["relapse"].astype(bool).groupby(frame["stage"]).mean()
    assert rates.max() - rates.min() > 0.1


def test_no_row_where_none_can_be_is_told_by_the_conditions_place() -> None:
    """Rows for trying functions are still made."""
    policy = changed(NOTES, ("age >= 18", "age >= 18 and age < 18"))
    with pytest.raises(PolicyError, match=r"population\.eligible: none of"):
        make_rows(policy, 50, 1)
    assert len(make_people(policy, 50, 1)) == 50


def test_as_many_as_the_policy_asks_for() -> None:
    """The smallest number of people, k and a sample are counted in."""
    few = changed(NOTES, ("smallest: 100", "smallest: 5000\n  sample: 0.5"))
    assert people_needed(few) >= 10_000
    assert people_needed(changed(NOTES, ("k: 5", "k: 100"))) >= 1_000


def test_some_never_agreed_and_a_guardian_speaks_for_the_young() -> None:
    """Events name a declared version that counts; who is too young has a guardian in them."""
    rules = "  kind: consent\n  minimum_versions: {research: 2}\n"
    minors = "  minors: {own_consent_from: 16, born: date_of_birth}\n"
    policy = changed(DIABETES, ("  kind: consent\n", rules + minors))
    notice = choose_notice(policy)
    assert notice is not None
    assert (notice.id, notice.version) == ("research", 2)
    crowd = make_crowd(policy, 200, 30)
    rows = add_answers(crowd, policy, np.random.default_rng(1))
    events = make_events(Crowd(rows, crowd.people, 30), notice, policy).to_pylist()
    agreed = {event["person"] for event in events if event["status"] == "given"}
    withdrawn = {event["person"] for event in events if event["status"] == "withdrawn"}
    assert len(agreed - withdrawn) == 200
    assert withdrawn
    assert len({event["person"] for event in events}) < 230
    today = datetime.now(UTC).date()
    born = dict(zip(crowd.people, rows["date_of_birth"], strict=True))
    for event in events:
        age = (today - date.fromisoformat(str(born[event["person"]]))).days / 365.25
        assert (event["guardian"] is not None) == (age < 17)


@pytest.mark.parametrize("name", POLICIES)
def test_every_place_of_a_staged_policy_is_in_the_folder(name: str, tmp_path: Path) -> None:
    """People, events and objections are made up there; all else is as the policy says.

    But for where columns come from, since people have columns there instead of rows.
    """
    file = read_policy(name)
    staged = stage(file, tmp_path).file.policy
    found = list(places(staged.model_dump(mode="json")))
    assert found
    assert all(Path(str(one["path"])).parent == tmp_path for one in found)
    rest = {"source": True, "basis": True, "columns": {"__all__": {"rows", "source"}}}
    assert staged.model_dump(exclude=rest) == file.policy.model_dump(exclude=rest)


def test_a_share_of_a_column_by_an_own_function_is_met(folder: Folder) -> None:
    """A narrow one, which people drawn without the function do not have."""
    function = "    function: own.py:sick\n    reads: [sugar]\n    type: boolean\n"
    share = ("low: 0.1, high: 0.9", "low: 0.1, high: 0.14")
    path = folder.write(("    expression: sugar >= 6.5\n", function), share)
    (folder.path / "own.py").write_text("def sick(rows):\n    return rows['sugar'] >= 50\n")
    file = read_policy(str(path))
    shares = []
    for own in (load_policy_code(file), {}):
        _, rows = make_rows(file.policy, 400, 1, own=own)
        people = pd.DataFrame(rows).dropna().astype({"age": int, "sugar": float})
        shares.append(float((people[people["age"] >= 18]["sugar"] >= 50).mean()))
    assert 0.1 <= shares[0] <= 0.14
    assert not 0.1 <= shares[1] <= 0.14


def places(plain: Plain) -> Iterator[dict[str, Plain]]:
    """Find every place that data would be read from."""
    if isinstance(plain, dict):
        if plain.get("kind") in {"csv", "parquet", "json-lines", "sql", "sql-query", "example"}:
            yield plain
        plain = list(plain.values())
    for part in plain if isinstance(plain, list) else ():
        yield from places(part)


def test_nothing_real_is_read_of_further_tables_or_merged_identifiers(tmp_path: Path) -> None:
    """Their columns are made up, and nobody was merged."""
    more = "  same_person: {location: {kind: csv, path: merged.csv}}\n"
    until = TABLES.replace('{date: "2025-06-30"}', "{column: left}")
    policy = make_folder(tmp_path).write(("  person: pid\n", until + more), ("derived:\n", VISITS))
    (tmp_path / "rehearsal").mkdir()
    source = stage(read_policy(str(policy)), tmp_path / "rehearsal").file.policy.source
    assert (source.same_person, source.followed_until, dict(source.tables)) == (None, None, {})
