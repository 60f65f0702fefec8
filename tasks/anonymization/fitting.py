"""Fitting a plan: from a weighted histogram to classes that meet what is asked.

A histogram of distinct tuples is what any engine produces with one group-by; the plan is applied to
any partition. Here is decided which search finds the classes of a table (`lattice`, `clusters` or
`balance`), what becomes of people whom it left over, and what the plan names. Nothing here checks
the result: that is `expectations.measures.measures`. Called by `tasks.anonymization.recoding` and
by whoever has a histogram in place of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

from expectations.disclosure import bound_share
from expectations.errors import Refusal, UsageError
from expectations.policy.privacy_models import PrivacyModel
from tasks.anonymization.balance import balance
from tasks.anonymization.clusters import Effort, cluster
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.lattice import cover, exchange
from tasks.anonymization.loss import PEOPLE
from tasks.anonymization.plan import Labels, Plan, check_columns, encode, find_distinct, sort_labels
from tasks.anonymization.requirement import Requirement, settle
from tasks.anonymization.sets import refine_sets
from tasks.anonymization.tuples import (
    LEFT,
    Classes,
    Codes,
    Tuples,
    combine,
    common_vector,
    find_corners,
)

LISTABLE = 200_000
"""The most vectors of levels that are listed; of more, columns are not combined exhaustively."""


def search(
    tuples: Tuples,
    requirement: Requirement,
    max_suppressed: float,
    *,
    refine: bool = True,
    effort: Effort | None = None,
) -> Classes:
    """Find classes that meet the requirement, with little loss.

    Those who are left over are a share of at most `max_suppressed`, or whom no class could take
    in. `refine` exchanges people between classes, which pays for labels and not for sets. `effort`
    bounds a search by steps; others end by themselves.
    """
    found = list(_find_candidates(tuples, requirement, refine=refine, effort=effort))
    for classes in found:
        if classes.left(tuples) > max_suppressed:
            rescue(tuples, requirement, classes)
    # What is left over counts as lost whole, so that losses compare.
    return min(found, key=lambda classes: tuples.lose(classes) @ tuples.people)


def _find_candidates(
    tuples: Tuples, requirement: Requirement, *, refine: bool, effort: Effort | None
) -> Iterator[Classes]:
    """Try the searches that suit the table; under a privacy model neither is always the better."""
    # Of these two only splits look at the table; clusters keep more where none has to.
    if math.prod(map(len, tuples.levels())) > LISTABLE:
        if requirement.compares:
            yield balance(tuples, requirement)
        else:
            yield cluster(tuples, requirement, effort)
        return
    for find in (cover, balance) if requirement.sensitive else (cover,):
        classes = find(tuples, requirement)
        yield exchange(tuples, requirement, classes) if refine else classes


def rescue(tuples: Tuples, requirement: Requirement, classes: Classes) -> None:
    """Let those who are left over join the last classes that pinned columns allow.

    Afterwards only those are left whom no class with their pinned values could take in: too few
    people share those, or too few kinds of them for a privacy model.
    """
    corner = find_corners(tuples)
    for value in np.unique(corner[classes.of == LEFT]):
        here = np.flatnonzero(corner == value)
        _merge(tuples, requirement, classes, here)


def _merge(tuples: Tuples, requirement: Requirement, classes: Classes, here: Codes) -> None:
    """Put the left over of one corner together with as few of its last classes as will do.

    The last classes are taken because their members fit no class after them.
    """
    numbers = np.unique(classes.of[here])
    numbers = numbers[numbers != LEFT]
    # As few as will do, within a factor of two: each of them pays with its detail.
    for taken in _ever_more(len(numbers)):
        some = np.append(numbers[len(numbers) - taken :], LEFT)
        members = here[np.isin(classes.of[here], some)]
        if requirement.met(members, np.zeros_like(members), 1)[0]:
            classes.add(members, common_vector(tuples, members))
            return


def _ever_more(most: int) -> list[int]:
    """Give how many classes are taken in, at first none, at last all of them."""
    doubled = [0, *(2**n for n in range(most.bit_length()))]
    return [*(number for number in doubled if number < most), most]


MOST_PEOPLE = 1 << 62
"""People are counted in 64-bit integers, and so are their sums."""
Output = Literal["hierarchy", "sets"]
Sensitive = Mapping[str, Sequence[PrivacyModel]]


@dataclass(frozen=True)
class Asked:
    """What is asked of a recoding, beside the quasi-identifiers and their hierarchies."""

    k: int
    max_suppressed: float = 0.0
    sensitive: Sensitive = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    output: Output = "hierarchy"
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        whole = isinstance(self.k, Integral) and not isinstance(self.k, bool) and self.k >= 1
        wrong = {
            "k is a whole number from 1": not whole,
            "max_suppressed is a share from 0 to 1": not 0 <= self.max_suppressed <= 1,
            "output is 'hierarchy' or 'sets'": self.output not in ("hierarchy", "sets"),
            "weights map columns to numbers above 0; leave a column out instead": not (
                isinstance(self.weights, Mapping)
                and all(
                    isinstance(weight, Real) and 0 < weight < math.inf
                    for weight in self.weights.values()
                )
            ),
        }
        if said := [what for what, broken in wrong.items() if broken]:
            raise UsageError(f"k-anonymity: {'; '.join(said)}")

    def check_names(self, frame: pd.DataFrame, columns: Sequence[str]) -> None:
        """Refuse what is named twice, is not there, or is called like the count of people."""
        check_columns(frame, columns)
        named = list(self.sensitive)
        if PEOPLE in [*columns, *named]:
            raise UsageError(f"k-anonymity: rename column '{PEOPLE}', which counts people here")
        if both := [column for column in named if column in columns]:
            raise UsageError(
                f"k-anonymity: {', '.join(map(repr, both))} cannot be quasi-identifier and "
                "sensitive at once: remove it from one; k already hides what is released of it"
            )
        if named:
            check_columns(frame, named, "sensitive columns")
        if strangers := sorted(set(self.weights) - set(columns)):
            raise UsageError(
                f"k-anonymity: weight for '{strangers[0]}', which is not a quasi-identifier; "
                "name the column among them or drop its weight"
            )


class Unreachable(Refusal):
    """No plan leaves out few enough; `left` bounds the share of people whom none could take in.

    A bound, as the message tells it: an error is kept in more places than a run's evidence.
    """

    def __init__(self, reason: str, left: float) -> None:
        self.left = left
        super().__init__("k-anonymity", reason)


@dataclass(frozen=True)
class Fitted:
    """A plan and how it was fitted, over the distinct tuples of some rows.

    `tuple` is each row's tuple, `example` a row of each tuple, `people` and `place` its weight and
    class, `LEFT` if suppressed. `steps` were made, if the search was one by steps.
    """

    plan: Plan
    tuple: Codes
    example: Codes
    people: Codes
    place: Codes
    steps: int


def histogram(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Count the people of each distinct tuple, one row per tuple and the count in `_people`."""
    Asked(1).check_names(frame, columns)
    grouped = frame.groupby(list(columns), dropna=False, observed=True, sort=False)
    return grouped.size().rename(PEOPLE).reset_index()


def fit(histogram: pd.DataFrame, hierarchies: Mapping[str, Hierarchy], asked: Asked) -> Plan:
    """Find a plan under which every class meets what is asked.

    The histogram has one row per distinct combination of quasi-identifiers and sensitive columns,
    with the people in `_people`; rows may repeat. Classes are searched; if more than
    `max_suppressed` (a share of people) is left over, those join other classes; if it is still
    more, a `Refusal` names the pinned columns responsible. Orders of rows and columns change
    nothing.
    """
    asked.check_names(histogram, list(hierarchies))
    check_columns(histogram, [PEOPLE], "counts of people")
    people = histogram[PEOPLE]
    if not is_integer_dtype(people) or (people < 0).any() or people.sum() >= MOST_PEOPLE:
        raise UsageError(f"k-anonymity: '{PEOPLE}' counts people: whole numbers from 0")
    return fit_rows(histogram, hierarchies, asked).plan


def fit_rows(rows: pd.DataFrame, hierarchies: Mapping[str, Hierarchy], asked: Asked) -> Fitted:
    """Fit a plan on rows with their people in `_people`; see `fit`."""
    # Sorted by name, so that the order of columns changes nothing.
    ordered = tuple(hierarchies[column] for column in sorted(hierarchies))
    codes, number, example = find_distinct(encode(rows, ordered))
    _refuse_unlisted(codes, ordered)
    requirement = Requirement.from_histogram(rows, number, asked.k, asked.sensitive)
    groups = tuple(hierarchy.groups for hierarchy in ordered)
    most = max(asked.weights.values(), default=1.0)
    # At most 1, since what a search takes for too little to gain is a fixed number.
    importance = tuple(asked.weights.get(each.column, 1.0) / max(most, 1.0) for each in ordered)
    tuples = Tuples(codes, requirement.people, groups, importance)
    classes = find_classes(tuples, requirement, asked)
    if (reached := classes.left(tuples)) > asked.max_suppressed:
        people = int(tuples.people.sum())
        reason = _unreachable(tuples, ordered, asked, reached)
        raise Unreachable(reason, bound_share(reached, people))
    if asked.output == "sets":
        place, labels = _name_sets(tuples, requirement, classes, ordered)
    else:
        place, labels = classes.of, _name_labels(tuples, classes, ordered)
    shown = tuple(_publishable(at, each, labels) for at, each in enumerate(ordered))
    plan = Plan(int(asked.k), shown, labels)
    return Fitted(plan, number, example, requirement.people, place, classes.steps)


def _refuse_unlisted(codes: Codes, hierarchies: Sequence[Hierarchy]) -> None:
    """Refuse values that a hierarchy of an earlier table lacks: as they are, they have no label."""
    lacking = [
        hierarchy.column
        for hierarchy, leaf in zip(hierarchies, codes, strict=True)
        if (leaf == hierarchy.groups.shape[1] - 1).any()
    ]
    if lacking:
        raise UsageError(
            f"k-anonymity: hierarchies taken from another table lack values of "
            f"{', '.join(lacking)}; fit with hierarchies that are declared, or with none"
        )


def find_classes(tuples: Tuples, requirement: Requirement, asked: Asked) -> Classes:
    """Find classes that all hold, and that leave out few enough if that can be.

    A model that compares a class with the table means the table that is released: with people
    left out, classes are judged again against those who stay.
    """
    classes = _search(tuples, requirement, asked, asked.max_suppressed)
    if requirement.compares and classes.left(tuples) > asked.max_suppressed > 0:
        # Who was left out changed the table that classes are compared with: without, none is.
        return _search(tuples, requirement, asked, 0.0)
    return classes


def _search(
    tuples: Tuples, requirement: Requirement, asked: Asked, max_suppressed: float
) -> Classes:
    refine = asked.output == "hierarchy"
    classes = search(tuples, requirement, max_suppressed, refine=refine, effort=asked.effort)
    classes = classes.renumber(classes.of)
    # Whoever is left out changes the table, by which a class may fail that held before: its people
    # are left out next. Classes only become fewer, so this ends.
    while requirement.compares and (classes.of == LEFT).any() and classes.vectors:
        released = requirement.within(np.flatnonzero(classes.of != LEFT))
        place = settle(classes.boxes(tuples), tuples.codes, released)
        if (place == classes.of).all():
            break
        classes = classes.renumber(place)
    return classes


def _name_labels(
    tuples: Tuples, classes: Classes, hierarchies: Sequence[Hierarchy]
) -> tuple[tuple[Labels, ...], ...]:
    """Name what each class shows: in each column one label of the hierarchy."""
    numbers, member = np.unique(classes.of, return_index=True)
    named = []
    vectors = np.array(classes.vectors, dtype=np.int64).reshape(-1, len(hierarchies))
    member = member[numbers != LEFT]
    for hierarchy, codes, level in zip(hierarchies, tuples.codes, vectors.T, strict=True):
        group = hierarchy.groups[level, codes[member]]
        pairs = zip(level.tolist(), group.tolist(), strict=True)
        named.append([(hierarchy.labels[at][code],) for at, code in pairs])
    return tuple(zip(*named, strict=True))


def _name_sets(
    tuples: Tuples, requirement: Requirement, classes: Classes, hierarchies: Sequence[Hierarchy]
) -> tuple[Codes, tuple[tuple[Labels, ...], ...]]:
    """Name what each class shows: in each column the values that its people have."""
    if requirement.compares:
        requirement = requirement.within(np.flatnonzero(classes.of != LEFT))
    # From here on the same people stay, since others would be another table to compare with.
    place = refine_sets(tuples, requirement, classes.of)
    (kept,) = np.nonzero(place != LEFT)
    numbers, number = np.unique(place[kept], return_inverse=True)
    many, place = len(numbers), place.copy()
    place[kept] = number
    named = []
    for hierarchy, codes in zip(hierarchies, tuples.codes, strict=True):
        has = np.zeros((many, hierarchy.groups.shape[1]), dtype=bool)
        has[number, codes[kept]] = True
        # Many classes show the same set of a column; spelling it is what takes long.
        distinct, which = np.unique(np.packbits(has, axis=1), axis=0, return_inverse=True)
        one = np.empty(len(distinct), dtype=np.int64)
        one[which.ravel()] = np.arange(many)
        leaves = np.array(hierarchy.labels[0], dtype=object)
        spelt = [sort_labels(leaves[np.flatnonzero(has[at])]) for at in one]
        named.append([spelt[at] for at in which.ravel()])
    return place, tuple(zip(*named, strict=True))


def _publishable(
    place: int, hierarchy: Hierarchy, classes: Sequence[tuple[Labels, ...]]
) -> Hierarchy:
    """Drop from a hierarchy that lists a table's values all those that no class shows."""
    if not hierarchy.derived:
        return hierarchy
    # Such a value is of somebody left out or hidden: a plan that lists it would tell of them.
    shown = {label for labels in classes for label in labels[place]}
    return replace(hierarchy, levels=tuple(row for row in hierarchy.levels if row[0] in shown))


def _unreachable(
    tuples: Tuples, hierarchies: Sequence[Hierarchy], asked: Asked, reached: float
) -> str:
    """Say why no plan exists: each pinned column, and what leaving it out would give."""
    people, k = int(tuples.people.sum()), asked.k
    models = f" that meets what is asked of {', '.join(asked.sensitive)}" if asked.sensitive else ""
    return (
        f"up to {_percent(bound_share(reached, people))} of the people cannot be in a class of "
        f"{k}{models} (at most {_percent(asked.max_suppressed)} may be left out); "
        + _advise(tuples, hierarchies, asked)
    )


def _advise(tuples: Tuples, hierarchies: Sequence[Hierarchy], asked: Asked) -> str:
    """Say what would help: each pinned column, and how many would be left without it."""
    pinned = [at for at, hierarchy in enumerate(hierarchies) if hierarchy.depth == 1]
    effects, people = [], int(tuples.people.sum())
    for out in pinned:
        others = [tuples.codes[at] for at in pinned if at != out]
        group = pd.factorize(combine(others))[0] if others else np.zeros_like(tuples.people)
        rare = (np.bincount(group, tuples.people) < asked.k)[group]
        # Where fewer than k share all the other pinned values, no generalizing helps.
        bound = _percent(bound_share(tuples.people[rare].sum() / people, people))
        effects.append(f"without '{hierarchies[out].column}' up to {bound}")
    if effects:
        return f"leave out or coarsen a column that is never generalized ({', '.join(effects)})"
    if people < asked.k:
        return f"there are fewer than {asked.k} people in all; lower k, or widen the population"
    return "ask less of the sensitive columns, or allow more to be left out"


def _percent(share: float) -> str:
    """Round up, so that a share that is not zero never reads as zero."""
    return f"{math.ceil(share * 1_000 - 1e-9) / 10:.1f} %"
