"""Whether a column's treatment became weaker or stronger: what two treatments keep of a value.

A treatment is stronger where all that it tells follows from what the other told, or where it is the
same with a larger step, shift or noise. Where neither can be said, a person has to look.
"""

from __future__ import annotations

from typing import Final

from expectations.changes.meanings import Direction
from expectations.policy.treatments import (
    Bin,
    Categories,
    Clip,
    DateParts,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
)

KEPT: Final = {"drop": 0, "keep": 2}
"""The kinds that keep nothing and everything. Between the others there is no order: a clip to two
numbers keeps less than a fine rounding, a wide one more."""
PARTS_OF_A_DATE: Final = ("year", "quarter", "month")


def compare_treatments(old: Treatment, new: Treatment) -> Direction:
    """Say which way another treatment of the same column points."""
    if old.kind != new.kind:
        if isinstance(old, Bin) and isinstance(new, Clip):
            return "weaker" if _tells(new, old) else "changed"
        if isinstance(old, Clip) and isinstance(new, Bin):
            return "stronger" if _tells(old, new) else "changed"
        return _by_amount(KEPT.get(old.kind, 1), KEPT.get(new.kind, 1))
    differing = {
        name for name in type(old).model_fields if getattr(old, name) != getattr(new, name)
    }
    compared, direction = _compare_alike(old, new)
    return direction if differing <= compared else "changed"


def _compare_alike(old: Treatment, new: Treatment) -> tuple[set[str], Direction]:
    """Give the parameters that can be compared where all others are alike, and what they say."""
    match old, new:
        case Mask(), Mask():
            return {"show_last"}, _by_amount(old.show_last, new.show_last)
        case Token(), Token():
            return {"reversible"}, _by_amount(old.reversible, new.reversible)
        case Bin(), Bin():
            return {"edges", "labels"}, _by_set(old.edges, new.edges)
        case Clip(), Clip():
            return {"low", "high"}, _by_bounds(old, new)
        case Round(), Round():
            return {"to"}, _by_step(old.to, new.to)
        case Noise(), Noise():
            return {"epsilon"}, _by_amount(old.epsilon, new.epsilon)
        case Shift(), Shift():
            return {"days"}, _by_amount(-old.days, -new.days)
        case Categories(), Categories():
            return {"values"}, _by_set(old.values, new.values)
        case Redact(), Redact():
            return {"known"}, _by_set(new.known, old.known)
        case Level(), Level():
            return {"level"}, _by_amount(-old.level, -new.level)
        case DateParts(), DateParts():
            before, after = (PARTS_OF_A_DATE.index(part.precision) for part in (old, new))
            return {"precision"}, _by_amount(before, after)
        case _:
            return set(), "changed"


def _by_amount(old: float, new: float) -> Direction:
    """Weaker where more is kept."""
    return "changed" if old == new else "weaker" if new > old else "stronger"


def _by_set(old: tuple[object, ...], new: tuple[object, ...]) -> Direction:
    """Weaker where all that was told apart still is, and more."""
    before, after = set(old), set(new)
    return "weaker" if before < after else "stronger" if after < before else "changed"


def _by_bounds(old: Clip, new: Clip) -> Direction:
    """Weaker where the bounds are wider: exact values farther out stay."""
    if new.low <= old.low and old.high <= new.high:
        return "weaker"
    return "stronger" if old.low <= new.low and new.high <= old.high else "changed"


def _tells(clip: Clip, binned: Bin) -> bool:
    """Whether a clipped number says in which interval the number lies."""
    return clip.low < binned.edges[0] and binned.edges[-1] <= clip.high


def _by_step(old: float, new: float) -> Direction:
    """Weaker for a smaller step; unless one is a multiple of the other, they can't be compared."""
    larger, smaller = max(old, new), min(old, new)
    if (larger / smaller) % 1:
        return "changed"
    return "weaker" if new < old else "stronger"
