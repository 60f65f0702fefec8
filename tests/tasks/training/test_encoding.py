"""The encoder turns rows into numbers from the declaration alone, row by row, within a bound."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from expectations.errors import Refusal, UsageError
from tasks.training.encoding import DeclaredEncoder, Style

SEX = ["female", "male"]
AGE = ["20-39", "40-59", "60+"]
MANY = {name: [str(label) for label in range(100)] for name in ("sex", "age")}


def make_encoder(
    style: Style = "one-hot", crosses: Sequence[Sequence[str]] = ()
) -> DeclaredEncoder:
    """Declare a plain, an ordered and a numeric column."""
    return DeclaredEncoder(
        categories={"sex": SEX, "age": AGE},
        ranges={"bmi": (15, 55)},
        ordered=["age"],
        style=style,
        crosses=crosses,
    )


def make_frame(*rows: tuple[object, object, object]) -> pd.DataFrame:
    """Give a frame of (sex, age, BMI)."""
    return pd.DataFrame(list(rows), columns=["sex", "age", "bmi"])


people = st.lists(
    st.tuples(
        st.sampled_from([*SEX, None]),
        st.sampled_from([*AGE, None]),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    min_size=1,
    max_size=6,
)


def test_a_label_becomes_its_own_indicator_and_a_rank_when_ordered() -> None:
    """Sex takes three indicators, age rank, distance and an indicator, BMI its place."""
    encoded = make_encoder().fit_transform(
        make_frame(("male", "60+", 25.0), ("female", "40-59", 15.0))
    )
    assert encoded.tolist() == [
        [0, 1, 0, 0.95, 0.3, 0, 0.25, 0],
        [1, 0, 0, 0.0, -0.15, 0, 0.0, 0],
    ]


def test_an_order_of_two_labels_has_no_middle() -> None:
    """Its two ranks tell all there is."""
    encoder = DeclaredEncoder({"sex": SEX}, {}, ["sex"])
    frame = make_frame(("male", "60+", 25.0), (None, "60+", 25.0))
    assert encoder.transform(frame).tolist() == [[0.95, 0], [0, 1]]


def test_a_cross_is_one_indicator_per_combination_missing_ones_too() -> None:
    """Each combination of labels, or of none, raises the indicator that is named after it."""
    encoder = DeclaredEncoder({"sex": SEX, "age": AGE}, {}, crosses=[["sex", "age"]])
    encoded = encoder.transform(make_frame(("male", "20-39", 1), ("female", None, 1)))[:, 7:]
    names = encoder.get_feature_names_out()[7:]
    raised = [names[row.astype(bool)].tolist() for row in encoded]
    assert raised == [["sex × age=male × 20-39"], ["sex × age=female × missing"]]
    assert encoded.shape == (2, (len(SEX) + 1) * (len(AGE) + 1))


def test_trees_get_no_crosses_and_are_told_the_public_bins_of_each_feature() -> None:
    """One declaration per feature: a number of labels, or edges from the bottom to the top."""
    encoder = DeclaredEncoder({"sex": SEX}, {"bmi": (15, 55)}, (), "ordinal", [["sex", "sex"]])
    encoded = encoder.transform(make_frame(("male", "60+", 55.0)))
    assert encoded.tolist() == [[1, 1]]
    labels, edges = encoder.declared_bins
    assert labels == len(SEX)
    assert isinstance(edges, tuple)
    assert (edges[0], edges[-1]) == (0, 1)
    assert list(edges) == sorted(set(edges))


def test_missing_is_a_declared_category_of_its_own() -> None:
    """A missing value raises its indicator and stands in the middle of ranks and numbers."""
    encoded = make_encoder().fit_transform(make_frame((None, None, None)))
    assert encoded.tolist() == [[0, 0, 1, 0, 0, 1, 0.5, 1]]


def test_ordinal_style_gives_positions_and_nan_for_missing() -> None:
    """Boosted trees get the label's position, and NaN where there is no label or number."""
    encoded = make_encoder("ordinal").transform(
        make_frame(("male", None, 15.0), (None, "60+", None))
    )
    np.testing.assert_array_equal(encoded, [[1, np.nan, 0], [np.nan, 2, np.nan]])


@pytest.mark.parametrize("style", ["one-hot", "ordinal"])
def test_features_are_named_from_the_declaration(style: Style) -> None:
    """There is one distinct name per feature."""
    names = make_encoder(style).get_feature_names_out()
    assert len(set(names)) == make_encoder(style).transform(make_frame(("male", "60+", 1))).shape[1]


def test_a_number_outside_its_public_range_is_clipped() -> None:
    """Nobody's extreme value is seen in the encoding."""
    encoded = make_encoder().transform(make_frame(("male", "60+", 9999.0), ("male", "60+", -1.0)))
    assert encoded[:, 6].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("style", ["one-hot", "ordinal"])
@settings(deadline=None)
@given(rows=people, others=people)
def test_the_encoder_learns_nothing_from_the_people_it_was_fitted_on(
    style: Style, rows: list[tuple[object, ...]], others: list[tuple[object, ...]]
) -> None:
    """Fitted on other people, or on none of them, it gives the same output and keeps the same."""
    fitted = make_encoder(style).fit(make_frame(*rows))  # type: ignore[arg-type]  # drawn tuples
    other = clone(fitted).fit(make_frame(*others))  # type: ignore[arg-type]  # drawn tuples
    frame = make_frame(*rows)  # type: ignore[arg-type]  # drawn tuples
    np.testing.assert_array_equal(fitted.transform(frame), other.transform(frame))
    assert vars(fitted) == vars(other) == vars(make_encoder(style))


@settings(deadline=None)
@given(rows=people, person=people, place=st.integers(0, 5))
def test_one_person_changes_only_their_own_row(
    rows: list[tuple[object, ...]], person: list[tuple[object, ...]], place: int
) -> None:
    """Replacing one person leaves the encoding of everybody else as it was."""
    place %= len(rows)
    changed = [*rows[:place], person[0], *rows[place + 1 :]]
    before = make_encoder().fit_transform(make_frame(*rows))  # type: ignore[arg-type]  # drawn
    after = make_encoder().fit_transform(make_frame(*changed))  # type: ignore[arg-type]  # drawn
    np.testing.assert_array_equal(np.delete(before, place, 0), np.delete(after, place, 0))


@settings(deadline=None)
@given(rows=people)
def test_no_row_is_longer_than_the_public_bound(rows: list[tuple[object, ...]]) -> None:
    """The L2 norm of every possible row is at most `row_bound`."""
    encoder = make_encoder(crosses=[["age", "sex"]])
    encoded = encoder.fit_transform(make_frame(*rows))  # type: ignore[arg-type]  # drawn tuples
    assert np.linalg.norm(encoded, axis=1).max() <= encoder.row_bound + 1e-12


def test_the_public_bound_is_reached_and_absent_where_rows_hold_nan() -> None:
    """The bound is the least one that holds; the ordinal style has none."""
    encoder = make_encoder(crosses=[["age", "sex"]])
    longest = encoder.transform(make_frame(("male", None, None)))
    assert np.linalg.norm(longest) == pytest.approx(encoder.row_bound)
    assert make_encoder("ordinal").row_bound == math.inf


@pytest.mark.parametrize(
    ("row", "column"),
    [
        pytest.param(("Xqz7", "60+", 20), "sex", id="undeclared-label"),
        pytest.param(("male", "60+", "Xqz7"), "bmi", id="not-a-number"),
    ],
)
def test_an_undeclared_value_is_refused_with_count_and_column_only(
    row: tuple[object, object, object], column: str
) -> None:
    """The refusal names the column and about how many values, never a value."""
    with pytest.raises(Refusal, match=rf"'{column}': fewer than 10 values") as refusal:
        make_encoder().transform(make_frame(row, row, ("male", "60+", 20)))
    assert "Xqz7" not in str(refusal.value)


def test_a_missing_column_is_refused_at_fit() -> None:
    """A declared column that is not in the data is named."""
    with pytest.raises(Refusal, match="age"):
        make_encoder().fit(make_frame(("male", "60+", 20)).drop(columns="age"))


@pytest.mark.parametrize(
    "encoder",
    [
        pytest.param(DeclaredEncoder({}, {}), id="nothing-declared"),
        pytest.param(DeclaredEncoder({"sex": SEX}, {}, ["age"]), id="ordered-without-labels"),
        pytest.param(DeclaredEncoder({"sex": ["f", "f"]}, {}), id="label-twice"),
        pytest.param(DeclaredEncoder({"sex": []}, {}), id="no-label"),
        pytest.param(DeclaredEncoder({}, {"bmi": (3, 3)}), id="empty-range"),
        pytest.param(
            DeclaredEncoder({"sex": SEX}, {}, crosses=[["sex", "bmi"]]), id="cross-of-none"
        ),
        pytest.param(DeclaredEncoder({"sex": SEX}, {}, crosses=[["sex"]]), id="cross-of-one"),
        pytest.param(DeclaredEncoder({"sex": SEX}, {}, crosses=[["sex"] * 2]), id="cross-itself"),
        pytest.param(DeclaredEncoder(MANY, {}, crosses=[[*MANY]]), id="cross-too-wide"),
        pytest.param(DeclaredEncoder({"bmi": SEX}, {"bmi": (1, 3)}), id="declared-twice"),
    ],
)
def test_a_declaration_that_cannot_be_encoded_is_refused(encoder: DeclaredEncoder) -> None:
    """A fault in the declaration is found before any value is read."""
    with pytest.raises(UsageError, match="encoding"):
        encoder.fit(pd.DataFrame({"sex": ["f"], "bmi": [2]}))


def test_a_saved_encoder_loads_back_and_trusts_one_type_only() -> None:
    """Loading with skops needs to trust the encoder's own class and nothing else."""
    saved = skops.io.dumps(make_encoder())
    unknown = skops.io.get_untrusted_types(data=saved)
    assert unknown == ["tasks.training.encoding.DeclaredEncoder"]
    assert vars(skops.io.loads(saved, trusted=unknown)) == vars(make_encoder())
