"""A profile tells what a column looks like, and no person's value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.expressions.expressions import ColumnType
from tasks.drafting.profile import (
    LEAST,
    Profile,
    choose_step,
    count_people,
    count_values,
    make_profile,
)
from tasks.drafting.singling_out import first_of_each
from tasks.sources.conversion import convert

Cell = str | int | float | bool | None


def column(cells: Sequence[Cell]) -> pa.ChunkedArray:
    """Put cells into one column."""
    return pa.chunked_array([pa.array([*cells])])


def profile_of(cells: Sequence[Cell], name: str = "asked") -> Profile:
    """Profile a column of cells."""
    return make_profile(count_values(name, column(cells)))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1", "1"], ColumnType.BOOLEAN),
        (["1", "1", "1"], ColumnType.INTEGER),
        (["0", "1", "2"], ColumnType.INTEGER),
        (["yes", "No", " "], ColumnType.BOOLEAN),
        (["yes", "yes"], ColumnType.TEXT),
        (["1.0", "2.0", None], ColumnType.INTEGER),
        (["1.5", "-2e3"], ColumnType.NUMBER),
        (["2024-02-29", ""], ColumnType.DATE),
        (["2024-02-30", "2024-02-01"], ColumnType.TEXT),
        (["01067", "10115"], ColumnType.TEXT),
        (["4111111111111111", "12"], ColumnType.TEXT),
        (["12", "n/a", "13"], ColumnType.TEXT),
        ([None, None], ColumnType.TEXT),
        ([1.0, 2.0, float("nan")], ColumnType.INTEGER),
        ([True, False], ColumnType.BOOLEAN),
    ],
)
def test_the_type_is_the_narrowest_to_which_all_convert(
    cells: list[Cell], expected: ColumnType
) -> None:
    """Codes with a leading zero and numbers too long for a double stay text."""
    assert profile_of(cells).type is expected


def test_one_misfit_among_thousands_makes_text() -> None:
    """Not only the first values are tried."""
    assert profile_of([*map(str, range(2_000)), "unknown"]).type is ColumnType.TEXT


cells_of_text = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from(["0", "1", "yes", "no", " ", "7", "2024-01-31", "-1.5", "0012", "1e3"]),
        st.integers(-(10**18), 10**18).map(str),
        st.floats(allow_nan=False).map(str),
        st.text(max_size=4),
    ),
    max_size=6,
)


@given(cells_of_text)
def test_every_value_converts_to_the_proposed_type(cells: list[str | None]) -> None:
    """What is proposed can be run: the conversion of runs refuses nothing."""
    held = column(cells)
    proposed = make_profile(count_values("asked", held)).type
    table = pa.table({"asked": held.cast(pa.string())})
    fitted = convert(table, {"asked": proposed})
    assert fitted.num_rows == len(cells)


times_held = st.lists(st.integers(1, 2 * LEAST), max_size=8)


@given(times_held)
def test_no_word_is_listed_that_few_rows_hold(times: list[int]) -> None:
    """A rare word may be one person's."""
    cells = [f"word {word}" for word, held in enumerate(times) for _ in range(held)]
    listed, counted = profile_of(cells).words, Counter(cells)
    assert all(counted[word] >= LEAST for word in listed)
    assert {word for word, times in counted.items() if times >= LEAST} == set(listed)


@given(times_held)
def test_values_that_are_not_listed_are_counted(times: list[int]) -> None:
    """`rare` says how many words are left out."""
    cells = [f"word {word}" for word, held in enumerate(times) for _ in range(held)]
    profile = profile_of(cells)
    assert profile.rare + len(profile.words) == profile.distinct == len(times)


def test_many_words_are_no_list() -> None:
    """A list of more than sixty says nothing that a person reads; fifty states are one."""
    assert profile_of([f"word {n}" for n in range(61)] * LEAST).words == ()
    assert len(profile_of([f"word {n}" for n in range(50)] * LEAST).words) == 50


def test_edges_that_are_written_alike_are_one() -> None:
    """Numbers that differ behind the tenth digit are no intervals that can be written."""
    profile = profile_of([f"{50_000 + n * 1e-7:.7f}" for n in range(400)])
    written = [f"{edge:.10g}" for edge in profile.edges]
    assert len(set(written)) == len(written)


def test_bounds_of_whole_numbers_are_whole() -> None:
    """Nobody has 3.2 children."""
    profile = profile_of([*(["0", "1", "2"] * LEAST), "3"])
    bounds = (profile.low, profile.high, *profile.edges)
    assert all(bound is not None and bound.is_integer() for bound in bounds)


finite = st.floats(-1e9, 1e9).map(lambda number: round(number, 3))


@given(st.lists(finite, min_size=1, max_size=40))
def test_a_range_holds_every_number(numbers: list[float]) -> None:
    """Rounded outward, never inward."""
    profile = profile_of([str(number) for number in numbers] + ["0.5", "-0.5"])
    assert profile.low is not None
    assert profile.high is not None
    assert profile.low <= min(numbers)
    assert max(numbers) <= profile.high


@given(st.lists(finite, min_size=1, max_size=40))
def test_a_bound_is_no_number_of_few_rows(numbers: list[float]) -> None:
    """Zero is excepted, below which most quantities do not go."""
    profile = profile_of([str(number) for number in numbers] + ["0.5", "-0.5"])
    assert {profile.low, profile.high} & set(numbers) <= {0.0}


@given(st.lists(finite, min_size=2, max_size=40, unique=True))
def test_a_bound_has_two_significant_digits_of_the_range(numbers: list[float]) -> None:
    """The step is a twentieth of the range or more, and 1, 2 or 5 times a power of ten."""
    profile = profile_of([str(number) for number in numbers] + ["0.25", "-0.25"])
    assert profile.low is not None
    width = max(*numbers, 0.25) - min(*numbers, -0.25)
    step = choose_step(width)
    assert width / 20 <= step <= width / 20 * 2.5 * (1 + 1e-9)
    assert float(f"{step:e}".partition("e")[0]) in (1, 2, 5)
    assert profile.low / step == pytest.approx(round(profile.low / step), abs=1e-6)


def test_an_extreme_age_is_not_told() -> None:
    """One person of 103 among people up to 80: the bound is beyond, on a step of 5."""
    ages = [*range(17, 81)] * LEAST
    assert profile_of([*map(str, ages), "103"]).high == 105


def test_a_bound_that_many_hold_is_told_as_it_is() -> None:
    """Top-coded ages end where the source ended them."""
    assert profile_of([*map(str, [*range(10, 80), *[80] * LEAST])]).high == 80


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_edges_part_the_rows_into_shares_of_some_size(numbers: list[int]) -> None:
    """No bin of fewer than LEAST rows is proposed."""
    profile = profile_of([*map(str, numbers), "-3"])
    if profile.edges:
        sizes = np.histogram([*numbers, -3], [-np.inf, *profile.edges, np.inf])[0]
        assert sizes.min() >= LEAST


def test_missing_and_alone_are_shares_of_rows() -> None:
    """Blank text is missing; four alike are nearly alone, five are not."""
    profile = profile_of(["a"] * 5 + ["b"] * 4 + ["", None, " "] + [None] * 8)
    assert (profile.rows, profile.missing, profile.alone) == (20, 11 / 20, 4 / 20)


def test_a_word_of_one_person_with_many_rows_is_not_listed() -> None:
    """Rows are counted once a person where a key tells them apart."""
    cells = column(["mayor"] * 12 + ["clerk"] * 12)
    people = np.array([0] * 12 + [*range(1, 13)])
    profile = make_profile(count_values("job", cells))
    assert set(profile.words) == {"mayor", "clerk"}
    counted = count_people(profile, count_values("job", first_of_each(people, cells)))
    assert counted.words == ("clerk",)


@given(st.lists(st.integers(0, 300), min_size=100, max_size=300), st.integers(2, 9))
def test_edges_are_round_numbers_and_follow_no_quantile(numbers: list[int], times: int) -> None:
    """Multiples of 1, 2 or 5; the same where everybody is there several times over."""
    profile = profile_of([*map(str, numbers), "0", "300"] * times)
    again = profile_of([*map(str, numbers), "0", "300"] * times * 2)
    assert profile.edges == again.edges
    for edge in profile.edges:
        assert edge % 50 == 0 or float(f"{edge:e}".partition("e")[0]) in (1, 2, 5)


def test_edges_of_incomes_are_one_two_and_five_times_powers_of_ten() -> None:
    """Equal steps would put nearly everybody into the first."""
    profile = profile_of([str(2000 + 37 * n) for n in range(1000)] + ["900000"] * LEAST)
    assert profile.edges == (5000, 10_000, 20_000)


@pytest.mark.parametrize("number", ["1e308", "-1.7976931348623157e308"])
def test_numbers_that_nothing_is_beyond_have_no_range(number: str) -> None:
    """Rounded outward they would be infinite."""
    profile = profile_of([number, "0"] * 20)
    assert (profile.low, profile.high, profile.edges) == (None, None, ())
