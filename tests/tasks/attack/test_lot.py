"""People are drawn by lot alike however they stand, and others in each run."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.airlock.run import Desk
from tasks.attack.lot import draw_lot

RECORDS = np.random.default_rng(3).integers(0, 2**64, 5000, dtype=np.uint64)


def desk(run: str) -> Desk:
    """Give what a lot asks of a desk: a key of its label, and the run."""
    keys = SimpleNamespace(
        key=lambda label: hashlib.sha256(label.encode()).digest(), run=SimpleNamespace(id=run)
    )
    return cast("Desk", keys)


@given(st.permutations(range(40)), st.integers(0, 50))
def test_the_same_people_are_drawn_in_any_order(order: list[int], most: int) -> None:
    """By their numbers and not by their places, which are given in order."""
    records = RECORDS[:40]
    places = draw_lot(desk("one"), records[order], most)
    assert (np.diff(places) > 0).all()
    drawn = records[order][places]
    assert {*drawn} == {*records[draw_lot(desk("one"), records, most)]}
    assert len(drawn) == min(most, 40)


def test_another_run_draws_others_and_everybody_as_often() -> None:
    """Whoever was drawn before is in the next lot by chance alone."""
    first, second = (draw_lot(desk(run), RECORDS, 1000) for run in ("one", "two"))
    assert 150 < len(np.intersect1d(first, second)) < 250
    times = sum(
        np.bincount(draw_lot(desk(f"{run}"), RECORDS, 1000), minlength=5000) for run in range(100)
    )
    assert times.min() > 3
    assert times.max() < 45


def test_a_smaller_lot_is_part_of_a_larger_one() -> None:
    """So a group's own lot adds few to the lot of everybody."""
    small, large = (draw_lot(desk("one"), RECORDS, most) for most in (100, 1000))
    assert np.isin(small, large).all()
