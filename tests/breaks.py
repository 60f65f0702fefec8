"""Shows that the tests catch a hundred deliberate breaks of the code; a command.

    python tests/breaks.py contexts            # which test reaches which line; the whole suite
    python tests/breaks.py run --json before.json
    python tests/breaks.py run --first before.json --json after.json    # after a rebuild
    python tests/breaks.py compare before.json after.json

Each break of the catalogue (`break_places.py`) is made in a copy of the project, never in the
project itself, and met by the tests that reach its lines, the cheapest first, until one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from break_places import ROOT, Break, break_source, find_place, list_packages, read_catalogue
from break_reach import Reach, choose_lots, find_again

HERE: Final = Path(__file__).resolve().parent
CONTEXTS: Final = ROOT / ".breaks"
WHOLE: Final = ["--ignore-glob=*/test_breaks.py", "tests"]
"""All tests but the one that any break of the catalogue would fail, since it is then not found."""
LOADED: Final = ("pytest", "pandas", "pyarrow.parquet", "sqlalchemy", "scipy.stats",
                 "sklearn.pipeline", "dp_accounting.rdp", "great_expectations")  # fmt: skip
"""Libraries that most tests wait for: loaded once, since each lot of tests is run in a fork."""
PYTEST: Final = ("-xq", "--tb=no", "-p", "no:cacheprovider",
                 "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[|\s|$)", re.MULTILINE)
ENDED: Final = {0, 1, 2}
"""How pytest ends: all passed, one failed, or a file of tests could not be read."""
REMEMBERED: Final = 60
"""How many of the tests that reach a break are kept in the results, for a tree without contexts."""
Result = dict[str, Any]


@contextmanager
def snapshot() -> Iterator[Path]:
    """Copy what git knows or would know of the project, compiled, to make copies of."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.decode()
    with tempfile.TemporaryDirectory(prefix="breaks-") as place:
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                Path(place, name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, Path(place, name))
        compiling = [sys.executable, "-m", "compileall", "-q", *list_packages()]
        subprocess.run(compiling, check=True, capture_output=True, cwd=place)
        yield Path(place)


@contextmanager
def copied(source: Path) -> Iterator[Path]:
    """Make a copy of a tree that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="breaks-", ignore_cleanup_errors=True) as place:
        yield Path(shutil.copytree(source, Path(place, "tree")))


def run_tests(tree: Path, tests: Sequence[str], seconds: float | None) -> str | None:
    """Run tests in a tree and name the first that failed; None where all passed or time was up."""
    log = tree.parent / "log"
    child = os.fork()
    if not child:
        _be_pytest(tree, log, tests)
    end = None if seconds is None else time.monotonic() + seconds
    while not (status := os.waitpid(child, os.WNOHANG))[0]:
        if end is not None and time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.05)
    code, said = os.waitstatus_to_exitcode(status[1]), log.read_text("utf-8", "replace")
    failed = FAILED.search(said)
    if code in ENDED and (failed or not code):
        return failed[1] if failed else None
    raise RuntimeError(f"pytest ended with {code} on {' '.join(tests[:3])} …:\n{said}")


def _be_pytest(tree: Path, log: Path, tests: Sequence[str]) -> None:
    """Run tests in this process, a fork that ends with them."""
    os.setsid()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(written, descriptor)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(path for path in sys.path if Path(path) not in {ROOT, HERE})]
    for name in [name for name in sys.modules if name.startswith(("tests", "break_"))]:
        del sys.modules[name]
    code: int = 1
    try:
        import pytest

        code = int(pytest.main([*PYTEST, *tests]))
    except BaseException:  # noqa: BLE001  # told, before this process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Campaign:
    """One run over the breaks: what is known beforehand, and what was found so far."""

    tree: Path
    reach: Reach
    first: Mapping[str, Result]
    seconds: float
    whole: bool
    results: dict[str, Result] = field(default_factory=dict)

    def try_break(self, one: Break) -> Result:
        """Make one break in a copy, and run tests until one fails."""
        begun, place, tried, caught = time.monotonic(), find_place(one), 0, None
        reached = self.reach.tests(place) or self.first.get(one.id, {}).get("reached", [])
        with copied(self.tree) as tree:
            file = tree / place.file
            file.write_bytes(break_source(file.read_bytes(), place, one.becomes))
            for tests in self.plan(one, reached):
                left = self.seconds - (time.monotonic() - begun)
                if caught or left <= 0:
                    break
                tried += len(tests)
                caught = run_tests(tree, tests, None if tests is WHOLE else left)
        seconds = round(time.monotonic() - begun, 1)
        found = {"caught": caught, "tried": tried, "seconds": seconds}
        return asdict(one) | found | {"reached": reached[:REMEMBERED]}

    def plan(self, one: Break, reached: Sequence[str]) -> Iterator[list[str]]:
        """Give the tests to be tried, one lot after the other."""
        before = self.first.get(one.id, {}).get("caught")
        if again := find_again([before] if before else []):
            yield again
        yield from choose_lots(find_again(reached))
        if self.whole:
            yield WHOLE

    def confirm(self) -> None:
        """Take back what was caught by a test that fails without any break as well."""
        tests = sorted({r["caught"] for r in self.results.values() if "::" in str(r["caught"])})
        with copied(self.tree) as tree:
            while tests and (failing := run_tests(tree, tests, None)):
                tests = [test for test in tests if test != failing]
                for result in self.results.values():
                    if result["caught"] == failing:
                        result |= {"caught": None, "fails_without_a_break": failing}


def collect_contexts(more: Sequence[str]) -> int:
    """Run the suite once, and note which test reaches which line and how long it takes."""
    CONTEXTS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--cov-report=",
               "--cov-context=test", "--cov-fail-under=0", "-o", "junit_family=xunit1",
               f"--junitxml={CONTEXTS / 'tests.xml'}"]  # fmt: skip
    covered = [f"--cov={package}" for package in list_packages()]
    environment = {**os.environ, "COVERAGE_FILE": str(CONTEXTS / "coverage")}
    ran = subprocess.run([*command, *covered, *more], check=False, cwd=ROOT, env=environment)
    return ran.returncode


def run_all(options: argparse.Namespace) -> int:
    """Make each break that is asked for; 1 if a break was caught by no test."""
    breaks = [one for one in read_catalogue() if not options.only or one.id in options.only]
    first = read_results(options.first) if options.first else {}
    for library in LOADED:
        import_module(library)
    with snapshot() as tree, ThreadPoolExecutor(options.jobs) as pool:
        reach = Reach(options.contexts)
        campaign = Campaign(tree, reach, first, options.seconds, options.whole)
        for result in pool.map(campaign.try_break, breaks):
            campaign.results[result["id"]] = result
            _say(f"{result['id']}: {result['caught'] or 'SURVIVED'} ({result['seconds']:g} s)")
            write_results(options.json, campaign.results)
        campaign.confirm()
    write_results(options.json, campaign.results)
    survived = [result for result in campaign.results.values() if not result["caught"]]
    for result in survived:
        _say(f"no test caught {result['id']}: {result['promise']}")
    _say(f"{len(breaks) - len(survived)} of {len(breaks)} breaks were caught")
    return int(bool(survived))


def compare(before: Mapping[str, Result], after: Mapping[str, Result]) -> list[str]:
    """Name each break that was caught and is missed now, or was not tried any more."""
    caught = [name for name, result in before.items() if result["caught"]]
    return [name for name in caught if not after.get(name, {}).get("caught")]


def read_results(file: Path) -> dict[str, Result]:
    """Read what a run found, by break."""
    return {result["id"]: result for result in json.loads(file.read_text("utf-8"))}


def write_results(file: Path | None, results: Mapping[str, Result]) -> None:
    """Write what was found so far."""
    if file is not None:
        file.write_text(json.dumps([*results.values()], indent=1, ensure_ascii=False), "utf-8")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def read_options() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; further words are pytest's, for `contexts` alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("contexts", help="run the suite once; further words go to pytest")
    run = commands.add_parser("run", help="make each break and run the tests that reach it")
    run.add_argument("--only", nargs="+", metavar="ID")
    run.add_argument("--json", type=Path, help="where to write what was found")
    run.add_argument("--first", type=Path, help="an earlier result, whose tests are tried first")
    run.add_argument("--contexts", type=Path, default=CONTEXTS, help="what `contexts` made")
    run.add_argument("--jobs", type=int, default=1)
    run.add_argument("--seconds", type=float, default=90.0, help="the most for one break")
    run.add_argument("--whole", action="store_true", help="survivors meet the whole suite")
    both = commands.add_parser("compare", help="name what was caught before and is missed now")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    options, more = parser.parse_known_args()
    if more and options.command != "contexts":
        parser.error(f"unknown: {' '.join(more)}")
    return options, more


def main() -> int:
    """Run the command."""
    options, more = read_options()
    if options.command == "contexts":
        return collect_contexts(more)
    if options.command == "run":
        return run_all(options)
    missed = compare(read_results(options.before), read_results(options.after))
    for name in missed:
        _say(f"was caught before, and is missed now: {name}")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
