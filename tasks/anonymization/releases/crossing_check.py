"""The check of a table beside what its recipient, and everybody else, has of the same people.

It is judged from who is in each release and in which class, by `expectations.measures.crossings`,
before the table is recorded. How rows were chosen is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expectations.checks import Check
from expectations.disclosure import bound_share
from expectations.measures.crossings import PeopleInClasses, breaks_models, find_singled_out
from expectations.policy.vocabulary import CheckVerdict
from tasks.anonymization.releases.held_people import HeldPeople
from tasks.anonymization.releases.succession import CountedRows


@dataclass(frozen=True)
class Beside:
    """What stands beside a table: releases that its recipient can combine with it, and others'.

    None for a release of which it is not kept who was in it.
    """

    combined: Sequence[HeldPeople | None]
    others: Sequence[HeldPeople | None]
    apart: int = 0
    """How many of the recipient's have other columns or labels, so that no difference is seen."""

    @property
    def unknown(self) -> int:
        """How many of the recipient's releases cannot be crossed."""
        return sum(one is None for one in self.combined)


def check_crossings(
    outlet: str, held: HeldPeople, rows: CountedRows, beside: Beside, threshold: int
) -> tuple[Check, float] | None:
    """Cross a table with every release that stands; None where there is none.

    Also gives the share of its people who are in too small a crossing with a release of somebody
    else, as it may be told.
    """
    if not beside.combined and not beside.others:
        return None
    table = _see(held)
    mine = [_see(one) for one in beside.combined if one is not None]
    theirs = [_see(one) for one in beside.others if one is not None]
    singled = find_singled_out(table, mine).any()
    alike = not singled and breaks_models(table, mine, held.values)
    fits = _sizes_of(held) == _sizes_of_rows(rows)
    elsewhere = np.zeros(len(table.people), dtype=bool)
    for one in theirs:
        elsewhere |= find_singled_out(table, [one])
    people = max(len(elsewhere), 1)
    share = bound_share(elsewhere.sum() / people, people, threshold)
    verdict = CheckVerdict.PASSED
    if elsewhere.any() or beside.unknown or beside.apart:
        verdict = CheckVerdict.WARNED
    if singled or alike or not fits:
        verdict = CheckVerdict.REFUSED
    return Check(
        f"crossings of {outlet}",
        f"nobody, or at least {held.k} people, in each class of this table crossed with those of "
        "one or two other tables that its recipient has",
        _say_found(len(mine), beside, (bool(singled), alike, fits), (len(theirs), share)),
        verdict,
        "a single crossing; the people of every release were compared by their own numbers, three "
        "tables at a time for the newest ten",
        "run again, which fits the table to what its recipient has by then; release fewer columns, "
        "or allow more people to be left out; name under `combine` who shares tables",
        outlet,
    ), share  # fmt: skip


def _see(held: HeldPeople) -> PeopleInClasses:
    return PeopleInClasses(held.people, held.classes, held.k, held.sensitive)


def _sizes_of(held: HeldPeople) -> list[int]:
    """Give how many people the classes have on record, the smallest first."""
    return sorted(np.unique(held.classes, return_counts=True)[1].tolist())


def _sizes_of_rows(rows: CountedRows) -> list[int]:
    """Give how many rows the classes of the file have: the people on record must be its own."""
    sizes: Counter[tuple[str, ...]] = Counter()
    for labels, people in zip(rows.select(rows.linkable), rows.counts.tolist(), strict=True):
        sizes[labels] += people
    return sorted(sizes.values())


def _say_found(
    mine: int, beside: Beside, found: tuple[bool, bool, bool], elsewhere: tuple[int, float]
) -> str:
    singled, alike, fits = found
    theirs, share = elsewhere
    tables = "table" if mine == 1 else "tables"
    said = (
        f"{'some' if singled else 'no'} smaller crossings with {mine:,} {tables} of its recipient"
    )
    if alike:
        said += "; some whose values are too much alike"
    if not fits:
        said += "; the people on record are not those of the file"
    if beside.unknown:
        said += f"; {beside.unknown:,} more could not be crossed: it is not kept who was in them"
    if beside.apart:
        said += (
            f"; {beside.apart:,} had other columns or labels, so that who came and who left since "
            "could not be compared"
        )
    if theirs:
        others = "recipient's table" if theirs == 1 else "recipients' tables"
        said += (
            f"; up to {100 * share:.1f} % of the people would be singled out by whoever had "
            f"{theirs:,} other {others} too"
        )
    return said
