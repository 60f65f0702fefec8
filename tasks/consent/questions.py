"""The questions that are asked of a history of consent, and how an answer to one is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.consent.meaning import Meaning, Reads, Standing

PARTS: Final = ("", "_at", "_rec")
"""What is kept of an answer, by the end of its columns' names: code, moment, recorded when."""
ALWAYS: Final = -62_135_596_800_000_000
"""The year 1 in microseconds since 1970; no event begins before it."""
ANSWERED: Final = 1_000_000_000_000_000_000
"""Added to the moment of what is not idle, so that it is later than anything idle."""
NOTHING: Final = -1
"""No answer, and its moment."""


@dataclass(frozen=True, slots=True)
class Question:
    """Events that answer alike on some classes of categories, or on a right: the latest counts."""

    name: str
    reads: Reads
    classes: tuple[int, ...] = ()
    ends: bool = False
    """Whether its answers may be gifts, which come to an end."""


def list_questions(meaning: Meaning) -> Iterator[Question]:
    """Give the questions that some event answers.

    Most events answer alike on every class; so one question asks for all classes, and few events
    are left to those that ask for some of them.
    """
    expired = int(Standing.EXPIRED)
    by_kind = {
        "answer": [{c: t for c, t in reads.items() if c != expired} for reads in meaning.answers],
        "expiry": [{c: t for c, t in reads.items() if c == expired} for reads in meaning.answers],
        "renewal": meaning.renewals,
    }
    for kind, by_class in by_kind.items():
        for number, (classes, reads) in enumerate(group_reads(by_class).items()):
            yield Question(f"{kind}_{number}", reads, classes, ends=True)
    for name, right in (("objection", meaning.objections), ("restriction", meaning.restrictions)):
        if right:
            yield Question(name, right)


def group_reads(by_class: Sequence[Reads]) -> dict[tuple[int, ...], dict[int, tuple[int, ...]]]:
    """Give the answers that each set of classes has in common, with the terms that give them."""
    heard: dict[tuple[int, int], list[int]] = {}
    for number, reads in enumerate(by_class):
        for code, terms in reads.items():
            for one in terms:
                heard.setdefault((one, code), []).append(number)
    groups: dict[tuple[int, ...], dict[int, tuple[int, ...]]] = {}
    for (one, code), classes in sorted(heard.items()):
        reads_alike = groups.setdefault(tuple(classes), {})
        reads_alike[code] = (*reads_alike.get(code, ()), one)
    if len(groups) <= len(by_class):
        return groups
    # Where events name many sets of categories, one question for each class is fewer.
    return {(n,): dict(reads) for n, reads in enumerate(by_class) if reads}
