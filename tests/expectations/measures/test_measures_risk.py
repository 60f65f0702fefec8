"""Re-identification risk against a count of who would be linked, person by person."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures.measures import (
    Risk,
    marketer_risk,
    prosecutor_risk,
    tell_risks,
)

AGES = st.lists(st.sampled_from(["20", "30", "40", None]), min_size=1, max_size=20)
SIZE = np.array([1, 4, 5])


@given(AGES)
def test_risks_agree_with_linking_every_row(ages: list[str | None]) -> None:
    """Each row is linked with one of its class."""
    rows = Counter(ages)
    size = np.array(list(rows.values()))

    assert prosecutor_risk(size).largest == max(1 / rows[age] for age in ages)
    assert prosecutor_risk(size).average == pytest.approx(
        sum(1 / rows[a] for a in ages) / len(ages)
    )


def test_known_sizes_have_known_risks() -> None:
    """Ten rows in classes of 1, 4 and 5."""
    assert prosecutor_risk(SIZE) == Risk(1.0, 0.3)
    assert marketer_risk(SIZE) == 0.3


def test_table_without_rows_is_at_full_risk() -> None:
    """Nothing is concluded from nothing."""
    none = np.array([], dtype=np.int64)

    assert prosecutor_risk(none) == Risk(1.0, 1.0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(2, 10))
def test_told_risks_are_bounds_that_count_nobody(sizes: list[int], threshold: int) -> None:
    """Shares of rows are told in steps of a threshold of people, or as 1, and never too small."""
    told = tell_risks(np.array(sizes), threshold)
    rows, unique = sum(sizes), sizes.count(1)
    wide = [step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500) if step * rows >= 1e3 * threshold]
    step = min(wide, default=1000)

    assert told["prosecutor"] == pytest.approx(1 / min(sizes), abs=1e-3)
    assert 1 / min(sizes) <= told["prosecutor"]
    for name, share in {"marketer": len(sizes) / rows, "uniqueness": unique / rows}.items():
        assert share <= told[name] + 1e-9
        assert told[name] == 1 or round(1e3 * told[name]) % step == 0
    assert (told["uniqueness"] == 0) == (unique == 0)


def test_told_risks_of_nobody_are_the_worst() -> None:
    """An empty release meets no bound."""
    assert set(tell_risks(np.array([], dtype=np.int64), 10).values()) == {1.0}
