"""Classes split from the coarsest one down, and traded: each like the table, nobody left over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)
from tasks.anonymization import balance as searched
from tasks.anonymization.balance import Region, Splitter, Trade, Trader, balance
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Classes, Tuples

LEFT = -1
GROUPS = (
    np.array([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]]),
    np.array([[0, 1, 2], [0, 0, 0]]),
    np.array([[0, 1, 2, 3], [0, 1, 1, 1], [0, 0, 0, 0]]),
)
PINNED = np.array([[0, 1]])
TUPLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)),
    min_size=1,
    max_size=14,
    unique=True,
)
SICK = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)
MODELS = st.one_of(
    st.builds(TCloseness, t=st.sampled_from([0.1, 0.3, 0.5])),
    st.builds(TCloseness, t=st.just(0.2), distance=st.just("ordered")),
    st.builds(BetaLikeness, beta=st.sampled_from([0.5, 1.5])),
    st.builds(DeltaDisclosure, delta=st.sampled_from([0.7, 2.0])),
    st.builds(EntropyLDiversity, l=st.just(1.8)),
    st.builds(RecursiveLDiversity, c=st.just(2.0), l=st.just(2)),
    st.builds(AlphaK, alpha=st.just(0.6)),
    st.builds(DistinctLDiversity, l=st.just(2)),
)


def make(
    tuples: Sequence[tuple[int, ...]], ill: list[list[str]], k: int, models: list[PrivacyModel]
) -> tuple[Tuples, Requirement]:
    """Give tuples with people of these illnesses, one list per tuple."""
    number = np.repeat(np.arange(len(tuples)), [len(own) for own in ill])
    histogram = pd.DataFrame({"ill": [one for own in ill for one in own], "_people": 1})
    required = Requirement.from_histogram(histogram, number, k, {"ill": models})
    codes = np.array(tuples, dtype=np.int64).T
    groups = (*GROUPS, PINNED)[: len(codes)]
    return Tuples(codes, np.array([len(own) for own in ill]), groups), required


def fits(tuples: Tuples, one: int, other: int, vector: tuple[int, ...]) -> bool:
    """Say whether two tuples have the same labels at a vector."""
    return all(
        groups[level][codes[one]] == groups[level][codes[other]]
        for codes, groups, level in zip(tuples.codes, tuples.groups, vector, strict=True)
    )


def first_fit(tuples: Tuples, classes: Classes) -> list[int]:
    """Give each tuple the first class whose labels it has, one by one."""
    of = classes.of.tolist()
    return [
        next(
            (
                number
                for number, vector in enumerate(classes.vectors)
                if fits(tuples, one, of.index(number), vector)
            ),
            LEFT,
        )
        for one in range(len(of))
    ]


@given(
    tuples=TUPLES,
    data=st.data(),
    k=st.integers(1, 4),
    models=st.lists(MODELS, min_size=1, max_size=2),
)
def test_classes_meet_what_is_asked_in_the_order_of_the_first_fit(
    tuples: list[tuple[int, ...]], data: st.DataObject, k: int, models: list[PrivacyModel]
) -> None:
    """Nobody is left over whose pinned values could be released, and no class is empty."""
    ill = data.draw(st.lists(SICK, min_size=len(tuples), max_size=len(tuples)))
    table, required = make(tuples, ill, k, models)

    classes = balance(table, required)

    assert sorted(set(classes.of.tolist()) - {LEFT}) == list(range(len(classes.vectors)))
    assert first_fit(table, classes) == classes.of.tolist()
    (kept,) = np.nonzero(classes.of != LEFT)
    assert required.met(kept, classes.of[kept], len(classes.vectors)).all()
    for pinned in (0, 1):
        (here,) = np.nonzero(table.codes[3] == pinned)
        if len(here):
            possible = required.met(here, np.zeros_like(here), 1)[0]
            assert (classes.of[here] != LEFT).tolist() == [possible] * len(here)


LIKE = [TCloseness(t=0.25)]
TOWNS = [(town, 0) for town in range(4)]


def test_towns_that_are_like_the_table_are_told_apart() -> None:
    """Each by itself when each is alike; and all of the detail is kept."""
    table, required = make(TOWNS, [["a", "b"]] * 4, 2, [*LIKE])

    assert sorted(balance(table, required).of.tolist()) == [0, 1, 2, 3]


def test_the_smallest_that_leans_the_other_way_helps_one_that_leans_too_far() -> None:
    """The first is too unlike the table; of two that could bring it back, fewer people must."""
    ill = [["a"] * 3 + ["b"], ["a"] * 2 + ["b"] * 3, ["a"] * 4 + ["b"] * 5]
    table, required = make([(0, 0), (0, 1), (0, 2)], ill, 2, [TCloseness(t=0.15)])

    classes = balance(table, required)

    assert classes.of.tolist() == [1, 1, 0]
    assert [vector[1] for vector in classes.vectors] == [0, 1]


@pytest.mark.parametrize(("t", "classes"), [(0.5, 4), (0.3, 2)])
def test_no_more_is_told_apart_than_may_be(t: float, classes: int) -> None:
    """Either of two columns may be told without the other, both only where t is wide."""
    ill = [["a"] * 2, ["b"] * 2, ["b"] * 2, ["a"] * 2]
    table, required = make([(0, 0), (0, 1), (2, 0), (2, 1)], ill, 2, [TCloseness(t=t)])

    assert len(balance(table, required).vectors) == classes


def test_a_table_that_cannot_meet_a_model_is_left_over() -> None:
    """Everybody has one illness."""
    table, required = make(TOWNS, [["a"]] * 4, 2, [DistinctLDiversity(l=2)])
    assert balance(table, required).vectors == []
    assert set(balance(table, required).of.tolist()) == {LEFT}


def test_classes_are_valid_however_few_splits_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without splits by two columns at once, one column after the other is told."""
    monkeypatch.setattr(searched, "MOST_SPLITS", 0)
    table, required = make([(0, 0), (0, 1), (2, 0), (2, 1)], [["a", "b"]] * 4, 2, [*LIKE])

    assert len(balance(table, required).vectors) == 4


def lose(tuples: Tuples, required: Requirement, trades: int) -> float:
    """Sum what all people lose, after at most so many trades."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searched, "MOST_TRADES", trades)
        return float(tuples.lose(balance(tuples, required)) @ tuples.people)


FLATS = [(0, 1), (1, 0), (1, 2), (2, 2), (3, 1)]
FEW_ILL = [["b"] * 2, ["a"] + ["b"] * 4, ["b"] * 2, ["a"] * 2 + ["b"] * 2, ["b"] * 2]
"""Of 15, a fifth has a; the fourth flat leans too far toward it to go alone at t = 0.2."""


def test_classes_are_given_up_where_another_can_then_be_split() -> None:
    """The fourth flat is helped by the third, which shares a label with it, not by the first."""
    table, required = make(FLATS, FEW_ILL, 2, [TCloseness(t=0.2)])

    classes = balance(table, required)

    assert classes.of[3] == classes.of[2] != classes.of[0]
    assert (lose(table, required, 0), lose(table, required, 1)) == pytest.approx((6, 3))
    assert first_fit(table, classes) == classes.of.tolist()


@given(tuples=TUPLES, data=st.data(), model=MODELS)
def test_no_trade_loses(
    tuples: list[tuple[int, ...]], data: st.DataObject, model: PrivacyModel
) -> None:
    """What is kept after each trade is more than before."""
    ill = data.draw(st.lists(SICK, min_size=len(tuples), max_size=len(tuples)))
    table, required = make(tuples, ill, 2, [model])

    losses = [lose(table, required, trades) for trades in range(4)]

    assert losses == sorted(losses, reverse=True)


def make_trader(tuples: Sequence[tuple[int, ...]], ill: list[list[str]]) -> Trader:
    """Give what trades classes of these tuples under t-closeness."""
    table, required = make(tuples, ill, 2, [TCloseness(t=0.2)])
    return Trader(Splitter(table, required, table.levels(), table.parts(), table.costs))


def test_parts_stand_in_the_place_of_the_class_that_they_are_of() -> None:
    """Neither what came before it nor what came after may take their people."""
    given, before, taker, after, one, two = [Region(np.array([at]), (0,)) for at in range(6)]

    trade = Trade(frozenset([given]), taker, [one, two], 1.0)

    assert trade.apply([given, before, taker, after]) == [before, one, two, after]


def test_a_class_falls_to_the_next_that_takes_all_of_it() -> None:
    """The first and second would go to the last, which has none after it to go to."""
    trader = make_trader(TOWNS, [["a", "b"]] * 4)
    regions = [Region(np.array(of), (level, 0)) for of, level in [([0, 1], 1), ([2], 0), ([3], 2)]]

    assert trader.fall(regions).tolist() == [2, 2, LEFT]


def test_a_class_whose_people_would_part_falls_to_none() -> None:
    """Two flats of one label, in towns that are in different classes otherwise."""
    trader = make_trader([(0, 0), (2, 0), (1, 1), (3, 1)], [["a", "b"]] * 4)
    regions = [Region(np.array([0, 1]), (2, 0))]
    regions += [Region(np.array([at]), (1, 1)) for at in (2, 3)]

    assert trader.fall(regions).tolist() == [LEFT, LEFT, LEFT]


def test_counterweights_are_sorted_by_what_they_lose_for_what_they_bring() -> None:
    """Who has more of what a class has too much of is no help; few people lose less than many."""
    ill = [["a"] * 3 + ["b"], ["b"] * 2, ["a"] * 4, ["a"] * 3 + ["b"] * 9]
    trader = make_trader(TOWNS, ill)
    taker, *givers = [Region(np.array([town]), (0 if town else 2, 0)) for town in range(len(TOWNS))]

    assert trader.counterweights(taker, givers) == [givers[0], givers[2]]
