"""Which original labels a released label stands for, as anybody can read it from the policy.

Written anew from the policy's words and what `TableOutlet` says of merges, so that an attack does
not depend on the recoding that it attacks. What is found here and not released does no harm; what
is released and not found here is taken by `released` to stand for what was seen under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from expectations.policy.outlets import Generalized, TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.treatments import has_order, public_labels
from tasks.attack.released import MISSING, Coverage

ROOT: Final = "*"
JOIN: Final = "~"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_ENDS: Final = re.compile(rf"({_NUMBER.pattern})-({_NUMBER.pattern})")
_RANGE: Final = re.compile(r"(?P<low>\d+(?:\.\d+)?)(?:-(?P<high>\d+(?:\.\d+)?)|(?P<open>\+))?")


def declare_coverage(
    policy: Policy, outlet: TableOutlet, released: Mapping[str, Iterable[str]]
) -> Coverage:
    """Give, for each released column with declared labels, what each coarser label stands for.

    `released` are the labels that occur, of which sets (`a~b`, and `1-3~b` for neighbouring
    numbers) are read.
    """
    coverage: dict[str, Mapping[str, Sequence[str]]] = {}
    for column, how in outlet.columns.items():
        treatment = policy.treated[column].treatment
        labels = public_labels(treatment, policy.column_type(column))
        if labels is None or how == "keep":
            continue
        found = {label: [label] for label in labels} | {ROOT: [*labels, MISSING]}
        if isinstance(how, Generalized) and how.levels:
            found |= _group(labels, how.levels)
        elif outlet.output == "hierarchy" and has_order(treatment):
            found |= _merge(labels)
        if outlet.output == "sets":
            found |= split_sets(released.get(column, ()), {*labels, MISSING})
        coverage[column] = found
    return coverage


def _group(
    labels: Sequence[str], levels: Sequence[Mapping[str, tuple[str, ...]]]
) -> dict[str, list[str]]:
    """Follow declared groupings down to the labels; a member is a label or a group before it."""
    found = {label: [label] for label in labels}
    for level in levels:
        above = {
            group: [leaf for member in members for leaf in found.get(member, [])]
            for group, members in level.items()
        }
        found |= above
    return found


def _merge(labels: Sequence[str]) -> dict[str, list[str]]:
    """Merge neighbours of an ordered scale two by two, level by level."""
    found, width = {}, 2
    while width < len(labels):
        for start in range(0, len(labels), width):
            part = list(labels[start : start + width])
            found[_span(part[0], part[-1])] = part
        width *= 2
    return found


def _span(first: str, last: str) -> str:
    """Name a merge: the number range that spans it, or its ends."""
    low, high = _RANGE.fullmatch(first), _RANGE.fullmatch(last)
    if first == last:
        return first
    if low is None or high is None or low["open"]:
        return f"{first}{JOIN}{last}"
    return f"{low['low']}+" if high["open"] else f"{low['low']}-{high['high'] or high['low']}"


def split_sets(released: Iterable[str], known: set[str]) -> dict[str, list[str]]:
    """Read the members of each set whose members are all declared, alone or inside a range."""
    found = {}
    for text in released:
        parts = [_open_range(part, known) for part in text.split(JOIN)]
        if all(parts):
            found[text] = [member for part in parts for member in part]
    return found


def _open_range(part: str, known: set[str]) -> list[str]:
    """Give a declared label itself, and for a range the declared numbers from end to end."""
    if part in known:
        return [part]
    ends = _ENDS.fullmatch(part)
    if ends is None or not known.issuperset(ends.groups()):
        return []
    low, high = map(float, ends.groups())
    numbers = [label for label in known if _NUMBER.fullmatch(label)]
    return [label for label in numbers if low <= float(label) <= high]
