"""The treatment that a draft proposes for a column, by its type and its profile alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Bin, Categories, DateParts, Keep, Treatment
from tasks.drafting.profile import Profile
from tasks.drafting.writing_yaml import number

OTHER: Final = "other"
FEW_NUMBERS: Final = 12


def propose_treatment(profile: Profile) -> tuple[ColumnType, Treatment] | None:
    """Give the type to declare and the treatment; None where nothing can be proposed.

    Numbers go into bins of the profile's rounded edges, words into categories, dates become their
    year, and a yes/no column is kept. A few whole numbers are words, in order, since they may be
    codes; where few people have some of them, they are parted at those that many have.
    """
    if few_numbers(profile):
        return ColumnType.TEXT, propose_categories(profile)
    edges = profile.edges or edges_at_words(profile)
    match profile.type:
        case ColumnType.BOOLEAN:
            return ColumnType.BOOLEAN, Keep(kind="keep")
        case ColumnType.DATE:
            return ColumnType.DATE, DateParts(kind="date-parts", precision="year")
        case ColumnType.INTEGER | ColumnType.NUMBER if edges:
            labels = label_bins(edges, whole=profile.type is ColumnType.INTEGER)
            return profile.type, Bin(kind="bin", edges=edges, labels=labels)
        case ColumnType.NUMBER:
            return None
        case _ if len(profile.words) > 1:
            return ColumnType.TEXT, propose_categories(profile)
        case _:
            return None


def few_numbers(profile: Profile) -> bool:
    """Whether a few whole numbers are all there are, as of codes; written so, and not as 3.0."""
    whole = profile.type is ColumnType.INTEGER and not profile.rare
    plain = all(word.lstrip("-").isdigit() for word in profile.words)
    return whole and plain and 1 < len(profile.words) <= FEW_NUMBERS


def edges_at_words(profile: Profile) -> tuple[float, ...]:
    """Part whole numbers, few people having some of them, at those that many have."""
    if profile.type is not ColumnType.INTEGER:
        return ()
    return tuple(sorted(map(float, profile.words))[1:])


def propose_categories(profile: Profile) -> Categories:
    """Give the words that many rows share, in an order that does not tell which has most.

    Words that are not listed, since few people have them, become `other`; a column that has such a
    word of its own keeps its spelling.
    """
    digits = profile.type is ColumnType.INTEGER
    words = sorted(
        profile.words, key=(lambda w: (0, float(w), w)) if digits else (lambda w: (0, 0, w))
    )
    own = next((word for word in words if word.casefold() == OTHER), OTHER)
    return Categories(
        kind="categories",
        values=tuple(words),
        ordered=digits,
        other=own if profile.rare else None,
    )


def label_bins(edges: Sequence[float], *, whole: bool) -> tuple[str, ...]:
    """Label the intervals between rising edges: `under 30`, `30-44`, `45+`; one more than edges.

    Of whole numbers a label names the first and the last that it holds; of others the edges.
    """
    inner = [_between(low, high, whole=whole) for low, high in pairwise(edges)]
    return (f"under {number(edges[0])}", *inner, f"{number(edges[-1])}+")


def _between(low: float, high: float, *, whole: bool) -> str:
    if not whole or not (low.is_integer() and high.is_integer()):
        return f"{number(low)} to under {number(high)}"
    if high - low == 1:
        return number(low)
    return f"{number(low)}{'-' if low >= 0 else ' to '}{number(high - 1)}"
