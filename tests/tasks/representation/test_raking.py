"""Weights meet the published margins, are bounded, and are the ones closest to 1 that do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

from expectations.errors import Refusal
from tasks.representation.raking import Missed, effective_share, rake

Table = list[list[float]]


def people(table: NDArray[np.int64]) -> pd.DataFrame:
    """Give one row per person of a two-way table: row and column as words."""
    rows, columns = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    return pd.DataFrame({"row": rows.astype(str), "column": columns.astype(str)})


def shares(totals: NDArray[np.float64]) -> dict[str, float]:
    """Give totals as the shares of the labels 0, 1, ..."""
    return {str(n): float(total) for n, total in enumerate(totals / totals.sum())}


def rake_table(
    table: NDArray[np.int64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    largest: float = math.inf,
) -> NDArray[np.float64]:
    """Rake a two-way table of people to margins, and give the weighted table in their total."""
    frame = people(table)
    raked = rake(frame, {"row": shares(rows), "column": shares(columns)}, largest)
    assert raked.missed == ()
    weighted = np.zeros(table.shape)
    places = (frame["row"].astype(int), frame["column"].astype(int))
    np.add.at(weighted, places, raked.weights)
    return weighted * rows.sum() / len(frame)


FOUR = pytest.param(
    [[40, 30, 20, 10], [35, 50, 100, 75], [30, 80, 70, 120], [20, 30, 40, 50]],
    [150, 300, 400, 150],
    [200, 300, 400, 100],
    [
        [64.5585, 46.2325, 35.3843, 3.82473],
        [49.9679, 68.1594, 156.499, 25.3742],
        [56.7219, 144.428, 145.082, 53.7673],
        [28.7516, 41.18, 63.0347, 17.0337],
    ],
    id="four-by-four",
)
"""The example of Wikipedia's "Iterative proportional fitting", fitted as the documentation of
ProportionalFitting.jl prints it."""
MARRIAGES = pytest.param(
    [[1306, 83, 0], [619, 765, 3], [263, 1194, 9], [173, 1372, 28],
     [171, 1393, 51], [159, 1372, 81], [208, 1350, 108], [1116, 4100, 2329]],
    [1412, 1402, 1450, 1541, 1681, 1532, 1662, 7644],
    [3988, 11702, 2634],
    [[1325.27, 86.73, 0], [615.56, 783.39, 3.05], [253.94, 1187.18, 8.88], [165.13, 1348.55, 27.32],
     [173.41, 1454.71, 52.87], [147.21, 1308.12, 76.67], [202.33, 1352.28, 107.40],
     [1105.16, 4181.04, 2357.81]],
    id="age-by-marital-status",
)  # fmt: skip
"""Women by age and marital status, known for one year and by margins for the next: Bishop,
Fienberg & Holland, "Discrete Multivariate Analysis" (1975), section 3.6, as the guide to SAS/IML
prints it in "Iterative Proportional Fitting". An empty cell stays empty."""


@pytest.mark.parametrize(("table", "rows", "columns", "fitted"), [FOUR, MARRIAGES])
def test_published_examples_come_out_as_published(
    table: Table, rows: list[float], columns: list[float], fitted: Table
) -> None:
    """To the last digit that is printed."""
    found = rake_table(np.array(table), np.array(rows, float), np.array(columns, float))
    np.testing.assert_allclose(found, fitted, rtol=6e-6, atol=0.00501)


tables = st.lists(st.tuples(st.integers(0, 12), st.floats(0.25, 3)), min_size=9, max_size=9).map(
    lambda cells: np.array(cells).reshape(3, 3, 2)
)
"""Small tables with a weight for each cell, from which margins follow that can be met."""


def solve(
    table: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    bound: float,
) -> NDArray[np.float64]:
    """Find by a general optimizer the weights of least relative entropy, through their dual."""
    top = math.log(bound)

    def loss(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        height = factors[:3, None] + factors[None, 3:]
        weight = np.exp(np.minimum(height, top))
        value = (table * (weight + bound * np.maximum(height - top, 0))).sum()
        slope = np.concatenate([(table * weight).sum(1) - rows, (table * weight).sum(0) - columns])
        return value - factors[:3] @ rows - factors[3:] @ columns, slope

    options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(loss, np.zeros(6), jac=True, method="L-BFGS-B", options=options)
    return np.exp(np.minimum(found.x[:3, None] + found.x[None, 3:], top))


@given(tables, st.sampled_from([math.inf, 1.3, 1.05]))
def test_weights_are_the_closest_to_1_that_meet_margins_and_bound(
    cells: NDArray[np.float64], slack: float
) -> None:
    """Against scipy, which is told the problem and not the method."""
    table, wanted = cells[..., 0].astype(int), cells[..., 1]
    assume((table.sum(0) > 0).all() and (table.sum(1) > 0).all())
    wanted = wanted * table.sum() / (wanted * table).sum()
    rows, columns = (wanted * table).sum(1), (wanted * table).sum(0)
    largest = slack * wanted[table > 0].max() if slack < math.inf else 1e6
    found = rake_table(table, rows, columns, largest)
    weights = found[table > 0] / table[table > 0]
    assert weights.max() <= largest * (1 + 1e-9)
    np.testing.assert_allclose(found.sum(1), rows, atol=1e-4)
    np.testing.assert_allclose(found.sum(0), columns, atol=1e-4)
    oracle = solve(table.astype(float), rows, columns, largest)[table > 0]
    np.testing.assert_allclose(weights, oracle, rtol=2e-3, atol=2e-4)


def test_a_bound_is_kept_and_the_margins_with_it() -> None:
    """The others make up for who would weigh more; trimming afterwards misses the margin."""
    table = np.array([[30, 5], [5, 60]])
    rows, columns = np.array([50.0, 50.0]), np.array([60.0, 40.0])
    free = rake_table(table, rows, columns) / table
    trimmed = np.minimum(free, 2.3) * table
    assert abs(trimmed.sum(0)[0] - 60) > 0.5
    held = rake_table(table, rows, columns, 2.3)
    assert (held / table).max() == pytest.approx(2.3)
    np.testing.assert_allclose(held.sum(1), rows, atol=1e-4)
    np.testing.assert_allclose(held.sum(0), columns, atol=1e-4)


cells_near_the_limit = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1e-8, 0.5, 3.0])), min_size=12, max_size=12
).map(lambda cells: np.array(cells).reshape(3, 4, 2))
"""People and a wanted weight for each cell, where some are to weigh nothing or next to nothing."""


def lack(people: NDArray[np.float64], wanted: Sequence[NDArray[np.float64]], bound: float) -> float:
    """Give the least total by which any weights within the bound miss two margins, by HiGHS."""
    rows, columns = people.shape
    shape = np.vstack([np.repeat(np.eye(rows), columns, axis=1), np.tile(np.eye(columns), rows)])
    kinds = len(shape)
    found = linprog(
        np.r_[np.zeros(people.size), np.ones(2 * kinds)],
        A_eq=np.hstack([shape * people.ravel(), np.eye(kinds), -np.eye(kinds)]),
        b_eq=np.concatenate(wanted),
        bounds=[(0, bound)] * people.size + [(0, None)] * (2 * kinds),
    )
    return float(found.fun)


@given(cells_near_the_limit, st.sampled_from([1.001, 1.2, 0.97, 50]))
def test_a_margin_is_missed_only_where_no_weights_meet_it(
    cells: NDArray[np.float64], slack: float
) -> None:
    """Near the limit of what any weights give too; against a linear program."""
    table, wanted = cells[..., 0].astype(int), cells[..., 1]
    mass = wanted * table
    assume((mass.sum(0) > 0).all() and (mass.sum(1) > 0).all())
    wanted = wanted * table.sum() / mass.sum()
    bound = slack * wanted[table > 0].max()
    margins = [(wanted * table).sum(axis) for axis in (1, 0)]
    short = lack(table.astype(float), margins, bound) / table.sum()
    assume(short < 1e-9 or short > 1e-4)
    raked = rake(
        people(table), dict(zip(("row", "column"), map(shares, margins), strict=True)), bound
    )
    assert bool(raked.missed) == (short > 1e-4)


LABELS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=8, max_size=40
).map(lambda rows: pd.DataFrame(rows, columns=["k", "m"]))
REFERENCE = {"k": {"a": 0.5, "b": 0.3, "c": 0.2}, "m": {"x": 0.4, "y": 0.6}}


@given(LABELS, st.randoms(use_true_random=False))
def test_a_weight_depends_on_labels_alone(
    frame: pd.DataFrame, shuffler: np.random.Generator
) -> None:
    """Not on the order of rows or columns; people with equal labels have equal weights, mean 1."""
    raked = rake(frame, REFERENCE)
    order = list(range(len(frame)))
    shuffler.shuffle(order)
    turned = rake(frame.iloc[order], {"m": REFERENCE["m"], "k": REFERENCE["k"]})
    assert bool(turned.missed) == bool(raked.missed)
    assert raked.weights.mean() == pytest.approx(1)
    if not raked.missed:
        np.testing.assert_allclose(turned.weights, raked.weights[order], rtol=1e-4, atol=1e-5)
        spread = frame.assign(w=raked.weights).groupby(["k", "m"])["w"].agg(np.ptp)
        assert spread.max() == 0


def test_a_sample_that_is_like_the_reference_is_left_as_it_is() -> None:
    """Every weight is 1, and the effective sample is the whole."""
    frame = pd.DataFrame({"k": list("aaaaabbbcc") * 2, "m": ["x"] * 8 + ["y"] * 12})
    raked = rake(frame, REFERENCE)
    assert raked.missed == ()
    wanted = pd.DataFrame({"k": list("aaaaabbbcc")})
    np.testing.assert_allclose(rake(wanted, {"k": REFERENCE["k"]}).weights, 1)
    assert effective_share(rake(wanted, {"k": REFERENCE["k"]}).weights) == pytest.approx(1)


def test_everybody_moves_everybodys_weight() -> None:
    """One person more changes the weight of people with other labels: no ε could cover it."""
    frame = pd.DataFrame({"k": list("aabbcc"), "m": list("xyxyxy")})
    more = pd.concat([frame, pd.DataFrame({"k": ["a"], "m": ["x"]})], ignore_index=True)
    before, after = rake(frame, REFERENCE).weights, rake(more, REFERENCE).weights[:6]
    assert (np.abs(before - after) > 1e-3).all()


def test_people_without_a_value_keep_their_share() -> None:
    """The others are raked to the shares; `missing` is a label where it has a share itself."""
    frame = pd.DataFrame({"k": [*"aaaaaaaabb", None, None]})
    raked = rake(frame, {"k": {"a": 0.5, "b": 0.5}})
    assert raked.missed == ()
    np.testing.assert_allclose(raked.weights, [0.625] * 8 + [2.5] * 2 + [1, 1])
    named = rake(frame, {"k": {"a": 0.45, "b": 0.45, "missing": 0.1}})
    np.testing.assert_allclose(named.weights, [0.675] * 8 + [2.7] * 2 + [0.6, 0.6])


@pytest.mark.parametrize(
    ("margin", "largest", "label"),
    [
        pytest.param({"a": 0.4, "b": 0.4, "c": 0.2}, math.inf, "c", id="nobody-has-it"),
        pytest.param({"a": 1.0, "b": 0.0}, math.inf, "b", id="nobody-should-have-it"),
        pytest.param({"a": 0.3, "b": 0.7}, 3.0, "b", id="too-few-for-the-largest-weight"),
    ],
)
def test_a_margin_that_no_weight_meets_is_named(
    margin: dict[str, float], largest: float, label: str
) -> None:
    """By column and label; the weights are then all 1."""
    raked = rake(pd.DataFrame({"k": list("aaaaaaaabb")}), {"k": margin}, largest)
    assert raked.missed == (Missed("k", label),)
    assert (raked.weights == 1).all()


def test_margins_that_contradict_each_other_are_named() -> None:
    """Where two columns say the same of everybody, they can't have different shares."""
    frame = pd.DataFrame({"k": list("aabb"), "m": list("xxyy")})
    raked = rake(frame, {"k": {"a": 0.5, "b": 0.5}, "m": {"x": 0.8, "y": 0.2}})
    assert {missed.column for missed in raked.missed} <= {"k", "m"}
    assert raked.missed
    assert np.isfinite(raked.weights).all()


def test_a_label_without_a_share_is_refused_with_a_count() -> None:
    """The label itself is not said: it may be a person's value."""
    frame = pd.DataFrame({"k": ["a", "b", "secret"]})
    with pytest.raises(Refusal, match="1 of the labels of 'k' have no share") as found:
        rake(frame, {"k": {"a": 0.5, "b": 0.5}})
    assert "secret" not in str(found.value)


def test_nobody_cannot_be_weighted() -> None:
    """Without people there is no weight."""
    with pytest.raises(Refusal, match="there is nobody to weight"):
        rake(pd.DataFrame({"k": []}), {"k": {"a": 0.5, "b": 0.5}})


@given(st.lists(st.floats(0.1, 9), min_size=2, max_size=30))
def test_the_effective_share_is_kishs(drawn: list[float]) -> None:
    """1 / (1 + cv²), with the weights' coefficient of variation."""
    weights = np.array(drawn)
    variation = weights.std() / weights.mean()
    assert effective_share(weights) == pytest.approx(1 / (1 + variation**2))
