"""Published cut-offs of measurements: bins that are public, whatever the data.

By a column's name and, since a name tells no unit, by whether all its numbers could be so measured.
That a column holds what its name says is for a person to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from tasks.drafting.profile import Profile
from tasks.drafting.signs import split_name

TEXTS: Final = Path(__file__).with_name("cut_offs.yaml")


@dataclass(frozen=True, slots=True)
class CutOffs:
    """The cut-offs of one measurement, rising, and between which numbers it can lie."""

    says: str
    words: frozenset[str]
    low: float
    high: float
    edges: tuple[float, ...]
    source: str


@cache
def read_cut_offs() -> tuple[CutOffs, ...]:
    """Read the list."""
    entries = yaml.safe_load(TEXTS.read_text("utf-8"))
    return tuple(
        CutOffs(
            one["says"],
            frozenset(one["words"].split()),
            float(one["low"]),
            float(one["high"]),
            tuple(map(float, one["edges"])),
            one["source"],
        )
        for one in entries
    )


def find_cut_offs(profile: Profile) -> CutOffs | None:
    """Give what is published for a column of numbers: its name says it, and all could be of it.

    Two cut-offs or more lie within the numbers, so that another unit is not taken for it.
    """
    if profile.low is None or profile.high is None:
        return None
    words, _ = split_name(profile.name)
    low, high = profile.low, profile.high
    for one in read_cut_offs():
        within = sum(low < edge < high for edge in one.edges)
        if words & one.words and one.low <= low and high <= one.high and within >= 2:
            return one
    return None
