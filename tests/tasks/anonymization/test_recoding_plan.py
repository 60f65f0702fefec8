"""A plan is a value that holds nobody: it round-trips, explains itself, and only translates."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UsageError
from expectations.policy.privacy_models import PrivacyModel
from tasks.anonymization import k_anonymize
from tasks.anonymization.fitting import Asked, fit, histogram
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.plan import Plan, Spelling, find_distinct, sort_labels
from tasks.anonymization.recoding import Recoded
from tests.tasks.anonymization.recoded_tables import (
    AGE,
    COLUMNS,
    DECLARED,
    PEOPLE,
    SENSITIVE,
    SEX,
    WARD,
    spelt,
)

Output = Literal["hierarchy", "sets"]
OUTPUTS = pytest.mark.parametrize("output", ["hierarchy", "sets"])
TOWNS = ["Ulm", "Ulm", "Bonn", "Bonn", "Hiddenham", "Lostwich"]


def recode(
    people: pd.DataFrame,
    output: Output,
    sensitive: dict[str, list[PrivacyModel]] | None = None,
) -> Recoded:
    """Recode the people of `recoded_tables` to k = 3, whoever must being left out."""
    return k_anonymize(
        people,
        COLUMNS,
        3,
        hierarchies=DECLARED,
        sensitive=sensitive,
        max_suppressed=1.0,
        output=output,
    )


@OUTPUTS
@given(people=PEOPLE, sensitive=SENSITIVE)
def test_a_plan_gives_its_people_what_was_released(
    output: Output, people: pd.DataFrame, sensitive: dict[str, list[PrivacyModel]]
) -> None:
    """Applied to the people that it was fitted on, and read back from JSON, it is the release."""
    made = recode(people, output, sensitive)
    read = Plan.from_json(made.plan.to_json())

    assert read == made.plan
    assert read.to_json() == made.plan.to_json()
    pd.testing.assert_frame_equal(made.plan.apply(people), made.frame)
    pd.testing.assert_frame_equal(read.apply(people), made.frame)


@OUTPUTS
@given(people=PEOPLE, others=PEOPLE)
def test_a_plan_only_translates_other_rows(
    output: Output, people: pd.DataFrame, others: pd.DataFrame
) -> None:
    """A row's labels depend on its own values: the same alone, among others, and when fitted."""
    made = recode(people, output)
    among = made.plan.apply(pd.concat([others, people], ignore_index=True))
    fitted = made.frame.set_axis(made.frame.index + len(others))

    pd.testing.assert_frame_equal(among.loc[among.index >= len(others)], fitted)
    for place in others.index[:3]:
        alone = made.plan.apply(others.loc[[place]])
        pd.testing.assert_frame_equal(alone, among.loc[among.index == place])


@OUTPUTS
@given(people=PEOPLE)
def test_a_row_is_in_the_first_class_that_it_fits(output: Output, people: pd.DataFrame) -> None:
    """What a reader of the plan's JSON would do by hand is what `apply` does."""
    made = recode(people, output)
    plan = json.loads(made.plan.to_json())
    columns = [hierarchy["column"] for hierarchy in plan["hierarchies"]]
    ways = [{row[0]: row for row in h["levels"]} for h in plan["hierarchies"]]
    shown_to = made.frame[columns].astype(str).to_dict("index")
    for place, row in people.iterrows():
        paths = [
            way.get(spelt(row[column]), [spelt(row[column]), "*"])
            for column, way in zip(columns, ways, strict=True)
        ]
        fits = (
            shown
            for shown in plan["classes"]
            if all(set(one) & set(path) for one, path in zip(shown, paths, strict=True))
        )
        first = next(fits, None)
        assert (first is not None) == (place in shown_to)
        if first is not None:
            named = [made.plan.members[c][str(shown_to[place][c])] for c in columns]
            assert named == [tuple(labels) for labels in first]


@OUTPUTS
@given(people=PEOPLE)
def test_a_plan_names_no_value_of_the_table_that_no_class_shows(
    output: Output, people: pd.DataFrame
) -> None:
    """A hierarchy that lists a table's own values keeps only the released ones."""
    made = recode(people, output)
    (town,) = (h for h in made.plan.hierarchies if h.column == "town")
    shown = {label for labels in made.plan.members["town"].values() for label in labels}

    assert {row[0] for row in town.levels} == shown - {"*"}
    assert set(made.frame["town"].cat.categories) == set(made.frame["town"])


def test_a_rare_value_is_in_neither_plan_nor_categories() -> None:
    """Whoever reads the plan or the released column learns of no town that too few share."""
    made = k_anonymize(pd.DataFrame({"town": TOWNS}), ["town"], 2)

    assert made.frame["town"].tolist() == ["Ulm", "Ulm", "Bonn", "Bonn", "*", "*"]
    assert not {"Hiddenham", "Lostwich"} & set(made.frame["town"].cat.categories)
    assert "Hiddenham" not in made.plan.to_json()
    assert "Lostwich" not in made.plan.to_json()


def test_a_suppressed_value_is_not_in_the_plan_of_sets() -> None:
    """A set names what its class has, and nobody who was left out."""
    people = pd.DataFrame({"town": [*TOWNS[:4], "Hiddenham"], "ward": ["east"] * 4 + ["west"]})
    given_ = {"ward": WARD}
    made = k_anonymize(
        people, ["town", "ward"], 2, hierarchies=given_, max_suppressed=0.2, output="sets"
    )

    assert len(made.frame) == 4
    assert "Hiddenham" not in made.plan.to_json()


def test_a_value_that_the_plan_never_saw_gets_only_the_root() -> None:
    """Of a column without a declared hierarchy, the new value is hidden or its row is absent."""
    plan = k_anonymize(pd.DataFrame({"town": TOWNS}), ["town"], 2).plan
    strict = k_anonymize(pd.DataFrame({"town": TOWNS[:4]}), ["town"], 2).plan
    later = pd.DataFrame({"town": ["Newtown", "Ulm"]})

    assert plan.apply(later)["town"].tolist() == ["*", "Ulm"]
    assert strict.apply(later)["town"].tolist() == ["Ulm"]


def test_a_value_that_a_declared_hierarchy_lacks_is_an_error() -> None:
    """It is counted, and not quoted."""
    plan = k_anonymize(
        pd.DataFrame({"age": [20, 20, 21]}), ["age"], 3, hierarchies={"age": AGE}
    ).plan

    with pytest.raises(UsageError, match="lacks fewer than 10 of the column's values") as refused:
        plan.apply(pd.DataFrame({"age": [20, 99]}))
    assert "99" not in str(refused.value)
    with pytest.raises(UsageError, match="no column 'age'"):
        plan.apply(pd.DataFrame({"years": [20]}))


def test_a_partition_without_rows_keeps_its_shape() -> None:
    """Categories are the plan's in every partition, so that parts can be put together."""
    people = pd.DataFrame({"age": [20, 20, 22, 23], "id": range(4)})
    made = k_anonymize(people, ["age"], 2, hierarchies={"age": AGE})
    parts = [made.plan.apply(people.iloc[part]) for part in ([], [0, 1], [2, 3])]

    assert parts[0].empty
    assert [part["age"].cat.categories.tolist() for part in parts] == [["20", "22-23"]] * 3
    pd.testing.assert_frame_equal(pd.concat(parts), made.frame)


def test_describe_says_what_a_class_shows_and_hides() -> None:
    """In words, with the class's place among the others."""
    plan = Plan(
        2,
        (AGE, SEX),
        ((("20-21",), ("F",)), (("22-23",), ("*",)), (("*",), ("*",))),
    )

    assert [plan.describe(number) for number in range(3)] == [
        "class 1 of 3: age 20-21, sex F",
        "class 2 of 3: age 22-23; sex hidden",
        "class 3 of 3: nothing is shown",
    ]


def test_describe_spells_a_set_as_it_is_released() -> None:
    """What is read in the plan is found in the table."""
    people = pd.DataFrame({"age": [20, 21, 22]})
    made = k_anonymize(people, ["age"], 3, hierarchies={"age": AGE}, output="sets")

    assert made.frame["age"].tolist() == ["20-22"] * 3
    assert made.plan.describe(0) == "class 1 of 1: age 20-22"


@OUTPUTS
@given(people=PEOPLE, sensitive=SENSITIVE)
def test_a_histogram_is_as_good_as_its_rows(
    output: Output, people: pd.DataFrame, sensitive: dict[str, list[PrivacyModel]]
) -> None:
    """Counts from any engine give the plan that the rows give."""
    asked = Asked(3, 1.0, sensitive, output=output)
    counted = histogram(people, [*COLUMNS, *sensitive])
    towns = Hierarchy.flat("town", sorted(set(people["town"])), derived=True)

    assert counted["_people"].sum() == len(people)
    plan = fit(counted, {**DECLARED, "town": towns}, asked)
    assert plan == recode(people, output, sensitive).plan


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_distinct_tuples_are_found_in_their_order(rows: list[tuple[int, int]]) -> None:
    """Each once, sorted from the last column on; each row's own, and a row that has it."""
    codes = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    distinct, number, example = find_distinct(codes)

    ordered = sorted(set(rows), key=lambda row: row[::-1])
    assert list(map(tuple, distinct.T.tolist())) == ordered
    assert [tuple(distinct[:, at].tolist()) for at in number] == rows
    assert [rows[at] for at in example] == ordered


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        pytest.param(["b", "a"], "a~b", id="words"),
        pytest.param([5], "5", id="one"),
        pytest.param([10, 9], "9~10", id="two neighbours"),
        pytest.param([11, 9, 10], "9-11", id="three neighbours"),
        pytest.param([1, 2, 3, 9, 10, 11], "1-3~9-11", id="two runs"),
        pytest.param([1, 3, 9], "1~3~9", id="with gaps"),
        pytest.param([1, 2, 3, "x"], "1-3~x", id="a word behind"),
        pytest.param([1, 2, 3, None], "1-3~missing", id="a missing value behind"),
        pytest.param([0.5, 1, 1.5], "0.5-1.5", id="all numbers that there are between"),
        pytest.param(["b", "a", "c"], "a~b~c", id="words are no range"),
    ],
)
def test_a_set_is_spelled_as_members_and_ranges(values: list[object], shown: str) -> None:
    """Neighbours are what stands side by side among the column's numbers."""
    around = [1, 2, 3, 5, 9, 10, 11, "x"]
    whole = all(isinstance(value, int) for value in values)
    table = pd.DataFrame(
        {
            "a": [*values, *(around * len(values) if whole else [])],
            "side": ["in"] * len(values) + ["out"] * (len(around) * len(values) if whole else 0),
        },
        dtype=object,
    )
    given_ = {"side": Hierarchy.pinned("side", ["in", "out"])}
    made = k_anonymize(table, ["a", "side"], len(values), hierarchies=given_, output="sets")

    assert set(made.frame["a"][: len(values)]) == {shown}


def test_numbers_come_first_and_by_their_size() -> None:
    """Other labels follow in the order of their spelling; what is not finite is a word."""
    assert sort_labels(["b", "10", "9", "inf", "-1", "1.5"]) == ("-1", "1.5", "9", "10", "b", "inf")


def test_a_range_is_not_spelled_like_a_coarser_label() -> None:
    """The hierarchy's "20-23" has a value that this set has not, so its members are listed."""
    parents = {"20": "20-24", "23": "20-24", "24": "24-29", "29": "24-29"}
    age = Hierarchy("age", tuple((leaf, label, "*") for leaf, label in parents.items()))

    assert Spelling.of(age).name(("20", "23", "24")) == "20~23~24"
    assert Spelling.of(age).name(("23", "24", "29")) == "23-29"
    assert Spelling.of(AGE).name(("20", "21", "22")) == "20-22"
