"""Re-identification risk against a count of who would be linked, person by person."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UsageError
from expectations.reidentification_risk import (
    Risk,
    marketer_risk,
    population_risk,
    prosecutor_risk,
    share_at_risk,
    tell_risks,
)

AGES = st.lists(st.sampled_from(["20", "30", "40", None]), min_size=1, max_size=20)
SIZE = np.array([1, 4, 5])


def table(ages: list[str | None]) -> pd.DataFrame:
    """A table of one column."""
    return pd.DataFrame({"age": pd.Series(ages, dtype=object)})


@given(AGES, AGES)
def test_risks_agree_with_linking_every_row(ages: list[str | None], more: list[str | None]) -> None:
    """Each row is linked with one of its class, in the table or in the population."""
    rows, people = Counter(ages), Counter(ages + more)
    found = population_risk(table(ages), ["age"], table(ages + more))
    size = np.array(list(rows.values()))

    assert prosecutor_risk(size).largest == max(1 / rows[age] for age in ages)
    assert prosecutor_risk(size).average == pytest.approx(
        sum(1 / rows[a] for a in ages) / len(ages)
    )
    assert found.journalist.largest == max(1 / people[age] for age in ages)
    assert found.marketer == pytest.approx(sum(1 / people[age] for age in ages) / len(ages))
    assert found.journalist.average == pytest.approx(
        max(found.marketer, len(rows) / sum(people[age] for age in rows))
    )


def test_known_sizes_have_known_risks() -> None:
    """Ten rows in classes of 1, 4 and 5."""
    assert prosecutor_risk(SIZE) == Risk(1.0, 0.3)
    assert marketer_risk(SIZE) == 0.3
    assert [share_at_risk(SIZE, bound) for bound in (0.2, 0.21, 0.25, 0.5, 1)] == [
        0.5,
        0.5,
        0.1,
        0.1,
        0,
    ]


def test_population_may_come_as_its_class_sizes() -> None:
    """A row per class, with how many people it stands for, is as good as the people."""
    sizes = pd.DataFrame({"age": ["20", "30", "90"], "people": [4, 10, 1]})
    found = population_risk(table(["20", "20", "30"]), ["age"], sizes, weights="people")

    assert found.journalist == Risk(0.25, pytest.approx((0.5 + 0.1) / 3))
    assert found.marketer == pytest.approx((0.5 + 0.1) / 3)


def test_people_outside_the_population_are_refused_without_being_named() -> None:
    """A class cannot have more rows than its population has people."""
    with pytest.raises(UsageError, match="1 of 2 classes have more rows") as caught:
        population_risk(table(["20", "87"]), ["age"], table(["20", "30"]))

    assert "87" not in str(caught.value)


def test_table_without_rows_is_at_full_risk() -> None:
    """Nothing is concluded from nothing."""
    none = np.array([], dtype=np.int64)

    assert (prosecutor_risk(none), share_at_risk(none, 0.2)) == (Risk(1.0, 1.0), 1.0)
    assert population_risk(table([]), ["age"], table(["20"])).marketer == 1


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
