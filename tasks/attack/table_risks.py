"""The three risks of a released table, each an attack with its control (WP29 opinion 05/2014).

Giomi et al. (2023), section 3, is the model of all three.

Singling out (3.1): predicates made from the released table that exactly one original person meets.
With the narrowing of Cohen and Nissim, "Towards formalizing the GDPR's notion of singling out"
(2020): a predicate is a set of values per column, those that a released row's labels cover. Rows
that nobody shares are taken first. Where a row stands for m people, the predicate is narrowed to
the single value that about 1/m of the people under a label have, by public statistics of each
column.

Linkability (3.2): each of two parties knows half of the columns of the same people, and no column
in common. Every person of the first list is given the partner from the second who is likeliest by
the released rows that are nearest to both halves. Giomi et al. call a link found where both halves
have the same nearest row; here the lists themselves decide between partners, since on tables with
many equal rows the other rule finds few links even in a copy.

Inference (3.3): a secret value is what most of the rows vote for that are nearest in all other
columns; a row whose label covers several values splits its vote. A number counts as guessed only
when it is the same value: columns of many different numbers should be binned before they leave.

Nearest to a person are the rows whose labels cover the most of the values that an attacker knows: a
recoding is truthful, so a label that does not cover a value is no coarser form of it. Among those a
row weighs by how likely its labels stand for just these values, each label's values being equally
likely.

The control of linking and inference is the same attack on the same people with the table that they
are not in. That table is not made anew, so it is bracketed: their rows are taken out, once with
every class that could not have been released without them (which leaves an attacker too little),
once without (which leaves too much). People are taken out in short lists, so that the table stays
what it is. Linking is as hard as such a list is long.

A predicate singles somebody out by chance as well; only what a table adds to that is its risk. So
the control of singling out are the same predicates on as many people who are not in the table. It
is bracketed by their chance as if columns had nothing to do with each other (on Adult within 0.05
of the truth, to either side) and by 1/e, which is all that any predicate of whatever weight can
reach on people whom nobody has looked at (Cohen and Nissim 2020, section 2).
`benchmarks/table_attacks.py` lays both brackets beside people who were really held out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import e
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.released import ABSENT, Column, People, Release, distinct_columns
from tasks.attack.risk import Rate, Risk
from tasks.people.population import redraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SEED: Final = 20231011
"""A public constant: an auditor who repeats the attack makes the same choices."""
ATTACKS: Final = 500
"""Predicates, or people, that are tried: a 95 % interval of at most 0.05 to either side."""
BLOCK: Final = 4_096
"""How many kinds of people are held against all predicates at once: memory stays bounded."""
CELLS: Final = 20_000_000
"""How many pairs of a person and a released row are looked at together."""
LISTS: Final = (100, 50, 20, 10, 5, 2, 1)
"""How many people a list may hold, the most first; round, for their number is told."""
PART: Final = 20
"""A list is at most one in so many of the people."""


@dataclass(frozen=True)
class Predicates:
    """Predicates over some columns: per column, which values each allows, shape (values, n)."""

    columns: tuple[int, ...]
    allowed: tuple[Flags, ...]

    @property
    def count(self) -> int:
        """How many predicates there are."""
        return int(self.allowed[0].shape[1])


def make_predicates(
    release: Release, columns: Collection[int], attacks: int = ATTACKS
) -> Predicates:
    """Make predicates from the combinations of labels that the fewest people share.

    Of as many people those whose words have the lower draws, so that few change with one person.
    """
    from pandas.util import hash_array

    places = tuple(columns)
    present = np.flatnonzero(release.people)
    cells, number = distinct_columns(release.rows[list(places)][:, present])
    people = np.bincount(number, release.people[present], cells.shape[1])
    drawn = np.zeros(cells.shape[1], dtype=np.uint64)
    for at, labels in zip(places, cells, strict=True):
        drawn = redraw(drawn ^ hash_array(release.columns[at].labels.to_numpy())[labels], SEED)
    chosen = np.lexsort((drawn, people))[:attacks]
    allowed = [
        _cover(release.columns[at], labels)
        for at, labels in zip(places, cells[:, chosen], strict=True)
    ]
    _narrow(allowed, [release.columns[at].share for at in places], people[chosen])
    return Predicates(places, tuple(allowed))


def single_out(predicates: Predicates, people: People) -> NDArray[np.float64]:
    """Say of each predicate whether exactly one of the people meets it, 1 or 0."""
    # People of one kind meet the same predicates.
    kinds, many = People(people.codes[list(predicates.columns)], np.zeros_like(people.own)).gather()
    total = np.zeros(predicates.count)
    # A bit for each predicate, so that all columns are joined by one `and` of bytes; the row of
    # zeros at the end is where a value unknown to the table (-1) falls.
    packed = [np.packbits(allowed, axis=1) for allowed in predicates.allowed]
    nobody = np.zeros((1, packed[0].shape[1]), dtype=np.uint8)
    tables = [np.concatenate([bits, nobody]) for bits in packed]
    for start in range(0, kinds.count, BLOCK):
        values = kinds.codes[:, start : start + BLOCK]
        met = np.bitwise_and.reduce([t[v] for t, v in zip(tables, values, strict=True)])
        flags = np.unpackbits(met, axis=1, count=predicates.count)
        total += many[start : start + BLOCK] @ flags.astype(np.float64)
    return np.asarray(total == 1, dtype=np.float64)


def expect_by_chance(release: Release, predicates: Predicates, people: int) -> NDArray[np.float64]:
    """Give each predicate's chance to single somebody out of as many other people.

    By public statistics of each column alone, as if the columns had nothing to do with each other.
    """
    weight = np.ones(predicates.count)
    for at, allowed in zip(predicates.columns, predicates.allowed, strict=True):
        weight *= release.columns[at].share @ allowed
    return np.asarray(people * weight * (1 - weight) ** max(people - 1, 0))


def guess_predicates(release: Release, predicates: Predicates) -> Predicates:
    """Draw as many predicates of one value per column by public statistics alone."""
    generator = np.random.default_rng(SEED)
    allowed = []
    for at in predicates.columns:
        share = release.columns[at].share
        value = generator.choice(len(share), predicates.count, p=share)
        allowed.append(np.arange(len(share))[:, None] == value)
    return Predicates(predicates.columns, tuple(allowed))


def _cover(column: Column, labels: Codes) -> Flags:
    """Allow the values under one label per predicate."""
    allowed = np.zeros((len(column.known), len(labels)), dtype=bool)
    place, value = column.expand(labels)
    allowed[value, place] = True
    return allowed


def _narrow(allowed: list[Flags], shares: list[NDArray[np.float64]], people: Codes) -> None:
    """Narrow predicates that several people meet, column by column, to about one person each."""
    expected = people.astype(float)
    for _ in allowed:
        # Nearer to two people than to one; the others stay as they are.
        (wide,) = np.nonzero(expected > 1.5)
        if not len(wide):
            return
        gaps, values, parts = [], [], []
        for flags, share in zip(allowed, shares, strict=True):
            chance = flags[:, wide] * share[:, None]
            part = chance / np.maximum(chance.sum(axis=0), 1e-300)
            gap = np.where(
                flags[:, wide], np.abs(np.log(np.maximum(part, 1e-300) * expected[wide])), np.inf
            )
            best = gap.argmin(axis=0)
            picked = np.arange(len(wide))
            gaps.append(gap[best, picked])
            values.append(best)
            parts.append(part[best, picked])
        column = np.argmin(gaps, axis=0)
        for at, flags in enumerate(allowed):
            (mine,) = np.nonzero(column == at)
            flags[:, wide[mine]] = np.arange(len(flags))[:, None] == values[at][mine]
            expected[wide[mine]] *= parts[at][mine]


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of each person: pairs of a person and a row, and the pair's weight."""

    person: Codes
    row: Codes
    weight: NDArray[np.float64]


def find_nearest(release: Release, people: People, columns: Collection[int]) -> Nearest:
    """Find the nearest rows of each person by the values of some columns."""
    chosen, present = list(columns), np.flatnonzero(release.people)
    cells, number = distinct_columns(release.rows[chosen][:, present])
    known, person = distinct_columns(people.codes[chosen])
    if not cells.shape[1] or not known.shape[1]:
        nothing = np.zeros(0, dtype=np.int64)
        return Nearest(nothing, nothing, np.zeros(0))
    asked = [release.columns[at] for at in chosen]
    step = max(1, CELLS // cells.shape[1])
    starts = range(0, known.shape[1], step)
    found = [_search(asked, known[:, start : start + step], cells) for start in starts]
    who = np.concatenate([part[0] + start for start, part in zip(starts, found, strict=True)])
    cell, likely = (np.concatenate([part[n] for part in found]) for n in (1, 2))
    pair, row = _spread(cell, number)
    pair_of, one = _spread(who[pair], person)
    kept = pair[pair_of]
    rows = present[row[pair_of]]
    return Nearest(one, rows, likely[kept] * release.people[rows])


def _spread(group: Codes, number: Codes) -> tuple[Codes, Codes]:
    """Give every member of each group: the group's place in the list, and the member."""
    order = np.argsort(number, kind="stable")
    size = np.bincount(number, minlength=int(group.max(initial=-1)) + 1)
    start = np.cumsum(size) - size
    length = size[group]
    place = np.repeat(np.arange(len(group)), length)
    first = np.repeat(start[group] - np.cumsum(length) + length, length)
    return place, order[first + np.arange(len(place))]


def _search(
    columns: Sequence[Column], known: Codes, cells: Codes
) -> tuple[Codes, Codes, NDArray[np.float64]]:
    """Compare some combinations of values with every combination of labels at once.

    The score is a constant per column that fits, less the logarithms of the labels' widths, which
    never add up to the constant: the number of columns that fit decides first.
    """
    bonus = 1.0 + sum(float(np.log(np.maximum(column.width, 1)).max()) for column in columns)
    score = np.zeros((known.shape[1], cells.shape[1]), dtype=np.float32)
    for column, values, labels in zip(columns, known, cells, strict=True):
        score += _gains(column, values, bonus).take(labels, axis=1)
    fits = np.ceil(score.max(axis=1) / np.float32(bonus))
    who, cell = np.nonzero(score > ((fits - 1) * np.float32(bonus))[:, None])
    return who, cell, np.exp(score[who, cell].astype(np.float64) - fits[who] * bonus)


def _gains(column: Column, values: Codes, bonus: float) -> NDArray[np.float32]:
    """What each label adds to the score of each person, shape (people, labels)."""
    asked, person = np.unique(values, return_inverse=True)
    place = np.full(len(column.known) + 1, ABSENT)
    place[asked] = np.arange(len(asked))
    place[-1] = ABSENT
    label = np.repeat(np.arange(len(column.labels)), column.width)
    hit = place[column.member] != ABSENT
    gain = np.zeros((len(asked), len(column.labels)), dtype=np.float32)
    gain[place[column.member[hit]], label[hit]] = bonus - np.log(column.width[label[hit]])
    return gain[person.ravel()]


def halve_columns(release: Release) -> tuple[list[int], list[int]]:
    """Deal the columns out to two parties, those with many values first, alternately."""
    order = sorted(
        range(len(release.columns)),
        key=lambda at: (-len(release.columns[at].known), release.columns[at].name),
    )
    return order[::2], order[1::2]


def link_people(release: Release, people: People) -> NDArray[np.float64]:
    """Try to link each person's two halves among these people.

    Gives 1 for the right partner found, 1/n where it is one of n equally likely ones, else 0.
    """
    first, second = halve_columns(release)
    one, two = find_nearest(release, people, first), find_nearest(release, people, second)
    size = people.count
    weight = _joint(release, one, two, size) / np.maximum(_total(two, size), 1e-300)
    best = weight.max(axis=1, initial=0.0)
    # Products of the same numbers in another order may differ in the last digits.
    ties = weight >= best[:, None] * (1 - 1e-9)
    found = ties[np.arange(size), np.arange(size)] & (best > 0)
    return np.asarray(found / np.maximum(ties.sum(axis=1), 1))


def _joint(release: Release, one: Nearest, two: Nearest, size: int) -> NDArray[np.float64]:
    """How likely a row nearest to one person's first half has another's second half."""
    shared = np.intersect1d(one.row, two.row)
    left, right = (_dense(half, shared, size) for half in (one, two))
    return left @ (right / np.maximum(release.people[shared], 1)).T


def _dense(half: Nearest, rows: Collection[int], size: int) -> NDArray[np.float64]:
    """Lay the weights of some rows out, shape (people, rows)."""
    chosen = np.asarray(rows)
    place = np.searchsorted(chosen, half.row)
    place = np.minimum(place, max(len(chosen) - 1, 0))
    hit = chosen[place] == half.row if len(chosen) else np.zeros(len(half.row), dtype=bool)
    table = np.zeros((size, len(chosen)))
    table[half.person[hit], place[hit]] = half.weight[hit]
    return table


def _total(half: Nearest, size: int) -> NDArray[np.float64]:
    """How likely each person's half is, over all rows."""
    return np.bincount(half.person, half.weight, size).astype(np.float64)


def infer_secret(release: Release, people: People, secret: str) -> NDArray[np.float64]:
    """Guess one column of each person; 1 for right, 1/n where n values are as likely, else 0."""
    (at,) = release.place([secret])
    others = [place for place in range(len(release.columns)) if place != at]
    near, size = find_nearest(release, people, others), people.count
    column = release.columns[at]
    label = release.rows[at, near.row]
    place, value = column.expand(label)
    votes = (near.weight / column.width[label])[place]
    width = len(column.known)
    total = np.bincount(near.person[place] * width + value, votes, size * width)
    return _guess(total.astype(np.float64).reshape(size, width), people.codes[at])


def guess_commonest(release: Release, people: People, secret: str) -> NDArray[np.float64]:
    """Guess the table's commonest value for everybody, as one can who looks at no row."""
    (at,) = release.place([secret])
    column = release.columns[at]
    place, value = column.expand(release.rows[at])
    votes = (release.people / column.width[release.rows[at]])[place]
    total = np.bincount(value, votes, len(column.known))
    return _guess(np.tile(total, (people.count, 1)), people.codes[at])


def _guess(votes: NDArray[np.float64], true: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compare the likeliest values with the true ones; a value unknown to the table is missed."""
    best = votes.max(axis=1)
    # As in linking: sums of the same numbers in another order.
    ties = votes >= best[:, None] * (1 - 1e-9)
    found = ties[np.arange(len(true)), true] & (best > 0) & (true >= 0)
    return np.asarray(found / np.maximum(ties.sum(axis=1), 1))


Attack = Callable[[Release, People], "NDArray[np.float64]"]


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
    # At k = 1 no class is too small to be released without them: both brackets are one.
    tables = [release] if release.k == 1 else [release, replace(release, k=1)]
    controls = [[attack(table.without(one), one) for one in lists] for table in tables]
    return _rate(main), tuple(_rate(control) for control in controls)


def _rate(successes: Sequence[NDArray[np.float64]]) -> Rate:
    return Rate.of(np.concatenate([np.zeros(0), *successes]))


def draw_lists(people: People, attacks: int = ATTACKS) -> Iterator[People]:
    """Draw people who are in the table, each once, in lists of equal length.

    By their own draws and not by their order, which changes nothing; one more or fewer moves each
    list by one.
    """
    there = np.flatnonzero(people.own != ABSENT)
    draws = np.arange(people.count, dtype=np.uint64) if people.draws is None else people.draws
    chosen = there[np.argsort(redraw(draws[there], SEED), kind="stable")[:attacks]]
    most = max(1, min(len(there) // PART, len(chosen)))
    length = next(number for number in LISTS if number <= most)
    for start in range(0, len(chosen) - length + 1, length):
        yield people.take(chosen[start : start + length])
