"""Makes one break after the other in forks of a process that has read all tests.

A plugin of pytest, in the place of its loop over the tests. In a fork the functions that hold the
break are given their broken code, and the file is broken too, for whatever is started or loaded
from it anew. So a break costs what its tests cost, and nothing of one is there in the next.
"""

from __future__ import annotations

import gc
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, NoReturn

import pytest

from tests.break_places import Break, break_source, find_place
from tests.break_reach import Reach, choose_lots, name_test

REMEMBERED: Final = 60
"""How many of the tests that reach a break are kept in the results, for a tree without contexts."""
Result = dict[str, Any]


@dataclass
class Campaign:
    """One run over some breaks: what is known beforehand, and what was found so far."""

    tree: Path
    breaks: Sequence[Break]
    reach: Reach
    first: Mapping[str, Result]
    seconds: float
    tell: Callable[[Result], None]
    whole: bool = False
    results: dict[str, Result] = field(default_factory=dict)
    items: dict[str, list[pytest.Item]] = field(default_factory=dict)
    failed: str | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every break, then what caught them without any break."""
        for item in session.items:
            self.items.setdefault(name_test(item.nodeid), []).append(item)
        for one in self.breaks:
            self.results[one.id] = self.try_break(one)
            self.tell(self.results[one.id])
        self.confirm()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test failed, in whatever phase."""
        if report.failed:
            self.failed = report.nodeid

    def try_break(self, one: Break) -> Result:
        """Make one break, and run tests until one fails or time is up."""
        begun, place, caught, tried = time.monotonic(), find_place(one), None, set[str]()
        reached = self.reach.tests(place) or self.first.get(one.id, {}).get("reached", [])
        file = self.tree / place.file
        sound = file.read_bytes()
        broken = break_source(sound, place, one.becomes)
        file.write_bytes(broken)
        try:
            for tests in self.plan(one, reached):
                new = [test for test in tests if test not in tried]
                left = self.seconds - (time.monotonic() - begun)
                if caught or (left < 1 and not self.whole):
                    break
                tried.update(new)
                if new:
                    # Half of what is left: a break may make a test wait for ever.
                    caught = self.run(new, None if self.whole else left / 2, (file, broken))
        finally:
            file.write_bytes(sound)
        seconds = round(time.monotonic() - begun, 1)
        found = {"caught": caught, "tried": len(tried), "seconds": seconds}
        return asdict(one) | found | {"reached": list(reached[:REMEMBERED])}

    def plan(self, one: Break, reached: Sequence[str]) -> Iterator[list[str]]:
        """Give the tests to be tried, one lot after the other."""
        before = self.first.get(one.id, {}).get("caught")
        yield self.find_again([before] if before else [])
        yield from choose_lots(self.find_again(reached), list(self.items))
        if self.whole:
            yield list(self.items)

    def find_again(self, tests: Sequence[str]) -> list[str]:
        """Find tests by their functions' names, wherever their files lie now."""
        by_name: dict[str, list[str]] = {}
        for test in self.items:
            by_name.setdefault(test.rpartition("::")[2], []).append(test)
        names = dict.fromkeys(name_test(test).rpartition("::")[2] for test in tests)
        return [test for name in names for test in by_name.get(name, [])]

    def run(
        self, tests: Sequence[str], seconds: float | None, broken: tuple[Path, bytes] | None
    ) -> str | None:
        """Run tests in a fork; name the one that failed, None where all passed or time was up."""
        items = [item for test in tests for item in self.items[test]]
        log = self.tree.parent / "begun"
        log.write_bytes(b"")
        child = os.fork()
        if not child:
            self._run_here(items, log, broken)
        end = None if seconds is None else time.monotonic() + seconds
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if end is not None and time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.02)
        return name_test(log.read_text("utf-8").splitlines()[-1]) if ended[1] else None

    def _run_here(
        self, items: Sequence[pytest.Item], log: Path, broken: tuple[Path, bytes] | None
    ) -> NoReturn:
        """Run tests in this process, which ends at the first that fails."""
        os.setsid()
        status = 1
        try:
            items[0].config.pluginmanager.unregister(name="terminalreporter")
            if broken:
                replace_code(*broken)
            with log.open("a", encoding="utf-8") as begun:
                for item, following in zip(items, [*items[1:], None], strict=True):
                    print(item.nodeid, file=begun, flush=True)
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self.failed:
                        break
            status = int(bool(self.failed))
        except BaseException:  # noqa: BLE001 - what ends a run of tests is a failure of the last
            traceback.print_exc()
        finally:
            os._exit(status)

    def confirm(self) -> None:
        """Take back what was caught by a test that fails without any break as well."""
        tests = sorted({r["caught"] for r in self.results.values() if r["caught"]})
        while tests and (failing := self.run(tests, None, None)):
            tests = tests[tests.index(failing) + 1 :]
            for result in self.results.values():
                if result["caught"] == failing:
                    result |= {"caught": None, "fails_without_a_break": failing}
                    self.tell(result)


def replace_code(file: Path, source: bytes) -> int:
    """Give the loaded functions of a file the code of another source; give how many changed."""
    new = {_key(code): code for code in _codes(compile(source, str(file), "exec"))}
    changed = 0
    for found in gc.get_objects():
        if type(found) is FunctionType and found.__code__.co_filename == str(file):
            code = new.get(_key(found.__code__), found.__code__)
            if code != found.__code__:
                found.__code__ = code
                changed += 1
    return changed


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _key(code: CodeType) -> tuple[str, int]:
    """What a function that holds a break has in common with its broken self."""
    return code.co_qualname, code.co_firstlineno
