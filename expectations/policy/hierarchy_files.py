"""Hierarchies that a policy names by a file or writes out: read and held against their rules.

An ARX file has a line per value, `;` between its levels, the value first and `*` last, or another
word that is the same on every line. A label's parent is the same on every line. Said of a fault is
its line, never what stands there. The rules are asked of hierarchies given in Python too
(`tasks.anonymization.hierarchies`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeGuard

from expectations.errors import Problem
from expectations.policy.plain_yaml import Plain

ROOT: Final = "*"
END: Final = f"put `{ROOT}` last"
Check = tuple[Iterable[bool], str, str]
"""Which rows are wrong, what is wrong with them, how to mend it."""


@dataclass(frozen=True)
class Fault:
    """One kind of thing wrong with a hierarchy, and every row (from 0) where it was found.

    As text it names the first of them, counted from 1.
    """

    rows: tuple[int, ...]
    what: str
    fix: str

    def __str__(self) -> str:
        if not self.rows:
            return self.what
        more = f", and {len(self.rows) - 1:,} more" if len(self.rows) > 1 else ""
        return f"line {self.rows[0] + 1}{more}: {self.what}"


def find_problems(
    rows: object, said: Mapping[str, Plain], place: str, path: str
) -> Iterator[Problem]:
    """Say what is wrong with the lines of a policy's hierarchy, and with its level."""
    if not _are_lines(rows):
        return  # the grammar says what they must be
    level = said.get("level")
    for fault in find_faults(rows):
        yield Problem(place, str(fault), fault.fix)
    depth = len(rows[0]) if rows else 0
    even = all(len(row) == depth for row in rows)
    if rows and even and isinstance(level, int) and level >= depth - 1:
        what = f"level {level} is not below the root, which is level {depth - 1}"
        fix = f"choose 1 to {depth - 2}" if depth > 2 else f"add a level before `{ROOT}`"
        yield Problem(f"{path}.level", what, fix)


def find_faults(rows: Sequence[Sequence[str]]) -> list[Fault]:
    """Find everything that is wrong with the rows of a hierarchy, each kind once, with its rows.

    Whether a label stands in one place of the tree is asked only where all rows have one length.
    """
    if not rows:
        return [Fault((), "has no line", "write a line per value, its levels behind it")]
    depth = len(rows[0])
    ragged = f"has not {depth} levels as line 1 has"
    checks: list[Check] = [
        ((len(row) != depth for row in rows), ragged, "fill it"),
        ((not row or row[-1] != ROOT for row in rows), f"does not end in `{ROOT}`", END),
        (_repeats(rows), "has the value of a line before", "keep one line per value"),
        (("" in row[1:] for row in rows), "has an empty label", "name it, or repeat the one below"),
    ]
    if all(len(row) == depth for row in rows):
        checks += _check_tree(list(zip(*rows, strict=True)))
    found = (
        Fault(tuple(at for at, wrong in enumerate(broken) if wrong), what, fix)
        for broken, what, fix in checks
    )
    return [fault for fault in found if fault.rows]


def _check_tree(levels: Sequence[Sequence[str]]) -> Iterator[Check]:
    """Check that labels have one parent each and, wherever they stand, the same values below."""
    for level, (below, above) in enumerate(pairwise(levels[1:]), start=1):
        parents: dict[str, str] = {}
        crossed = [
            parents.setdefault(label, up) != up for label, up in zip(below, above, strict=True)
        ]
        what = f"its label at level {level} stands under another one before"
        yield crossed, what, "nest every level in the next"
    first: dict[str, int] = {}
    for level, labels in enumerate(levels):
        again = {label for label in dict.fromkeys(labels) if first.setdefault(label, level) < level}
        if again:
            what = f"its label at level {level} stands for other values at a lower one"
            yield _tell_apart(levels, level, first, again), what, "rename one of them"


def _tell_apart(
    levels: Sequence[Sequence[str]], level: int, first: Mapping[str, int], again: set[str]
) -> list[bool]:
    """Tell of each row whether its label at a level stood lower down, and not for the same rows."""
    wrong = {
        label
        for at, label in enumerate(levels[level])
        if label in again and levels[first[label]][at] != label
    }
    return [label in wrong for label in levels[level]]


def _repeats(rows: Sequence[Sequence[str]]) -> Iterator[bool]:
    """Tell of each row whether its value came before."""
    seen: set[str | None] = set()
    for row in rows:
        leaf = row[0] if row else None
        yield leaf in seen
        seen.add(leaf)


def _are_lines(rows: object) -> TypeGuard[list[list[str]]]:
    return isinstance(rows, list) and all(
        isinstance(row, list) and row and all(isinstance(label, str) for label in row)
        for row in rows
    )


class UnreadableError(ValueError):
    """A file that is not what a policy names it as; the text says why, and `fix` what to do."""

    def __init__(self, what: str, fix: str = "") -> None:
        """Say what is wrong, and what to do if that is more than to name another file."""
        super().__init__(what)
        self.fix = fix


def read_rows(file: Path) -> list[tuple[str, ...]]:
    """Read the lines of a hierarchy's file; `UnreadableError` says why it cannot."""
    return name_root(read_lines(file))


def read_lines(file: Path) -> list[tuple[str, ...]]:
    """Read separated labels, whichever ends lines have; `UnreadableError` says why it cannot."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return [tuple(row) for row in csv.reader(stream, delimiter=";") if row]
    except UnicodeDecodeError:
        raise UnreadableError("the file is not UTF-8") from None
    except csv.Error:
        raise UnreadableError("the file is not lines of separated labels") from None
    except OSError as error:
        raise UnreadableError(f"the file cannot be read ({error.strerror})") from None


def name_root(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Call the last level `*` where every line ends in one word that stands nowhere else."""
    ends = {row[-1] for row in rows}
    even = len({len(row) for row in rows}) == 1 < min(len(row) for row in rows) if rows else False
    if not even or len(ends) > 1 or not all(ends) or any(ends & {*row[:-1]} for row in rows):
        return rows
    return [(*row[:-1], ROOT) for row in rows]
