"""A published count hides few people, moves little, and says the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import SPREAD, Count, Disclosure, Published
from tasks.consent.meaning import Standing
from tasks.consent.permission import count_standings
from tasks.ingestion import RECORD, count_people

RULE = Disclosure(b"k" * 32)
records = st.integers(0, 2**64 - 1)
crowds = st.lists(records, unique=True, max_size=40)


def count(people: Sequence[int]) -> Count:
    """Count people by their record keys."""
    return count_people(pa.table({RECORD: pa.array(people, pa.uint64())}))


@given(crowds, st.randoms())
def test_the_same_people_give_the_same_figure(people: list[int], order: object) -> None:
    """In whatever order they stand, and however often it is asked."""
    shuffled = sorted(people, key=lambda _: order.random())  # type: ignore[attr-defined]  # Hypothesis's
    assert RULE.publish(count(people)) == RULE.publish(count(shuffled))


@given(crowds)
def test_the_cell_key_is_the_sum_that_python_gives(people: list[int]) -> None:
    """It wraps at 64 bits, and loses no digit on the way."""
    assert count(people).cell_key == sum(people) % 2**64
    standings = np.full(len(people), Standing.BY_SELF, np.int8)
    told = count_standings(np.array(people, np.uint64), standings)["permitted"]
    assert told == count(people)


@given(st.integers(0, 200), records, st.integers(2, 30))
def test_a_figure_is_hidden_or_near(exact: int, key: int, threshold: int) -> None:
    """Below the threshold nothing is told; from it on at most a few more or fewer."""
    told = Disclosure(b"x", threshold).publish(Count(exact, key)).about
    if exact < threshold:
        assert told is None
    else:
        assert told is not None
        assert told >= threshold
        assert abs(told - exact) <= SPREAD


@given(crowds.filter(lambda people: len(people) > 20), records)
def test_one_person_more_is_lost_in_the_difference(people: list[int], one: int) -> None:
    """The difference of two figures lies within two offsets, whoever came."""
    fewer = RULE.publish(count(people)).about
    more = RULE.publish(count([*people, one])).about
    assert fewer is not None
    assert more is not None
    assert abs(more - fewer - 1) <= 2 * SPREAD


def test_every_offset_occurs_and_none_leans() -> None:
    """Over many cells the offsets are those from -3 to 3, about equally often."""
    told = [RULE.publish(Count(100, key)).about for key in range(7000)]
    often = [told.count(100 + offset) for offset in range(-SPREAD, SPREAD + 1)]
    assert sum(often) == 7000
    assert min(often) > 850


def test_another_home_draws_other_offsets() -> None:
    """Who has not the key cannot take the offsets out."""
    other = Disclosure(b"z" * 32)
    cells = [Count(100, key) for key in range(50)]
    assert [RULE.publish(c) for c in cells] != [other.publish(c) for c in cells]


@pytest.mark.parametrize(
    "thing",
    [pytest.param(Count(4711, 815), id="count"), pytest.param(Disclosure(b"4711815"), id="rule")],
)
def test_a_repr_shows_neither_figure_nor_key(thing: object) -> None:
    """A log line or a traceback that quotes it gives nothing away."""
    for text in (repr(thing), str(thing), f"{thing}"):
        assert "4711" not in text
        assert "815" not in text


def test_a_figure_reads_as_people_write_it() -> None:
    """Hidden ones name the threshold, others have their thousands marked."""
    assert [str(Published(None, 10)), str(Published(12345, 10))] == ["fewer than 10", "12,345"]
