"""k-anonymity by local recoding: every class reaches what is asked, and every label is true."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Refusal
from expectations.policy.privacy_models import (
    BetaLikeness,
    PrivacyModel,
)
from tasks.anonymization import fitting, k_anonymize
from tasks.anonymization.recoding import Recoded
from tests.tasks.anonymization.recoded_tables import (
    AGE,
    AGES,
    COLUMNS,
    DECLARED,
    PEOPLE,
    SENSITIVE,
    SEX,
    WARD,
    covers,
    holds,
    lose,
    plain,
    spelt,
    split,
    unfold,
)

Output = Literal["hierarchy", "sets"]
OUTPUTS = pytest.mark.parametrize("output", ["hierarchy", "sets"])
SEARCHES = pytest.mark.parametrize(
    "listable", [pytest.param(10**6, id="listed"), pytest.param(1, id="too many to list")]
)


def recode(
    people: pd.DataFrame,
    k: int,
    output: Output = "hierarchy",
    sensitive: Mapping[str, Sequence[PrivacyModel]] | None = None,
    limit: float = 0.0,
) -> Recoded | None:
    """Recode the people of `recoded_tables`; None where it is refused."""
    try:
        return k_anonymize(
            people,
            COLUMNS,
            k,
            hierarchies=DECLARED,
            sensitive=sensitive,
            max_suppressed=limit,
            output=output,
        )
    except Refusal:
        return None


def check_classes(
    people: pd.DataFrame, made: Recoded, k: int, sensitive: Mapping[str, Sequence[PrivacyModel]]
) -> None:
    """Hold every class to k and to the models, the table being the one that is released."""
    sizes = Counter(made.frame[COLUMNS].itertuples(index=False, name=None))
    assert all(size >= k for size in sizes.values())
    assert made.measures.k == min(sizes.values(), default=0)
    assert made.measures.classes == len(sizes)
    for column, models in sensitive.items():
        table = [plain(value) for value in made.frame[column]]
        for own in split(made.frame, COLUMNS, column):
            assert all(holds(model, own, table) for model in models)
    assert made.measures.suppressed == pytest.approx(1 - len(made.frame) / len(people))


@OUTPUTS
@given(people=PEOPLE, k=st.integers(1, 6), limit=st.sampled_from([0.0, 0.1, 1.0]))
def test_every_class_reaches_k_or_the_table_is_refused(
    output: Output, people: pd.DataFrame, k: int, limit: float
) -> None:
    """No more than the limit is left out; refused is only what the pinned ward makes impossible."""
    made = recode(people, k, output, limit=limit)
    rare = sum(size for size in Counter(people["ward"]).values() if size < k)

    assert (made is None) == (rare > limit * len(people))
    if made:
        check_classes(people, made, k, {})
        assert len(people) - len(made.frame) <= limit * len(people)


@OUTPUTS
@given(
    people=PEOPLE, k=st.integers(1, 4), sensitive=SENSITIVE, limit=st.sampled_from([0.0, 0.3, 1.0])
)
def test_every_class_meets_the_models_of_every_sensitive_column(
    output: Output,
    people: pd.DataFrame,
    k: int,
    sensitive: dict[str, list[PrivacyModel]],
    limit: float,
) -> None:
    """Each model holds in each class as its definition says, several columns at once."""
    made = recode(people, k, output, sensitive, limit)

    if made:
        check_classes(people, made, k, sensitive)
        assert len(people) - len(made.frame) <= limit * len(people)
    else:
        table = {column: [plain(v) for v in people[column]] for column in sensitive}
        wards = [rows for _, rows in people.groupby("ward")]
        assert not all(
            len(rows) >= k
            and all(
                holds(model, [plain(v) for v in rows[column]], table[column])
                for column, models in sensitive.items()
                for model in models
            )
            for rows in wards
        )


def test_leave_to_suppress_refuses_nothing_that_can_be_had_without() -> None:
    """Who is left out changes the shares that classes are compared with; nobody needs to be."""
    rows = {
        "east": [(20, "F", "x", "flu"), (20, "F", "x", "gout"), (20, "F", "x", None),
                 (20, None, "x", "flu"), (20, None, "x", "flu"), (20, None, "y", "rash"),
                 (24, None, "x", "flu"), (24, None, "x", "flu")],
        "west": [(20, "F", "x", "flu"), (20, "F", "x", "flu"), (20, "F", "x", "gout"),
                 (20, "F", "x", "rash")],
    }  # fmt: skip
    people = pd.DataFrame(
        [(age, sex, ward, town, illness) for ward, of in rows.items()
         for age, sex, town, illness in of],
        columns=[*COLUMNS, "illness"], dtype=object,
    )  # fmt: skip
    asked = {"illness": [BetaLikeness(kind="beta-likeness", beta=0.5, enhanced=False)]}
    assert recode(people, 1, "hierarchy", asked, 0.3)


@SEARCHES
@given(people=PEOPLE, k=st.integers(1, 6))
def test_the_promise_holds_whichever_search_is_taken(
    listable: int, people: pd.DataFrame, k: int
) -> None:
    """A table of too many vectors to list is recoded by another search, as truly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "LISTABLE", listable)
        made = recode(people, k, limit=1.0)

    assert made
    check_classes(people, made, k, {})


@given(people=PEOPLE, k=st.integers(1, 6))
def test_a_label_stands_for_the_value_that_it_replaces(people: pd.DataFrame, k: int) -> None:
    """A label is on its value's way to the root, and a pinned value is released as it is."""
    made = recode(people, k, limit=1.0)

    assert made
    kept = people.loc[made.frame.index]
    for column in COLUMNS:
        for label, value in zip(made.frame[column], kept[column], strict=True):
            assert covers(label, value, DECLARED.get(column))
    assert made.frame["ward"].tolist() == kept["ward"].tolist()


@given(people=PEOPLE, k=st.integers(1, 6))
def test_a_set_names_exactly_the_values_of_its_class(people: pd.DataFrame, k: int) -> None:
    """No value of the class is left out of its set, and none is named that nobody there has."""
    made = recode(people, k, "sets", limit=1.0)

    assert made
    for labels, rows in made.frame.groupby(COLUMNS, observed=True):
        for column, label in zip(COLUMNS, labels, strict=True):
            assert unfold(str(label)) == {spelt(value) for value in people.loc[rows.index, column]}


@OUTPUTS
@given(people=PEOPLE, sensitive=SENSITIVE, shuffle=st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_changes_nothing(
    output: Output, people: pd.DataFrame, sensitive: dict[str, list[PrivacyModel]], shuffle: object
) -> None:
    """The same people in another order get the same plan, and the same labels each."""
    rows, columns = list(people.index), list(COLUMNS)
    shuffle.shuffle(rows)  # type: ignore[attr-defined]  # Hypothesis declares no type
    shuffle.shuffle(columns)  # type: ignore[attr-defined]  # as above
    turned = people.loc[rows, [*columns, "pay", "illness"]]
    one = recode(people, 3, output, sensitive, 1.0)
    other = k_anonymize(
        turned,
        columns,
        3,
        hierarchies=dict(reversed(DECLARED.items())),
        sensitive=dict(reversed(sensitive.items())),
        max_suppressed=1.0,
        output=output,
    )

    assert one
    assert one.plan.to_json() == other.plan.to_json()
    assert one.measures == other.measures
    pd.testing.assert_frame_equal(one.frame, other.frame[people.columns].sort_index())


@OUTPUTS
@given(people=PEOPLE, k=st.integers(1, 6))
def test_measures_count_what_was_lost(output: Output, people: pd.DataFrame, k: int) -> None:
    """Loss counts the leaves of the hierarchy under a label, NCP those that the data have."""
    made = recode(people, k, output, limit=1.0)

    assert made
    ncp = 0.0
    for column in COLUMNS:
        seen = {spelt(value) for value in people[column]}
        declared = {row[0] for row in DECLARED[column].levels} if column in DECLARED else set()
        assert made.measures.loss[column] == pytest.approx(
            lose(people, made.frame, column, seen | declared)
        )
        ncp += lose(people, made.frame, column, seen) / len(COLUMNS)
    assert made.measures.ncp == pytest.approx(ncp)


def test_what_is_not_a_quasi_identifier_stays() -> None:
    """Only quasi-identifiers change; index, order and the frame that was given stay."""
    people = pd.DataFrame({"id": [3, 1, 2], "sex": ["F", "M", "F"]}, index=[9, 9, 4])
    made = k_anonymize(people, ["sex"], 2, hierarchies={"sex": SEX}, max_suppressed=0.5)

    assert made.frame["id"].tolist() == [3, 2]
    assert made.frame.index.tolist() == [9, 4]
    assert list(made.frame.columns) == ["id", "sex"]
    assert people["sex"].tolist() == ["F", "M", "F"]


def test_a_share_left_out_is_told_without_noise_in_its_last_digits() -> None:
    """2 of 10,000 people are 0.0002 of them, as anybody would divide it."""
    people = pd.DataFrame({"sex": ["F"] * 9_998 + ["M"] * 2})
    made = k_anonymize(people, ["sex"], 3, hierarchies={"sex": SEX}, max_suppressed=0.5)
    assert made.measures.suppressed == 2 / 10_000


def test_leftovers_join_a_class_when_nothing_may_be_suppressed() -> None:
    """One person alone is released with the last class, under labels both share."""
    people = pd.DataFrame({"age": [20, 20, 20, 27], "sex": ["F"] * 4})
    made = k_anonymize(people, ["age", "sex"], 3, hierarchies={"age": AGE, "sex": SEX})

    assert made.frame["age"].tolist() == ["*"] * 4
    assert made.frame["sex"].tolist() == ["F"] * 4
    assert made.measures.suppressed == 0


def test_refusal_names_the_pinned_column_and_its_effect() -> None:
    """Where a pinned column makes k unreachable, the refusal says which, and by how much.

    Shares are bounds in steps of ten people, so that one person is not told from nine.
    """
    people = pd.DataFrame({"age": [20] * 200, "ward": ["east"] * 199 + ["west"]})

    with pytest.raises(Refusal, match=r"to 5\.0 % .*at most 0\.0 % .*without 'ward' up to 5\.0 %"):
        k_anonymize(people, ["age", "ward"], 2, hierarchies={"ward": WARD})


@OUTPUTS
@pytest.mark.parametrize("heavy", ["age", "height"])
def test_a_heavy_column_keeps_more_detail(output: Output, heavy: str) -> None:
    """Of two columns that could pay for k, the one of little weight does."""
    ages = [age for age in AGES for _ in range(2)]
    people = pd.DataFrame({"age": ages, "height": [*AGES, *reversed(AGES)]})
    height = type(AGE)("height", AGE.levels)
    made = k_anonymize(
        people,
        ["age", "height"],
        2,
        hierarchies={"age": AGE, "height": height},
        weights={heavy: 100},
        output=output,
    )
    (light,) = {"age", "height"} - {heavy}

    assert made.measures.loss[heavy] < made.measures.loss[light]


def test_one_number_asks_the_same_of_every_sensitive_column() -> None:
    """`l_diversity` and `t_closeness` as numbers are distinct l, and equal distance."""
    people = pd.DataFrame({"age": [20, 20, 21, 21], "a": list("xyxy"), "b": list("uuvv")})
    given_ = {"age": AGE}
    one = k_anonymize(people, ["age"], 2, hierarchies=given_, sensitive="a", l_diversity=2)
    both = k_anonymize(people, ["age"], 2, hierarchies=given_, sensitive=["a", "b"], l_diversity=2)
    near = k_anonymize(people, ["age"], 2, hierarchies=given_, sensitive="b", t_closeness=0.4)
    far = k_anonymize(people, ["age"], 2, hierarchies=given_, sensitive="b", t_closeness=0.5)

    assert one.frame["age"].tolist() == ["20", "20", "21", "21"]
    assert both.frame["age"].tolist() == ["20-21"] * 4
    assert near.frame["age"].tolist() == ["20-21"] * 4
    assert far.frame["age"].tolist() == ["20", "20", "21", "21"]


def test_importing_the_package_loads_no_heavy_library() -> None:
    """The package is on the command line's way, so even recoding loads no service library."""
    code = (
        "import sys, tasks.anonymization as a; assert 'pandas' not in sys.modules; a.k_anonymize; "
        "assert not {'prefect', 'mlflow', 'great_expectations'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
