"""The three attacks on a released table, each with its control, as risks.

The control of linking and inference is the same attack on the same people with the table that they
are not in. That table is not made anew, so it is bracketed: their rows are taken out, once with
every class that could not have been released without them (which leaves an attacker too little),
once without (which leaves too much). People are taken out in short lists, so that the table stays
what it is. Linking is as hard as such a list is long.

The control of singling out are the same predicates on as many people who are not in the table. It
is bracketed by their chance as if columns had nothing to do with each other (on Adult within 0.05
of the truth, to either side) and by 1/e, which is all that any predicate of whatever weight can
reach on people whom nobody has looked at (Cohen and Nissim 2020, section 2).
`benchmarks/table_attacks.py` lays both brackets beside people who were really held out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import e
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.inference import guess_commonest, infer_secret
from tasks.attack.linkability import link_people
from tasks.attack.released import ABSENT, People, Release
from tasks.attack.risk import Rate, Risk
from tasks.attack.singling_out import (
    ATTACKS,
    SEED,
    expect_by_chance,
    guess_predicates,
    make_predicates,
    single_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Attack = Callable[[Release, People], "NDArray[np.float64]"]

LISTS: Final = (100, 50, 20, 10, 5, 2, 1)
"""How many people a list may hold, the most first; round, for their number is told."""
PART: Final = 20
"""A list is at most one in so many of the people."""


def risk_of_singling_out(
    release: Release, people: People, attacks: int = ATTACKS, *, columns: Sequence[int]
) -> Risk:
    """Attack by predicates over some columns."""
    predicates = make_predicates(release, columns, attacks)
    by_chance = expect_by_chance(release, predicates, people.count)
    blind = single_out(guess_predicates(release, predicates), people)
    controls = (Rate.of(by_chance), Rate(len(by_chance) / e, len(by_chance)))
    return Risk(Rate.of(single_out(predicates, people)), controls, Rate.of(blind))


def risk_of_linking(release: Release, people: People, attacks: int = ATTACKS) -> Risk:
    """Attack by two lists of the same people with half of the columns each."""
    lists = list(draw_lists(people, attacks))
    main, controls = attack_lists(link_people, release, lists)
    blind = [np.full(one.count, 1 / one.count) for one in lists]
    return Risk(main, controls, _rate(blind))


def risk_of_inference(
    release: Release, people: People, attacks: int = ATTACKS, *, secret: str
) -> Risk:
    """Attack by guessing one column from all others."""
    lists = list(draw_lists(people, attacks))
    main, controls = attack_lists(
        lambda table, some: infer_secret(table, some, secret), release, lists
    )
    blind = _rate([guess_commonest(release, one, secret) for one in lists])
    # Who is left with too little of a table does better by the commonest value.
    out_of_it = tuple(max(one, blind, key=lambda rate: rate.hits) for one in controls)
    return Risk(main, out_of_it, blind)


def attack_lists(
    attack: Attack, release: Release, lists: Sequence[People]
) -> tuple[Rate, tuple[Rate, ...]]:
    """Attack each list of people with the table, and with the tables that they are not in."""
    main = [attack(release, one) for one in lists]
    tables = [release] if release.k == 1 else [release, replace(release, k=1)]
    controls = [[attack(table.without(one), one) for one in lists] for table in tables]
    return _rate(main), tuple(_rate(control) for control in controls)


def _rate(successes: Sequence[NDArray[np.float64]]) -> Rate:
    return Rate.of(np.concatenate([np.zeros(0), *successes]))


def draw_lists(people: People, attacks: int = ATTACKS) -> Iterator[People]:
    """Draw people who are in the table, each once, in lists of equal length.

    By their values and not by their order, which changes nothing.
    """
    by_value = np.lexsort([people.own, *people.codes])
    there = by_value[people.own[by_value] != ABSENT]
    chosen = np.random.default_rng(SEED).permutation(there)[:attacks]
    most = max(1, min(len(there) // PART, len(chosen)))
    length = next(number for number in LISTS if number <= most)
    for start in range(0, len(chosen) - length + 1, length):
        yield people.take(chosen[start : start + length])
