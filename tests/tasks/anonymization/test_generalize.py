"""A table outlet's rows are made coarser by its own declarations, and cost and people are noted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Count, bound_share
from expectations.errors import Refusal
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Generalized
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import (
    count_classes,
    declare_hierarchy,
    generalize,
    generalize_table,
    order_sensitive,
    pin_values,
)
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import select_population
from tasks.validation import validation
from tasks.validation.validation import validate
from tests.conftest import Folder, counts, opened, small_policy

GROUPS = "{kind: generalize, levels: [{under 50: [18-34, 35-49]}, {all: [under 50, 50-64]}]}"


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy."""
    return parse_policy(small_policy(*changes))


def levels(column: str, *changes: tuple[str, str]) -> tuple[tuple[str, ...], ...]:
    """Give the hierarchy of one column of the partner's table."""
    asked = policy(*changes)
    hierarchy = declare_hierarchy(asked, asked.table_outlets["partner"], column)
    assert hierarchy is not None
    return hierarchy.levels


def test_an_ordered_column_merges_neighbours() -> None:
    """Bins are put together two by two."""
    assert levels("age") == (
        ("18-34", "18-49", "*"),
        ("35-49", "18-49", "*"),
        ("50-64", "50+", "*"),
        ("65+", "50+", "*"),
    )


def test_an_unordered_column_keeps_a_word_or_loses_it() -> None:
    """Words without an order are not put together."""
    assert levels("sex") == (("f", "*"), ("m", "*"))
    assert levels("sick") == (("no", "*"), ("yes", "*"))


def test_a_declared_grouping_is_followed() -> None:
    """Level by level; what no group names keeps its label."""
    assert levels("age", ("{age: generalize", f"{{age: {GROUPS}")) == (
        ("18-34", "under 50", "all", "*"),
        ("35-49", "under 50", "all", "*"),
        ("50-64", "50-64", "all", "*"),
        ("65+", "65+", "65+", "*"),
    )


def test_a_generalization_without_levels_goes_by_the_order() -> None:
    """It is the long form of the word."""
    assert levels("age", ("{age: generalize", "{age: {kind: generalize}")) == levels("age")


def test_a_kept_column_is_pinned_to_its_declared_labels() -> None:
    """A person whose value is too rare can only be left out."""
    assert levels("age", ("{age: generalize", "{age: keep")) == (
        ("18-34",),
        ("35-49",),
        ("50-64",),
        ("65+",),
    )


ROUNDED = (
    (
        "{kind: bin, edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]}",
        "{kind: round, to: 5}",
    ),
    ("[feature, eligibility, release]", "[eligibility, release]"),
    ("{age: generalize", "{age: keep"),
)


def test_a_kept_column_without_labels_is_pinned_to_its_values() -> None:
    """Numbers stay as they are in the table, and the hierarchy is marked as taken from people."""
    asked = policy(*ROUNDED)
    outlet = asked.table_outlets["partner"]
    assert declare_hierarchy(asked, outlet, "age") is None
    assert pin_values("age", pd.Series([30.0, 35.0, None, 30.0])).derived
    frame = pd.DataFrame(
        {
            "age": [30.0] * 4 + [35.5] * 3 + [None] * 3 + [80.0],
            "sex": ["f"] * 11,
            "sick": ["no"] * 11,
            RECORD: np.arange(11, dtype=np.uint64),
        }
    )
    made = generalize_table(frame, asked, outlet.model_copy(update={"max_suppressed": 0.2})).frame
    assert made["age"].value_counts().to_dict() == {"30": 4, "35.5": 3, "missing": 3}


def test_a_column_that_is_all_missing_is_still_released() -> None:
    """There is no value to pin."""
    asked = policy(*ROUNDED)
    frame = pd.DataFrame(
        {"age": [np.nan] * 4, "sex": ["f"] * 4, "sick": ["no"] * 4, RECORD: np.arange(4)}
    )
    made = generalize_table(frame, asked, asked.table_outlets["partner"]).frame
    assert set(made["age"]) == {"missing"}


def recode(ages: list[str], sexes: str, ill: str, **changes: object) -> pd.DataFrame:
    """Recode some people for the partner, whose outlet is changed."""
    asked, records = policy(), np.arange(len(ages), dtype=np.uint64)
    sick = [{"y": "yes", "n": "no"}[one] for one in ill]
    people = pd.DataFrame({"age": ages, "sex": list(sexes), "sick": sick, RECORD: records})
    outlet = TableOutlet.model_validate(asked.table_outlets["partner"].model_dump() | changes)
    return generalize_table(people, asked, outlet).frame.astype(str)


YOUNG = ["18-34", "18-34", "35-49", "35-49"]


@pytest.mark.parametrize(("dear", "hidden"), [("age", "sex"), ("sex", "age")])
def test_the_dearer_column_keeps_its_detail(dear: str, hidden: str) -> None:
    """One of two has to go; the policy's weights say which."""
    dearer = {dear: {"kind": "generalize", "weight": 50}}
    columns = {"age": "generalize", "sex": "generalize", "sick": "keep", **dearer}
    made = recode(YOUNG, "fmfm", "nnnn", k=2, columns=columns)
    assert not {"*", "18-49"} & set(made[dear])
    assert set(made[hidden]) <= {"*", "18-49"}


def test_a_class_meets_what_is_asked_of_a_sensitive_column() -> None:
    """Each pair of equals has one value; so the pairs go together."""
    sensitive = {"sick": ({"kind": "distinct-l-diversity", "l": 2},)}
    assert set(recode(YOUNG, "ffff", "nnyy", k=2, sensitive=sensitive)["age"]) == {"18-49"}
    assert set(recode(YOUNG, "ffff", "nnyy", k=2)["age"]) == set(YOUNG)


def test_sets_hold_the_values_of_a_class() -> None:
    """And no other: a label of the hierarchy would say that there may be people of 35 to 49."""
    ages = ["18-34", "50-64"] * 2
    assert set(recode(ages, "ffff", "nnnn", output="sets")["age"]) == {"18-34~50-64"}
    assert set(recode(ages, "ffff", "nnnn")["age"]) == {"*"}


def test_what_cannot_reach_k_is_refused() -> None:
    """Two people are never three."""
    asked = policy()
    frame = pd.DataFrame({"age": ["65+"] * 2, "sex": ["f"] * 2, "sick": ["no"] * 2, RECORD: [1, 2]})
    with pytest.raises(Refusal, match="k-anonymity"):
        generalize_table(frame, asked, asked.table_outlets["partner"])


def test_classes_are_counted_by_their_size() -> None:
    """With the people in them."""
    found = count_classes(pd.DataFrame({"a": list("xxyyyyyy")}), ["a"], 2)
    assert found[:3] == [("2-3", 1, Count(2)), ("4-7", 1, Count(6)), ("8-15", 0, Count(0))]
    assert [label for label, *_ in found][-1] == "64+"


@given(st.lists(st.integers(0, 9), max_size=80), st.integers(2, 9))
def test_every_class_of_k_has_its_place_among_the_sizes(classes: list[int], k: int) -> None:
    """The sizes leave no gap and do not overlap: each class of k or more is counted once."""
    keys = np.arange(len(classes), dtype=np.uint64)
    found = count_classes(pd.DataFrame({"a": classes, RECORD: keys}), ["a"], k)
    sizes = [classes.count(one) for one in set(classes) if classes.count(one) >= k]
    assert sum(number for _, number, _ in found) == len(sizes)
    assert sum(people.exact for _, _, people in found) == sum(sizes)


def test_missing_words_are_a_class_of_their_own() -> None:
    """Nobody is lost by being counted under nothing."""
    frame = pd.DataFrame({"a": [None, None, "x"], RECORD: np.array([1, 2, 3], dtype=np.uint64)})
    assert sum(people.exact for _, _, people in count_classes(frame, ["a"], 1)) == 3


@given(st.integers(1, 5000), st.integers(2, 30), st.data())
def test_a_told_share_is_a_bound_that_counts_nobody(
    people: int, threshold: int, data: st.DataObject
) -> None:
    """It lies over the true share, and any other share within one threshold may tell the same."""
    out = data.draw(st.integers(0, people))
    told = bound_share(out / people, people, threshold)
    assert out / people <= told <= 1
    same = [n for n in range(people + 1) if bound_share(n / people, people, threshold) == told]
    assert len(same) >= threshold or told == 1


def test_a_told_share_does_not_tell_the_number_of_people() -> None:
    """Whoever knows how shares are told sees only within which range the number lies."""
    for fewer, more in ((50, 99), (100, 199), (1000, 1999)):
        assert bound_share(0, fewer) == bound_share(0, more)


def test_the_step_notes_cost_and_people(home: Home, folder: Folder) -> None:
    """Released and left out add up to those who came in; nothing tells an exact share."""
    assert home.vault.is_dir()
    with opened(folder.write()) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        made = run.vault.load(generalize(rows, "partner"), Generalized).to_table()
        measures = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "measure"}
        tables = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "table"}
        found = counts(run)
    assert found["people.partner.released"] == made.num_rows
    assert found["people.partner.released"] + found["people.partner.suppressed"] == 478
    assert measures["privacy.partner.suppressed_share"] == 0.05
    assert set(measures) >= {"utility.partner.ncp", "utility.partner.loss.age"}
    classes = tables["privacy.partner.classes"]
    assert isinstance(classes, list)
    assert [row["size"] for row in classes if isinstance(row, dict)][:2] == ["6-11", "12-23"]


@pytest.mark.parametrize("order", [order_sensitive, validation.order_sensitive])
def test_a_missing_value_is_the_word_that_it_leaves_as(
    order: Callable[[pd.DataFrame, Policy, TableOutlet], pd.DataFrame],
) -> None:
    """Else a class of both would seem to have two values, and show one."""
    sensitive = "sick: keep}\n    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}"
    declared = policy(("sick: generalize}", sensitive))
    outlet = declared.table_outlets["partner"]
    frame = pd.DataFrame({"sick": ["missing", None, "no"]}, dtype=object)
    assert list(order(frame, declared, outlet)["sick"]) == ["missing", "missing", "no"]
