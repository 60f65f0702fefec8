"""The attack of subtracting one released table from another, as anybody who has both can make it.

It knows the two files and which columns a person may be known by, nothing of plans, people or how
the tables were made, and shares no code with `tasks.anonymization.releases.succession`, which it
judges.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from expectations.checks import Check
from expectations.policy.vocabulary import CheckVerdict

Row = tuple[str, ...]
SEVERAL: Final = 5
"""Classes from which on it is not told how many moved."""


@dataclass(frozen=True, slots=True)
class Isolated:
    """People whom a difference sets apart: rows of one class that are new, gone or in both."""

    what: Literal["added", "gone", "in both"]
    people: int


def read_rows(released: bytes, linkable: Sequence[str]) -> Counter[tuple[Row, Row]]:
    """Count a file's rows by class and by what else they show."""
    header, *rows = csv.reader(io.StringIO(released.decode("utf-8"), newline=""))
    inside = [header.index(column) for column in linkable]
    outside = [place for place in range(len(header)) if place not in inside]
    return Counter(
        (tuple(row[place] for place in inside), tuple(row[place] for place in outside))
        for row in rows
    )


def subtract(one: Counter[tuple[Row, Row]], other: Counter[tuple[Row, Row]]) -> Iterator[Isolated]:
    """Give, class by class, how many rows are only in the other, only in the one, and in both."""
    for rows, what in ((other - one, "added"), (one - other, "gone"), (one & other, "in both")):
        sizes: Counter[Row] = Counter()
        for (labels, _), people in rows.items():
            sizes[labels] += people
        for people in sizes.values():
            yield Isolated(what, people)  # type: ignore[arg-type]  # one of the three above


def isolate(
    one: Counter[tuple[Row, Row]], other: Counter[tuple[Row, Row]], k: int
) -> list[Isolated]:
    """Give whom a difference sets apart from all but fewer than k people."""
    return [found for found in subtract(one, other) if found.people < k]


def judge_moves(
    one: Counter[tuple[Row, Row]], other: Counter[tuple[Row, Row]], outlet: str
) -> Check | None:
    """Say whether one class alone shrank or grew: it is theirs who alone left or came.

    None where no class did.
    """
    moved: Counter[str] = Counter(found.what for found in subtract(one, other))
    numbers = {"shrank": moved["gone"], "grew": moved["added"]}
    if not any(numbers.values()):
        return None
    told = (f"{_say_classes(number)} {how}" for how, number in numbers.items())
    return Check(
        f"comings and leavings in {outlet}",
        "of the classes that shrank since the last table, and of those that grew, none is alone",
        ", ".join(told),
        CheckVerdict.WARNED if 1 in numbers.values() else CheckVerdict.PASSED,
        "every class of both tables was counted; that somebody came or left shows in any case, and "
        "whoever knows who it was guesses the class among those that moved",
        "release to more people, allow more to be left out (max_suppressed), or release less often",
        outlet,
    )


def _say_classes(number: int) -> str:
    """Say how many classes moved."""
    if number >= SEVERAL:
        return f"{SEVERAL} classes or more"
    return f"{number or 'no'} class{'es' * (number > 1)}"
