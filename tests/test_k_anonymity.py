"""k-anonymity by local recoding: every class reaches k, and a plan holds nobody."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import Refusal, UsageError
from tasks.anonymization import cover, k_anonymize
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.recoding import Plan, fit, histogram

AGE = Hierarchy.from_ordered("age", [str(age) for age in range(20, 28)])
SEX = Hierarchy.flat("sex", ["F", "M"])
WARD = Hierarchy.pinned("ward", ["east", "west"])
DECLARED = {"age": AGE, "sex": SEX, "ward": WARD}

PEOPLE = st.lists(
    st.tuples(
        st.sampled_from([*range(20, 28), None]),
        st.sampled_from(["F", "M", None]),
        st.sampled_from(["east", "west"]),
        st.sampled_from(["x", "y", "z"]),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: pd.DataFrame(rows, columns=["age", "sex", "ward", "town"], dtype=object))
COLUMNS = ["age", "sex", "ward", "town"]
BOTH_SEARCHES = pytest.mark.parametrize(
    "listable", [pytest.param(10**6, id="cover"), pytest.param(0, id="tree")]
)


def covers(label: str, value: object, hierarchy: Hierarchy) -> bool:
    """Say whether a released label stands, among others, for a value."""
    leaf = "missing" if value is None or value != value else str(value)  # noqa: PLR0124  # NaN
    path = next((row for row in hierarchy.levels if row[0] == leaf), (leaf, "*"))
    return label in path


@BOTH_SEARCHES
@settings(deadline=None, max_examples=30)
@given(people=PEOPLE, k=st.integers(1, 6), limit=st.sampled_from([0.0, 0.1, 1.0]))
def test_every_class_reaches_k_or_the_plan_is_refused(
    listable: int, people: pd.DataFrame, k: int, limit: float
) -> None:
    """Labels are true, classes reach k, no more than the limit is left out; else a refusal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "LISTABLE", listable)
        try:
            released = k_anonymize(people, COLUMNS, k, hierarchies=DECLARED, max_suppressed=limit)
        except Refusal:
            rare = [n for n in Counter(people["ward"]).values() if n < k]
            assert sum(rare) > limit * len(people)
            return
    rows = list(released.frame.itertuples(index=True))
    classes = Counter(tuple(row[1:]) for row in rows)

    assert min(classes.values(), default=0) == released.measures.k
    assert all(count >= k for count in classes.values())
    assert len(people) - len(rows) <= limit * len(people)
    assert released.measures.suppressed == pytest.approx(1 - len(rows) / len(people))
    for row in rows:
        assert covers(row.age, people.loc[row.Index, "age"], AGE)
        assert row.ward == people.loc[row.Index, "ward"]


@BOTH_SEARCHES
@settings(deadline=None, max_examples=30)
@given(people=PEOPLE, shuffle=st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_changes_nothing(
    listable: int, people: pd.DataFrame, shuffle: object
) -> None:
    """The same people in another order get the same plan, and the same labels each."""
    rows, columns = list(people.index), list(people.columns)
    shuffle.shuffle(rows)  # type: ignore[attr-defined]  # Hypothesis declares no type
    shuffle.shuffle(columns)  # type: ignore[attr-defined]  # as above
    given_ = {"hierarchies": DECLARED, "max_suppressed": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "LISTABLE", listable)
        one = k_anonymize(people, COLUMNS, 3, **given_)  # type: ignore[arg-type]  # a plain dict
        other = k_anonymize(people.loc[rows, columns], columns, 3, **given_)  # type: ignore[arg-type]  # as above

    assert one.plan == other.plan
    assert one.measures == other.measures
    pd.testing.assert_frame_equal(one.frame, other.frame[people.columns].sort_index())


@settings(deadline=None, max_examples=30)
@given(people=PEOPLE)
def test_plan_round_trips_through_json(people: pd.DataFrame) -> None:
    """A plan read back is equal, and translates alike."""
    plan = k_anonymize(people, COLUMNS, 2, hierarchies=DECLARED, max_suppressed=1.0).plan
    read = Plan.from_json(plan.to_json())

    assert read == plan
    pd.testing.assert_frame_equal(read.apply(people), plan.apply(people))


def test_rare_values_stay_out_of_plan_and_categories() -> None:
    """A value taken from data that too few share is nowhere in what is kept or released."""
    people = pd.DataFrame({"town": ["Ulm", "Ulm", "Hiddenham", "Lostwich"]})
    released = k_anonymize(people, ["town"], 2)

    assert released.frame["town"].tolist() == ["Ulm", "Ulm", "*", "*"]
    assert "Hiddenham" not in released.plan.to_json()
    assert released.frame["town"].cat.categories.tolist() == ["*", "Ulm"]


def test_index_and_other_columns_stay() -> None:
    """Only quasi-identifiers change; index (repeated labels too) and order stay."""
    people = pd.DataFrame({"id": [3, 1, 2], "sex": ["F", "M", "F"]}, index=[9, 9, 4])
    released = k_anonymize(people, ["sex"], 2, hierarchies={"sex": SEX}, max_suppressed=0.5)

    assert released.frame["id"].tolist() == [3, 2]
    assert released.frame.index.tolist() == [9, 4]
    assert people["sex"].tolist() == ["F", "M", "F"]


def test_leftovers_join_a_class_when_nothing_may_be_suppressed() -> None:
    """One person alone is released with the last class, under labels both share."""
    people = pd.DataFrame({"age": [20, 20, 20, 27], "sex": ["F"] * 4})
    released = k_anonymize(people, ["age", "sex"], 3, hierarchies={"age": AGE, "sex": SEX})

    assert released.frame["age"].tolist() == ["*"] * 4
    assert released.frame["sex"].tolist() == ["F"] * 4
    assert released.measures.suppressed == 0


def test_unlisted_rows_of_another_partition_are_absent() -> None:
    """A plan applied to rows that fit no class leaves them out."""
    people = pd.DataFrame({"age": [20, 20, 22], "sex": ["F", "F", "M"]})
    plan = k_anonymize(people, ["age", "sex"], 2, max_suppressed=0.5).plan

    assert len(plan.apply(pd.DataFrame({"age": [20, 99], "sex": ["F", "F"]}))) == 1


def test_refusal_names_the_pinned_column_and_its_effect() -> None:
    """Where a pinned column makes k unreachable, the refusal says which, and by how much.

    Shares are bounds in steps of ten people, so that one person is not told from nine.
    """
    people = pd.DataFrame({"age": [20] * 200, "ward": ["east"] * 199 + ["west"]})

    with pytest.raises(Refusal, match=r"to 5\.0 % .* at most 0\.0 % .*without 'ward' up to 5\.0 %"):
        k_anonymize(people, ["age", "ward"], 2, hierarchies={"ward": WARD})


def test_fewer_people_than_k_are_refused() -> None:
    """Without enough people there is nothing to hide among."""
    with pytest.raises(Refusal, match="fewer than 3 people in all"):
        k_anonymize(pd.DataFrame({"sex": ["F", "M"]}), ["sex"], 3)


def test_table_without_rows_stays_without_rows() -> None:
    """Nobody is released, and k is not claimed to be reached."""
    released = k_anonymize(pd.DataFrame({"sex": []}, dtype=object), ["sex"], 3)

    assert (len(released.frame), released.measures.k) == (0, 0)


def test_measures_count_the_cost_of_labels() -> None:
    """Loss counts the hierarchy's leaves under a label, NCP the data's values only."""
    people = pd.DataFrame({"age": [20, 21, 24, 24]})
    measures = k_anonymize(people, ["age"], 2, hierarchies={"age": AGE}).measures

    assert (measures.k, measures.classes, measures.suppressed) == (2, 2, 0)
    assert measures.loss["age"] == pytest.approx((1 / 7 + 1 / 7) / 4)
    assert measures.ncp == pytest.approx((1 / 2 + 1 / 2) / 4)


def test_weights_count_as_people() -> None:
    """A histogram from any engine gives the same plan as its rows."""
    people = pd.DataFrame({"sex": ["F", "F", "M", "M", "M"]})
    counted = histogram(people, ["sex"])

    assert sorted(counted["_people"]) == [2, 3]
    assert (
        fit(counted, {"sex": SEX}, 2)
        == k_anonymize(people, ["sex"], 2, hierarchies={"sex": SEX}).plan
    )


@pytest.mark.parametrize(
    ("columns", "k", "hierarchies", "said"),
    [
        pytest.param([], 2, {}, "at least one", id="no column"),
        pytest.param(["sex", "sex"], 2, {}, "only once", id="column twice"),
        pytest.param(["shoe"], 2, {}, "no column 'shoe'", id="absent column"),
        pytest.param(["sex"], 0, {}, "whole number from 1", id="k of zero"),
        pytest.param(["sex"], 2, {"age": AGE}, "'age', which is no quasi", id="stray hierarchy"),
        pytest.param(["sex"], 2, {"sex": AGE}, "is for column 'age'", id="mixed-up hierarchy"),
        pytest.param(["_people"], 2, {}, "rename column '_people'", id="reserved name"),
    ],
)
def test_wrong_use_is_explained(
    columns: list[str], k: int, hierarchies: dict[str, Hierarchy], said: str
) -> None:
    """A call that cannot be meant is an error of usage that says what to change."""
    frame = pd.DataFrame({"sex": ["F", "F"], "_people": [1, 1]})

    with pytest.raises(UsageError, match=said):
        k_anonymize(frame, columns, k, hierarchies=hierarchies)


def test_wide_keys_do_not_overflow() -> None:
    """Tuples are told apart although the product of their columns' sizes exceeds 64 bits."""
    wide = np.array([0, 0, 2**32 - 1])

    assert len(set(cover.combine([np.array([0, 1, 0]), wide, wide]).tolist())) == 3


def test_importing_the_package_loads_no_heavy_library() -> None:
    """The package is on the command line's way, so even recoding loads no service library."""
    code = (
        "import sys, tasks.anonymization as a; assert 'pandas' not in sys.modules; a.k_anonymize; "
        "assert not {'prefect', 'mlflow', 'great_expectations'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
