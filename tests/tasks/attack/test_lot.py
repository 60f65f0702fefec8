"""People are drawn by lot alike however they stand, in each run of a policy."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.outcome import Classes
from ledgers.vault.stages import Trainable
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened
from tasks.attack import model as room
from tasks.attack.lot import draw_lot
from tasks.attack.model import Drawn, draw_people
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST

RECORDS = np.random.default_rng(3).integers(0, 2**64, 5000, dtype=np.uint64)


def desk(policy: str) -> Desk:
    """Give what a lot asks of a desk: a key of its label, and the policy."""
    keys = SimpleNamespace(
        key=lambda label: hashlib.sha256(label.encode()).digest(),
        policy=SimpleNamespace(name=policy, target="sick", outcome=Classes(("no", "yes"))),
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


def test_another_policy_draws_others_and_everybody_as_often() -> None:
    """Whoever was drawn for one is in another's lot by chance alone."""
    first, second = (draw_lot(desk(policy), RECORDS, 1000) for policy in ("one", "two"))
    assert 150 < len(np.intersect1d(first, second)) < 250
    times = sum(
        np.bincount(draw_lot(desk(f"{one}"), RECORDS, 1000), minlength=5000) for one in range(100)
    )
    assert times.min() > 3
    assert times.max() < 45


def test_one_who_leaves_makes_room_for_one_other() -> None:
    """All others who were drawn are drawn again."""
    drawn = RECORDS[draw_lot(desk("one"), RECORDS, 1000)]
    left = RECORDS[drawn[0] != RECORDS]
    assert len(np.setdiff1d(left[draw_lot(desk("one"), left, 1000)], drawn)) == 1


def test_a_smaller_lot_is_part_of_a_larger_one() -> None:
    """So a group's own lot adds few to the lot of everybody."""
    small, large = (draw_lot(desk("one"), RECORDS, most) for most in (100, 1000))
    assert np.isin(small, large).all()


PEOPLE = pd.DataFrame({
    RECORD: RECORDS,
    TEST: np.arange(5000) % 4 == 0,
    "sick": np.array(["yes", "no", None])[np.arange(5000) % 5 // 2],
    "ward": np.where(np.arange(5000) % 250 < 4, "rare", "common"),
})  # fmt: skip


def draw_from(people: pd.DataFrame, smallest: int = 5) -> Drawn:
    """Draw who is attacked of some people with an audit column."""
    data = SimpleNamespace(frame=lambda columns: people[columns])
    return draw_people(desk("one"), cast("Opened[Trainable]", data), ["ward"], smallest)


def test_of_few_people_all_are_attacked() -> None:
    """But for those whose target is unknown."""
    drawn = draw_from(PEOPLE)
    assert drawn.everybody.all()
    assert drawn.places.tolist() == np.flatnonzero(PEOPLE["sick"].notna()).tolist()


def test_a_lot_of_everybody_and_one_of_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of either side; nobody of a small group is left out as long as it may be attacked at all."""
    monkeypatch.setattr(room, "MOST", 100)
    drawn = draw_from(PEOPLE, smallest=20)
    rows = PEOPLE.iloc[drawn.places]
    common = rows[drawn.everybody]
    assert common[TEST].value_counts().tolist() == [100, 100]
    assert rows["sick"].notna().all()
    sizes = rows.groupby(["ward", TEST]).size()
    known = PEOPLE[PEOPLE["sick"].notna()].groupby(["ward", TEST]).size()
    assert (sizes >= np.minimum(known, 20)).all()
    # Of each group half of a lot, for there are two: of the rare ones all.
    assert sizes["rare", True] == known["rare", True] < 50
    assert len(rows) < 350
