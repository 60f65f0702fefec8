"""Which tests reach a place in the code, by what a run of the suite noted, and how dear they are.

It is noted by coverage contexts and pytest's own report. Tests are named by their functions, and
found again by these names wherever their files lie.
"""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from break_places import ROOT, Place, name_named

MOST_TESTS: Final = 200
LOTS: Final = ((3, 12), (9, 60))
"""How many files, and tests of them, are run together at first, and then, before all others:
pytest reads every file before it runs a test.
"""
LINES_A_SECOND: Final = 2000
"""A test that reaches so many lines is taken to cost a second more, for what it loads."""


@dataclass(frozen=True)
class Reach:
    """What `breaks.py contexts` left in a folder; without it, no test is known to reach a place."""

    folder: Path

    def tests(self, place: Place) -> list[str]:
        """Name the tests that reach a place, the cheapest first.

        Before all come those that go the rarer way from there: into what it decides about, or past.
        Where none does, as of what only another process runs, those that reach the place's file.
        """
        reached, inside = self._reaching(place, place.lines), self._reaching(place, place.inside)
        rare = min(reached & inside, reached - inside, key=len)
        found = reached or self._reaching(place, range(1, 1_000_000))
        return sorted(found, key=lambda test: (test not in rare, self.cost(test)))

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


def choose_lots(tests: Sequence[str]) -> Iterator[list[str]]:
    """Part tests into what is run together, the first ones first.

    Last come the whole files, where one test makes for another what reaches the break.
    """
    left = list(tests[:MOST_TESTS])
    every = list(dict.fromkeys(map(file_of, left)))
    for most_files, most_tests in LOTS:
        files = list(dict.fromkeys(map(file_of, left)))[:most_files]
        if lot := [test for test in left if file_of(test) in files][:most_tests]:
            yield lot
            left = [test for test in left if test not in lot]
    yield from filter(None, (left, every))


def file_of(test: str) -> str:
    """Give the file of a test's id."""
    return test.partition("::")[0]


@cache
def list_tests() -> Mapping[str, tuple[str, ...]]:
    """Give the ids of all tests by the names of their functions."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, _ in name_named(ast.parse(file.read_bytes())):
            short = name.rpartition(".")[2]
            test = f"{file.relative_to(ROOT).as_posix()}::{name.replace('.', '::')}"
            if short.startswith("test_"):
                found[short] = (*found.get(short, ()), test)
    return found


def find_again(tests: Sequence[str]) -> list[str]:
    """Find tests where they lie now; one that is gone is left out."""
    now = (one for test in tests for one in list_tests().get(test.rpartition("::")[2], ()))
    return list(dict.fromkeys(now))
