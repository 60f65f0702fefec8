"""The measures agree with pyCANON where it is right, and with the definitions where it errs."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from expectations.measures import sensitive_measures as sensitive
from expectations.measures.measures import k_anonymity, measure
from tests.expectations.measures import measure_definitions as defined

with warnings.catch_warnings():
    # Its imports warn of what pandas will drop; that is between the two of them.
    warnings.simplefilter("ignore")
    from pycanon import anonymity

# Of how pyCANON groups by one column; it is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore:In a future version, the keys of `groups`")

QI = ["age", "sex", "town"]


def draw(number: int) -> pd.DataFrame:
    """Draw a table: more rows, towns and illnesses with its number; each third in large classes."""
    chance = np.random.default_rng(number)
    rows, coarse = 40 + 30 * number, number % 3 == 0
    return pd.DataFrame(
        {
            "age": chance.integers(2, 4 if coarse else 9, rows) * 10,
            "sex": chance.choice(["f", "m"], rows),
            "town": chance.choice([f"town {n}" for n in range(1 if coarse else 1 + number)], rows),
            "illness": chance.choice([f"illness {n}" for n in range(2 + number // 2)], rows),
            "pay": chance.integers(10, 14 + 4 * number, rows),
        }
    )


TABLES = [draw(number) for number in range(10)]
LARGE = 5
"""From this number on pyCANON takes seconds for a table, which is left to the night."""
each_table = pytest.mark.parametrize(
    "frame",
    [
        pytest.param(frame, id=str(number), marks=[pytest.mark.nightly] * (number >= LARGE))
        for number, frame in enumerate(TABLES)
    ],
)
each_column = pytest.mark.parametrize("column", ["illness", "pay"])


@each_table
def test_classes_agree(frame: pd.DataFrame) -> None:
    """The size of the smallest class over three columns, and over one."""
    assert k_anonymity(frame, QI) == anonymity.k_anonymity(frame, QI)
    assert k_anonymity(frame, ["age"]) == anonymity.k_anonymity(frame, ["age"])


@each_table
@each_column
def test_diversity_agrees(frame: pd.DataFrame, column: str) -> None:
    """Distinct l, the l of recursive diversity, and alpha."""
    found = measure(frame, QI, [column]).sensitive[column]
    _, recursive = anonymity.recursive_c_l_diversity(frame, QI, [column])

    assert found.distinct_l == anonymity.l_diversity(frame, QI, [column]) == recursive
    assert found.alpha == pytest.approx(anonymity.alpha_k_anonymity(frame, QI, [column])[0])


@each_table
def test_distances_agree(frame: pd.DataFrame) -> None:
    """Numbers are taken as ordered there and words as equally far apart."""
    found = measure(frame, QI, ["illness", "pay"]).sensitive

    assert found["illness"].equal_t == pytest.approx(anonymity.t_closeness(frame, QI, ["illness"]))
    assert found["pay"].ordered_t == pytest.approx(anonymity.t_closeness(frame, QI, ["pay"]))


@each_table
@each_column
def test_basic_beta_agrees(frame: pd.DataFrame, column: str) -> None:
    """The largest relative gain."""
    found = measure(frame, QI, [column]).sensitive[column]

    assert found.beta == pytest.approx(anonymity.basic_beta_likeness(frame, QI, [column]))


def test_delta_agrees_where_every_value_occurs_in_every_class() -> None:
    """The others it leaves out, and the definition does not."""
    compared = 0
    for frame in TABLES:
        ours = measure(frame, ["sex"], ["illness"]).sensitive["illness"].delta
        classes = defined.split(frame, ["sex"], "illness")
        assert ours == pytest.approx(defined.delta(classes))
        if math.isfinite(ours):
            compared += 1
            theirs = anonymity.delta_disclosure(frame, ["sex"], ["illness"])
            assert ours == pytest.approx(theirs)
    assert compared >= 5


@each_table
@each_column
def test_what_pycanon_gets_wrong_follows_the_definitions(frame: pd.DataFrame, column: str) -> None:
    """Entropy l, which it rounds down; c, enhanced beta, and delta with values that are absent."""
    found = measure(frame, QI, [column]).sensitive[column]
    classes = defined.split(frame, QI, column)

    assert found.entropy_l == pytest.approx(defined.entropy_l(classes))
    assert found.smallest_c == pytest.approx(defined.smallest_c(classes, 2))
    assert found.delta == pytest.approx(defined.delta(classes))
    if math.isfinite(found.enhanced_beta):
        assert found.enhanced_beta == pytest.approx(defined.beta(classes))
    assert defined.is_enhanced(classes, 1e9) == math.isfinite(found.enhanced_beta)


def test_an_index_of_any_kind_changes_no_measure() -> None:
    """There its t is wrong unless the index is 0 to n."""
    frame = TABLES[3]
    odd = frame.set_axis(np.arange(len(frame))[::-1] * 7)

    assert measure(odd, QI, ["illness"]) == measure(frame, QI, ["illness"])


def test_rows_without_a_value_in_the_only_column_count() -> None:
    """There they are dropped: 3 is left, although one row is alone without an age."""
    frame = pd.DataFrame({"age": ["20", "20", "20", None]})

    assert k_anonymity(frame, ["age"]) == 1
    assert anonymity.k_anonymity(frame, ["age"]) == 3


def test_a_constant_number_is_close_to_itself() -> None:
    """There it is a division by zero."""
    frame = pd.DataFrame({"age": ["20", "30"], "pay": [7, 7]})

    assert measure(frame, ["age"], ["pay"]).sensitive["pay"].ordered_t == 0


def test_entropy_of_equal_values_is_their_number() -> None:
    """There eight are seven."""
    frame = pd.DataFrame({"age": ["20"] * 8, "illness": list("abcdefgh")})

    assert measure(frame, ["age"], ["illness"]).sensitive["illness"].entropy_l == pytest.approx(8)
    assert sensitive.ROUNDING < 1e-6
