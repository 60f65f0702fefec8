"""A published count hides few people, moves little, and says the same whenever it is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import TEN, Count, Disclosure, Published, percent
from tasks.consent.meaning import Standing
from tasks.consent.permission import count_standings

RULE = Disclosure(b"k" * 32)
HOMES = [Disclosure(b"home %d" % n) for n in range(400)]


def tell(exact: int, rule: Disclosure = RULE) -> int | None:
    """Publish a count."""
    return rule.publish(Count(exact)).about


@given(st.lists(st.sampled_from(list(Standing)), max_size=40))
def test_people_are_counted_by_their_standing(people: list[Standing]) -> None:
    """Everybody once, under a label that several standings may share."""
    found = count_standings(np.array(people, np.int8))
    labels = [one.label for one in people]
    assert {name: count.exact for name, count in found.items() if count.exact} == {
        name: labels.count(name) for name in labels
    }


@given(st.integers(0, 2000), st.integers(2, 30))
def test_a_figure_is_hidden_or_near(exact: int, threshold: int) -> None:
    """Below the threshold nothing is told; from it on a multiple of ten that is less than ten off.

    Of a threshold that is none itself, the figures below it are told as the threshold.
    """
    told = tell(exact, Disclosure(b"x", threshold))
    if exact < threshold:
        assert told is None
    else:
        assert told is not None
        assert told >= threshold
        assert told % TEN == 0 or told == threshold
        assert abs(told - exact) < TEN


@given(st.integers(10, 5000))
def test_figures_rise_with_the_people_and_stand_for_ten(exact: int) -> None:
    """A figure never falls when people come, and of ten that come one changes it."""
    figures = [tell(number) or 0 for number in range(exact, exact + 41)]
    assert figures == sorted(figures)
    tens = (exact // TEN + 1) * TEN - exact
    assert [len(set(figures[tens + n : tens + n + 11])) for n in (0, 10, 20)] == [2, 2, 2]


def test_one_person_changes_a_figure_once_in_ten() -> None:
    """Wherever the count stands, over the keys that homes may have; who is counted is no matter."""
    for exact in (11, 35, 36, 49, 100, 120, 3190):
        changed = sum(tell(exact, home) != tell(exact - 1, home) for home in HOMES)
        assert changed / len(HOMES) == pytest.approx(1 / TEN, abs=0.06)


def test_rounding_leans_neither_way() -> None:
    """Over homes a figure is right on average, and a count with nothing over is told as it is."""
    for exact in (20, 41, 55, 88, 109):
        told = [tell(exact, home) or 0 for home in HOMES]
        assert np.mean(told) == pytest.approx(exact, abs=1)
    assert {tell(20, home) for home in HOMES} == {20}


def test_no_two_tens_are_rounded_at_one_place() -> None:
    """What is learned of one ten tells nothing of the next: every place occurs, equally often."""
    tops = [max(n for n in range(TEN) if tell(10 * tens + n) == 10 * tens) + 1
            for tens in range(1, 3001)]  # fmt: skip
    often = [tops.count(place) for place in range(1, TEN + 1)]
    assert sum(often) == 3000
    assert min(often) > 230
    pairs = np.corrcoef(tops[:-1], tops[1:])[0, 1]
    assert abs(pairs) < 0.08


def test_another_home_rounds_elsewhere() -> None:
    """Who has not the key cannot tell where."""
    numbers = range(10, 400)
    assert [tell(n) for n in numbers] != [tell(n, HOMES[0]) for n in numbers]


@pytest.mark.parametrize(
    "thing", [pytest.param(Count(4711), id="count"), pytest.param(Disclosure(b"4711"), id="rule")]
)
def test_a_repr_shows_neither_figure_nor_key(thing: object) -> None:
    """A log line or a traceback that quotes it gives nothing away."""
    for text in (repr(thing), str(thing), f"{thing}"):
        assert "4711" not in text


def test_a_figure_reads_as_people_write_it() -> None:
    """Hidden ones name the threshold, others have their thousands marked."""
    assert [str(Published(None, 10)), str(Published(12345, 10))] == ["fewer than 10", "12,345"]


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100 %"), (0.996, "100 %"), (0.834, "83 %"), (0.0123, "1.2 %"), (0.0, "0 %")],
)
def test_a_share_of_two_digits_reads_as_people_write_it(share: float, said: str) -> None:
    """That of everybody too, which has three."""
    assert percent(share, 2) == said
