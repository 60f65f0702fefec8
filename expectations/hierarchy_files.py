"""Hierarchies that a policy names by a file or writes out: read and held against their rules.

An ARX file has a line per value, `;` between its levels, the value first and `*` last. A label's
parent is the same on every line. Said of a fault is its line, never what stands there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeGuard

from expectations.errors import Problem
from expectations.plain_yaml import Plain

ROOT: Final = "*"


def put_hierarchies(plain: Plain, folder: Path) -> list[Problem]:
    """Put the lines of each hierarchy that names a file into its `rows`; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    problems: list[Problem] = []
    for path, treatment in _hierarchies(plain):
        file, rows = treatment.get("file"), treatment.get("rows")
        if not isinstance(file, str):
            if _are_lines(rows):  # else the grammar says what they must be
                problems += find_faults(rows, treatment.get("level"), f"{path}.rows", path)
            continue
        if rows is not None or treatment.get("of") is not None:
            what = "is a second hierarchy beside `of` or `rows`"
            problems.append(Problem(f"{path}.file", what, "keep one of them"))
            continue
        read = _read(folder / file)
        if isinstance(read, str):
            fix = "name a file in UTF-8 with `;` between its levels"
            problems.append(Problem(f"{path}.file", read, fix))
            continue
        faults = list(find_faults(read, treatment.get("level"), f"{path}.file", path))
        problems += faults
        if not faults:
            treatment["rows"] = [[*row] for row in read]
    return problems


def find_faults(
    rows: Sequence[Sequence[str]], level: Plain, place: str, path: str
) -> Iterator[Problem]:
    """Say what is wrong with the lines of a hierarchy: the first of each kind of fault."""
    if not rows:
        yield Problem(place, "has no line", "write a line per value, its levels behind it")
        return
    depth = len(rows[0])
    checks = (
        ((len(row) != depth for row in rows), f"has not {depth} levels as line 1 has", "fill it"),
        ((row[-1] != ROOT for row in rows), f"does not end in `{ROOT}`", f"put `{ROOT}` last"),
        (_repeats(rows), "has the value of a line before", "keep one line per value"),
    )
    for broken, what, fix in checks:
        if lines := [number for number, fault in enumerate(broken, start=1) if fault]:
            more = f", and {len(lines) - 1:,} more" if len(lines) > 1 else ""
            yield Problem(place, f"line {lines[0]}{more}: {what}", fix)
    if all(len(row) == depth for row in rows):
        yield from _find_crossings(rows, place)
        if isinstance(level, int) and level >= depth - 1:
            what = f"level {level} is not below the root, which is level {depth - 1}"
            fix = f"choose 1 to {depth - 2}" if depth > 2 else f"add a level before `{ROOT}`"
            yield Problem(f"{path}.level", what, fix)


def _find_crossings(rows: Sequence[Sequence[str]], place: str) -> Iterator[Problem]:
    """Find where one label stands under two of the next level."""
    for level in range(1, len(rows[0]) - 1):
        parents: dict[str, str] = {}
        for number, row in enumerate(rows, start=1):
            if parents.setdefault(row[level], row[level + 1]) != row[level + 1]:
                what = f"line {number}: its label at level {level} stands under another one before"
                yield Problem(place, what, "nest every level in the next")
                break


def _repeats(rows: Sequence[Sequence[str]]) -> Iterator[bool]:
    """Tell of each line whether its value came before."""
    seen: set[str] = set()
    for row in rows:
        yield row[0] in seen
        seen.add(row[0])


def _are_lines(rows: Plain) -> TypeGuard[list[list[str]]]:
    return isinstance(rows, list) and all(
        isinstance(row, list) and row and all(isinstance(label, str) for label in row)
        for row in rows
    )


def _read(file: Path) -> list[list[str]] | str:
    """Read the lines of a file, or say why not."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return [row for row in csv.reader(stream, delimiter=";") if row]
    except UnicodeDecodeError:
        return "the file is not UTF-8"
    except csv.Error:
        return "the file is not lines of separated labels"
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"


def _hierarchies(plain: Plain) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Give each treatment of the kind `hierarchy` with its path; the form is not checked yet."""
    for part in ("columns", "derived"):
        columns = plain.get(part) if isinstance(plain, dict) else None
        for name, column in columns.items() if isinstance(columns, dict) else ():
            treatment = column.get("treatment") if isinstance(column, dict) else None
            if isinstance(treatment, dict) and treatment.get("kind") == "hierarchy":
                yield f"{part}.{name}.treatment", treatment
