"""Which tests reach a place in the code, by what a run of the suite noted, and how dear they are.

It is noted by coverage contexts and pytest's own report. Tests are named by their functions,
whatever their cases.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from tests.break_places import Place

MOST_TESTS: Final = 200
FEW: Final = 12
"""How many tests are tried before all others, whatever files they are in."""
RARER: Final = 10
LINES_A_SECOND: Final = 2000
"""A test that reaches so many lines is taken to cost a second more, for what it loads."""


@dataclass(frozen=True)
class Reach:
    """What `breaks.py contexts` left in a folder; without it, no test is known to reach a place."""

    folder: Path

    def tests(self, place: Place) -> list[str]:
        """Name the tests that reach a place, the cheapest first.

        Those that go the rarer way from there, into what it decides about or past, tell most of it,
        and may be dearer.
        Where none does, as of what only another process runs, those that reach the place's file.
        """
        reached, inside = self._reaching(place, place.lines), self._reaching(place, place.inside)
        rare = min(reached & inside, reached - inside, key=len)
        found = reached or self._reaching(place, range(1, 1_000_000))
        cost = {test: self.cost(test) / (RARER if test in rare else 1) for test in found}
        return sorted(found, key=lambda test: (cost[test], test))

    def _reaching(self, place: Place, lines: range) -> set[str]:
        query = (
            "SELECT DISTINCT context FROM arc JOIN file ON file.id = file_id "
            "JOIN context ON context.id = context_id WHERE file.path LIKE ? AND context != '' "
            "AND (fromno BETWEEN ? AND ? OR tono BETWEEN ? AND ?)"
        )
        ends = (lines.start, lines.stop - 1)
        return {name_test(row[0]) for row in self.ask(query, f"%/{place.file}", *ends, *ends)}

    def cost(self, test: str) -> float:
        """Say how dear a test is: its seconds, and some for what it loads."""
        seconds, lines = sum_seconds(self.folder / "tests.xml"), count_lines(self)
        return seconds.get(test, 0.0) + lines.get(test, 0) / LINES_A_SECOND

    def ask(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        """Ask the data file of coverage, if there is one."""
        if not (self.folder / "coverage").is_file():
            return []
        with closing(sqlite3.connect(self.folder / "coverage")) as connection:
            return connection.execute(query, values).fetchall()


@cache
def count_lines(reach: Reach) -> Mapping[str, int]:
    """Count the lines that each test reaches."""
    query = "SELECT context, count(*) FROM arc JOIN context ON context.id = context_id GROUP BY 1"
    found: dict[str, int] = {}
    for context, lines in reach.ask(query):
        found[name_test(context)] = max(found.get(name_test(context), 0), lines)
    return found


@cache
def sum_seconds(report: Path) -> Mapping[str, float]:
    """Add up the seconds of each test, whatever its cases."""
    found: dict[str, float] = {}
    if report.is_file():
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own report
            test = f"{case.get('file')}::{name_test(case.get('name') or '')}"
            found[test] = found.get(test, 0.0) + float(case.get("time") or 0)
    return found


def name_test(context: str) -> str:
    """Give the function of a test's id, which names its case and phase too."""
    return re.split(r"[\[|]", context, maxsplit=1)[0]


def choose_lots(reached: Sequence[str], every: Sequence[str]) -> Iterator[list[str]]:
    """Part tests into what is tried one after the other: a few that reach a place, then others.

    A few are followed by what stands beside them in their files, which is of the same subject: one
    test can make for another what reaches a place, and may start a process that reaches it.
    """
    for most in (FEW, MOST_TESTS):
        chosen = reached[:most]
        files = list(dict.fromkeys(map(file_of, chosen)))
        yield sorted(chosen, key=lambda test: files.index(file_of(test)))
        beside = [test for test in every if file_of(test) in files]
        yield sorted(beside, key=lambda test: files.index(file_of(test)))


def file_of(test: str) -> str:
    """Give the file of a test's id."""
    return test.partition("::")[0]
