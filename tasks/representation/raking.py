"""Weights that make people's shares meet published margins: raking, with a largest weight.

Of all weights that meet the margins and the bound, those are found that are closest to 1 in
relative entropy, by fitting one margin after the other (iterative proportional fitting: Deming &
Stephan 1940; that it ends there: Csiszár 1975; as calibration, also within bounds: Deville &
Särndal 1992; Deville, Särndal & Sautory 1993). Without a bound that is raking as survey programs
do it. With one, a weight that would be larger is the bound and the others make up for it, round by
round, so that margins and bound hold together; weights that are trimmed afterwards miss their
margins. Newton steps on the dual come in between, as fitting by turns is slow near the limit of
what any weights give (Deville & Särndal 1992 solve the same equations so).

A weight depends on a person's labels and on everybody else's, so no claim of differential privacy
stands on what follows. It is not known here whether the labels explain who is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from expectations.errors import Refusal
from expectations.policy.vocabulary import MISSING

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Numbers = NDArray[np.float64]
    Codes = NDArray[np.int64]

WEIGHT: Final = "_weight"
ROUNDS: Final = 200
CLOSE: Final = 1e-10
"""The largest difference of a share at which the fitting ends before that."""
NEARLY: Final = 1e-6
"""The largest difference of a share with which a margin counts as met."""
FARTHEST: Final = 5.0
"""The most that one step moves a weight's logarithm: farther, the system says nothing of it."""
LENGTHS: Final = (1.0, 0.3, 0.1, 0.01)
"""Parts of a Newton step that are tried, the whole first."""
HUGE: Final = 1e100
"""More than any weight: a factor grows no further, and sinks no further than 1 / HUGE."""


class Missed(NamedTuple):
    """A label whose share no weights within the bound give."""

    column: str
    label: str


@dataclass(frozen=True, slots=True)
class Raked:
    """A weight for each person, 1 on average, and the labels whose margins are missed if any."""

    weights: Numbers
    missed: tuple[Missed, ...]


class Cells(NamedTuple):
    """The distinct combinations of labels: how many people each has, and each person's place."""

    people: Numbers
    place: Codes
    codes: tuple[Codes, ...]
    """For each column the label of each combination, by number."""


def rake(
    frame: pd.DataFrame, margins: Mapping[str, Mapping[str, float]], largest: float = inf
) -> Raked:
    """Weight the people of a frame to the shares of its columns' labels; rows keep their order.

    `margins` gives each column the share of every label; they are taken to add up to 1. A missing
    value is the label `missing` where that has a share. Elsewhere people without a value keep
    their share as it is, and the shares are those of the others. Where a margin can't be met at
    all, `missed` says which, and the weights are 1. Raises `Refusal` for a label that a margin
    lacks, or without people.
    """
    if not len(frame):
        raise Refusal("raking", "there is nobody to weight; widen the population")
    bound = min(largest, HUGE)
    labels = {column: [*shares, MISSING] for column, shares in margins.items()}
    cells = fold([encode(frame[column], labels[column]) for column in margins])
    targets = [
        aim(shares, codes, cells.people)
        for shares, codes in zip(margins.values(), cells.codes, strict=True)
    ]
    impossible = tuple(find_impossible(labels, cells, targets, bound))
    if impossible:
        return Raked(np.ones(len(frame)), impossible)
    weights = fit(cells, targets, bound)
    return Raked(weights[cells.place], tuple(find_missed(labels, cells, targets, weights)))


def encode(values: pd.Series, labels: Sequence[str]) -> Codes:
    """Give the number of each value's label; a missing value's is that of `missing`."""
    import pandas as pd

    numbers, distinct = pd.factorize(values, use_na_sentinel=True)
    place = {label: labels.index(label) for label in labels}
    found = [place.get(str(value), -1) for value in distinct]
    # The sentinel -1 of a missing value picks the last entry.
    codes = np.array([*found, place[MISSING]], dtype=np.int64)[numbers]
    if (codes < 0).any():
        raise Refusal(
            "raking",
            f"{found.count(-1)} of the labels of '{values.name}' have no share in the reference; "
            "give each a share, 0 where nobody has it",
        )
    return codes


def fold(columns: Sequence[Codes]) -> Cells:
    """Find the combinations that occur, by one hash of each column."""
    import pandas as pd

    place = np.zeros(len(columns[0]), dtype=np.int64)
    for codes in columns:
        place, distinct = pd.factorize(place * (int(codes.max()) + 1) + codes)
    first = np.empty(len(distinct), dtype=np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    people = np.bincount(place).astype(float)
    return Cells(people, place, tuple(codes[first] for codes in columns))


def aim(shares: Mapping[str, float], codes: Codes, people: Numbers) -> Numbers:
    """Give the number of people, weighted, that each label of a column is to have."""
    wanted = np.array([*shares.values()])
    if MISSING in shares:
        return np.append(wanted / wanted.sum() * people.sum(), 0.0)
    unknown = people[codes == len(wanted)].sum()
    return np.append(wanted / wanted.sum() * (people.sum() - unknown), unknown)


def fit(cells: Cells, targets: Sequence[Numbers], bound: float) -> Numbers:
    """Fit one margin after the other until all are met, and give each combination's weight.

    Where weights must come near 0 or the bound, that alone takes thousands of rounds. So each round
    also tries a Newton step on all margins at once, and keeps it where it comes nearer.
    """
    having, near = mark_labels(cells, targets), CLOSE * cells.people.sum()
    free = np.ones(len(cells.people))
    for number in range(ROUNDS):
        if number:
            free = take_newton_step(having, cells, targets, free, bound)
        for codes, target in zip(cells.codes, targets, strict=True):
            free = free * scale(free, codes, cells.people, target, bound)[codes]
            free = np.clip(free, 1 / HUGE, HUGE)
        if np.abs(find_gaps(cells, targets, np.minimum(free, bound))).max() <= near:
            break
    return np.minimum(free, bound)


def mark_labels(cells: Cells, targets: Sequence[Numbers]) -> csr_array:
    """Mark which combinations have a label, of shape (all columns' labels, combinations)."""
    from scipy.sparse import csr_array, vstack

    place, one = np.arange(len(cells.people)), np.ones(len(cells.people))
    columns = zip(cells.codes, targets, strict=True)
    return csr_array(
        vstack([csr_array((one, (codes, place)), (len(t), len(place))) for codes, t in columns])
    )


def find_gaps(cells: Cells, targets: Sequence[Numbers], weights: Numbers) -> Numbers:
    """Give how many weighted people each label lacks, column after column."""
    return np.concatenate([target - total for total, target in add_up(cells, targets, weights)])


def take_newton_step(
    having: csr_array, cells: Cells, targets: Sequence[Numbers], free: Numbers, bound: float
) -> Numbers:
    """Go as far along Newton's step on the dual of the relative entropy as brings margins nearer.

    A weight at the bound does not move. Every column's people add up alike, which leaves the system
    singular: its least solution is taken.
    """
    gap = find_gaps(cells, targets, np.minimum(free, bound))
    moving = np.where(free < bound, cells.people * free, 0.0)
    system = ((having * moving) @ having.T).toarray()
    step: Numbers = having.T @ np.linalg.lstsq(system, gap)[0]
    step = step * min(1.0, FARTHEST / max(np.abs(step).max(), 1e-300))
    for length in LENGTHS:
        ahead = np.clip(free * np.exp(length * step), 1 / HUGE, HUGE)
        left = find_gaps(cells, targets, np.minimum(ahead, bound))
        if np.linalg.norm(left) < np.linalg.norm(gap):
            return ahead
    return free


def scale(free: Numbers, codes: Codes, people: Numbers, target: Numbers, bound: float) -> Numbers:
    """Give the factor of each label with which its people, bounded, come to their target.

    Who is at the bound under too small a factor is so under the right one: the set only grows.
    """
    kinds = len(target)
    bounded = np.zeros(len(free), dtype=bool)
    while True:
        held = np.bincount(codes[bounded], people[bounded], kinds) * bound
        loose = np.bincount(codes[~bounded], (free * people)[~bounded], kinds)
        rest = np.maximum(target - held, 0)
        factor: Numbers = np.divide(rest, loose, out=np.full(kinds, HUGE), where=loose > 0)
        beyond = ~bounded & (free * factor[codes] > bound)
        if not beyond.any():
            return factor
        bounded |= beyond


def add_up(
    cells: Cells, targets: Sequence[Numbers], weights: Numbers
) -> Iterator[tuple[Numbers, Numbers]]:
    """Give for each column the weighted people of its labels, and how many they are to be."""
    for codes, target in zip(cells.codes, targets, strict=True):
        yield np.bincount(codes, cells.people * weights, len(target)).astype(float), target


def find_impossible(
    labels: Mapping[str, Sequence[str]], cells: Cells, targets: Sequence[Numbers], bound: float
) -> Iterator[Missed]:
    """Name the labels that even the largest weight on all their people does not bring there.

    And those with people to whom the reference gives no share at all.
    """
    sums = add_up(cells, targets, np.ones(len(cells.people)))
    for (column, names), (people, target) in zip(labels.items(), sums, strict=True):
        short = target > people * bound * (1 + NEARLY)
        foreign = (target == 0) & (people > 0)
        yield from (
            Missed(column, names[place]) for place in np.flatnonzero(short | foreign).tolist()
        )


def find_missed(
    labels: Mapping[str, Sequence[str]], cells: Cells, targets: Sequence[Numbers], weights: Numbers
) -> Iterator[Missed]:
    """Name the labels that the weights found do not bring to their share."""
    limit = NEARLY * cells.people.sum()
    sums = add_up(cells, targets, weights)
    for (column, names), (total, target) in zip(labels.items(), sums, strict=True):
        far = np.flatnonzero(np.abs(total - target) > limit).tolist()
        yield from (Missed(column, names[place]) for place in far)


def effective_share(weights: Numbers) -> float:
    """Give the effective sample size as a share of the people: 1 / (1 + cv²) (Kish 1965, 11.7)."""
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))
