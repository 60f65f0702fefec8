"""Two plans over the same people: what both describe, by whom they are linked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tasks.anonymization.releases.release import Crossing, PlanClasses

Link = tuple[int, int]


def crossing(links: list[Link]) -> Crossing:
    """Give people by the numbers of their new and their old class."""
    sides = [
        PlanClasses(labels(side), np.array([link[side] for link in links], dtype=np.int64))
        for side in (0, 1)
    ]
    return Crossing(*sides)


def labels(side: int) -> tuple[tuple[str, ...], ...]:
    """Name twelve classes of one plan."""
    return tuple((f"{'no'[side]}{number}",) for number in range(12))


def together(links: list[Link]) -> list[set[str]]:
    """Join classes that share a person, until none do, by sets."""
    parts: list[set[str]] = []
    for new, old in links:
        ends = {f"n{new}", f"o{old}"}
        touched = [part for part in parts if part & ends]
        parts = [part for part in parts if not part & ends]
        parts.append(ends.union(*touched))
    return parts


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=16))
def test_regions_are_what_people_link(links: list[Link]) -> None:
    """Two classes are in one region if a chain of shared people leads from one to the other."""
    new, old = crossing(links).name_regions(labels(0), labels(1))
    found: dict[object, set[str]] = {}
    for (name,), region in zip([*labels(0), *labels(1)], [*new, *old], strict=True):
        found.setdefault(region, set()).add(name)
    linked = {f"{side}{link[at]}" for link in links for at, side in enumerate("no")}
    assert sorted(map(sorted, together(links))) == sorted(
        sorted(part) for part in found.values() if part & linked
    )


def test_a_long_chain_is_one_region() -> None:
    """Each class overlaps the next of the other plan by one person."""
    chain = [(n, n) for n in range(12)] + [(n, n + 1) for n in range(11)]
    new, old = crossing(chain).name_regions(labels(0), labels(1))
    assert len({*new, *old}) == 1


def test_classes_that_nobody_shares_are_regions_of_their_own() -> None:
    """Also those of an earlier release that no person of today is in."""
    new, old = crossing([(0, 0)]).name_regions([("n0",), ("n5",)], [("o0",), ("gone",)])
    assert new[0] == old[0]
    assert len({new[0], new[1], old[1]}) == 3


def test_classes_are_read_from_a_released_table() -> None:
    """By the labels of the linkable columns; the others and who is left out do not count."""
    released = pd.DataFrame({"a": pd.Categorical(["x", "y", "x"]), "b": [1, 2, 3]}, index=[7, 3, 5])
    found = PlanClasses.from_released(released, ["a"], pd.Index([3, 4, 5, 7]))
    assert found.labels == (("x",), ("y",))
    assert found.of.tolist() == [1, -1, 0, 0]
