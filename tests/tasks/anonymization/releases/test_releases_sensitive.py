"""Sensitive columns: classes, and whoever comes, leaves or stays together, have several values."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from tasks.anonymization.releases.difference_attack import Row, isolate
from tests.tasks.anonymization.releases.release_waves import (
    MIXED,
    OUTLET,
    SENSITIVE,
    START,
    K,
    Person,
    choose,
    fitted,
    observe,
    people,
    release_all,
    wave,
)


@given(wave)
@example([*(one for one in START if one[0] not in {*range(26), 51, 59}), (64, 3, 0, 0)])
def test_each_class_that_leaves_meets_its_models(drawn: list[Person]) -> None:
    """A frozen plan promises nothing of new people: classes of one illness are left out."""
    drawn = [one for one in drawn if one[0] >= 40]
    made = choose(people(drawn), SENSITIVE, fitted(*START))
    assert all(
        len(ill) >= 2 for ill in made.groupby(["age", "town"], observed=True)["ill"].unique()
    )
    plain = choose(people(drawn), OUTLET, fitted(*START))
    left_out = plain.loc[plain.index.difference(made.index)]
    assert all(
        len(ill) < 2 for ill in left_out.groupby(["age", "town"], observed=True)["ill"].unique()
    )


def values_of(rows: Counter[tuple[Row, Row]]) -> list[set[Row]]:
    """Give the different tails of each class."""
    found: dict[Row, set[Row]] = {}
    for labels, tail in rows:
        found.setdefault(labels, set()).add(tail)
    return list(found.values())


def test_newcomers_of_one_illness_wait() -> None:
    """Three came to one class, all ill: the difference would tell it of each of them."""
    plan, came = fitted(*START), [(80, 0, 0, 2), (81, 0, 0, 2), (82, 0, 0, 2)]
    for more, leaving in ((came, 0), ([*came, (83, 0, 0, 1)], 4)):
        made = release_all([MIXED, [*MIXED, *more]], SENSITIVE, plan)
        assert len(made[1]) - len(made[0]) == leaving
        assert len(release_all([MIXED, [*MIXED, *more]], OUTLET, plan)[1]) == len(MIXED) + len(more)


@given(st.lists(wave, min_size=1, max_size=3))
def test_whoever_comes_leaves_or_stays_together_has_two_values(waves: list[list[Person]]) -> None:
    """In each class and any two releases: those added, those gone and those in common."""
    made = release_all([MIXED, *waves], SENSITIVE, fitted(*START))
    seen = [observe(frame, SENSITIVE) for frame in made]
    for place, one in enumerate(seen):
        for other in seen[place + 1 :]:
            assert isolate(one, other, K) == []
            for part in (one - other, other - one, one & other):
                assert all(len(values) >= 2 for values in values_of(part))
