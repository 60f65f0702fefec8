"""Singling out: predicates made from the released table that exactly one original person meets.

Giomi et al. (2023), section 3.1, with the narrowing of Cohen and Nissim, "Towards formalizing the
GDPR's notion of singling out" (2020): a predicate is a set of values per column, those that a
released row's labels cover. Rows that nobody shares are taken first. Where a row stands for m
people, the predicate is narrowed to the single value that about 1/m of the people under a label
have, by public statistics of each column. Such a predicate singles somebody out by chance as well,
in up to 1/e of cases; only what a table adds to that is its risk.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.released import Column, People, Release, distinct_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SEED: Final = 20231011
"""A public constant: an auditor who repeats the attack makes the same choices."""
ATTACKS: Final = 500
BLOCK: Final = 20_000


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
    """Make predicates from the combinations of labels that the fewest people share."""
    places = tuple(columns)
    present = np.flatnonzero(release.people)
    cells, number = distinct_columns(release.rows[list(places)][:, present])
    people = np.bincount(number, release.people[present], cells.shape[1])
    shuffled = np.random.default_rng(SEED).permutation(cells.shape[1])
    chosen = shuffled[np.argsort(people[shuffled], kind="stable")][:attacks]
    allowed = [
        _cover(release.columns[at], labels)
        for at, labels in zip(places, cells[:, chosen], strict=True)
    ]
    _narrow(allowed, [release.columns[at].share for at in places], people[chosen])
    return Predicates(places, tuple(allowed))


def single_out(predicates: Predicates, people: People) -> NDArray[np.float64]:
    """Say of each predicate whether exactly one of the people meets it, 1 or 0."""
    total = np.zeros(predicates.count, dtype=np.int64)
    packed = [np.packbits(allowed, axis=1) for allowed in predicates.allowed]
    nobody = np.zeros((1, packed[0].shape[1]), dtype=np.uint8)
    tables = [np.concatenate([bits, nobody]) for bits in packed]
    for start in range(0, people.count, BLOCK):
        values = people.codes[list(predicates.columns), start : start + BLOCK]
        met = np.bitwise_and.reduce([t[v] for t, v in zip(tables, values, strict=True)])
        flags = np.unpackbits(met, axis=1, count=predicates.count)
        total += flags.sum(axis=0, dtype=np.int64)
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
