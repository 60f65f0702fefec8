"""Shows that the tests catch a hundred deliberate breaks of the code; a command.

    python -m tests.breaks contexts            # which test reaches which line; the whole suite
    python -m tests.breaks run --json before.json
    python -m tests.breaks run --first before.json --json after.json    # after a rebuild
    python -m tests.breaks compare before.json after.json

Each break of the catalogue (`break_places.py`) is made in a copy of the project, never in the
project itself, and met by the tests that reach its lines, the cheapest first, until one fails. The
tests are read once, which takes longer than to run them; each break is then made in a fork
(`break_fork.py`). Further words go to pytest, such as which tests there are to choose from.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.break_fork import Campaign, Result
from tests.break_places import ROOT, Break, list_packages, read_catalogue
from tests.break_reach import Reach

HERE: Final = Path(__file__).resolve().parent
CONTEXTS: Final = ROOT / ".breaks"
PYTEST: Final = ("-q", "--tb=no", "-p", "no:cacheprovider", "--ignore-glob=*/test_breaks.py",
                 "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip
"""Without the test that every break would fail, since its expression is then not there."""
LOADED: Final = ("pandas", "pyarrow.parquet", "sqlalchemy", "scipy.stats", "sklearn.pipeline",
                 "dp_accounting.rdp", "great_expectations", "duckdb")  # fmt: skip
"""What the code loads where it needs it: loaded before, lest every fork wait for it."""


@contextmanager
def copied() -> Iterator[Path]:
    """Copy what git knows or would know of the project to a place that is gone afterwards."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.decode()
    with tempfile.TemporaryDirectory(prefix="breaks-", ignore_cleanup_errors=True) as place:
        tree = Path(place).resolve() / "tree"
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        yield tree


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


def try_breaks(breaks: Sequence[Break], options: argparse.Namespace, more: Sequence[str]) -> int:
    """Start processes with a share of the breaks each; give how many of them did not end well."""
    children = []
    for share in filter(None, (breaks[n :: options.jobs] for n in range(options.jobs))):
        child = os.fork()
        if not child:
            _try_share(share, options, more)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def _try_share(share: Sequence[Break], options: argparse.Namespace, more: Sequence[str]) -> None:
    """Read the tests in a copy and make a share of the breaks, in a process that ends with it."""
    status = 1
    try:
        for library in LOADED:
            import_module(library)
        import pytest

        first = read_results(options.first) if options.first else {}
        options.contexts = options.contexts.resolve()
        with copied() as tree:
            os.chdir(tree)
            os.environ["PYTHONPATH"] = str(tree)
            sys.path[:] = [str(tree), *(p for p in sys.path if Path(p) not in {ROOT, HERE})]
            for name in [name for name in sys.modules if name.startswith(("tests", "break_"))]:
                del sys.modules[name]
            tell = _say_and_keep(_part(options.json, share))
            reach = Reach(options.contexts)
            campaign = Campaign(tree, share, reach, first, options.seconds, tell, options.whole)
            temporary = f"--basetemp={tree.parent / 'temporary'}"
            pytest.main([*PYTEST, temporary, *(more or ["tests"])], plugins=[campaign])
        status = int(len(campaign.results) != len(share))
    except BaseException:  # noqa: BLE001 - told, before this process ends
        traceback.print_exc()
    finally:
        os._exit(status)


def _say_and_keep(file: Path) -> Callable[[Result], None]:
    """Give what tells of a result at once, and writes down all so far."""
    outside, found = os.fdopen(os.dup(1), "w"), dict[str, Result]()

    def tell(result: Result) -> None:
        found[result["id"]] = result
        write_results(file, found)
        told = f"{result['id']}: {result['caught'] or 'SURVIVED'} ({result['seconds']:g} s)"
        print(told, file=outside, flush=True)

    return tell


def _part(file: Path, share: Sequence[Break]) -> Path:
    return file.with_name(f"{file.name}.{share[0].id}")


def run_all(options: argparse.Namespace, more: Sequence[str]) -> int:
    """Make each break that is asked for; 1 if a break was caught by no test."""
    breaks = [one for one in read_catalogue() if not options.only or one.id in options.only]
    options.json = options.json.resolve()
    failed = try_breaks(breaks, options, more)
    results: dict[str, Result] = {}
    for part in sorted(options.json.parent.glob(f"{options.json.name}.*")):
        results |= read_results(part)
        part.unlink()
    write_results(options.json, {one.id: results[one.id] for one in breaks if one.id in results})
    survived = [one for one in breaks if not results.get(one.id, {}).get("caught")]
    for one in survived:
        sys.stdout.write(f"no test caught {one.id}: {one.promise}\n")
    sys.stdout.write(f"{len(breaks) - len(survived)} of {len(breaks)} breaks were caught\n")
    return int(bool(survived) or bool(failed))


def compare(before: Mapping[str, Result], after: Mapping[str, Result]) -> list[str]:
    """Name each break that was caught and is missed now, or was not tried any more."""
    caught = [name for name, result in before.items() if result["caught"]]
    return [name for name in caught if not after.get(name, {}).get("caught")]


def read_results(file: Path) -> dict[str, Result]:
    """Read what a run found, by break."""
    return {result["id"]: result for result in json.loads(file.read_text("utf-8"))}


def write_results(file: Path, results: Mapping[str, Result]) -> None:
    """Write what was found."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([*results.values()], indent=1, ensure_ascii=False), "utf-8")


def read_options() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("contexts", help="run the suite once, and note what reaches what")
    run = commands.add_parser("run", help="make each break and run the tests that reach it")
    run.add_argument("--only", nargs="+", metavar="ID")
    run.add_argument("--json", type=Path, default=CONTEXTS / "found.json", help="where to write")
    run.add_argument("--first", type=Path, help="an earlier result, whose tests are tried first")
    run.add_argument("--contexts", type=Path, default=CONTEXTS, help="what `contexts` made")
    run.add_argument("--jobs", type=int, default=1)
    run.add_argument("--seconds", type=float, default=90.0, help="the most for one break")
    run.add_argument("--whole", action="store_true", help="survivors meet the whole suite")
    both = commands.add_parser("compare", help="name what was caught before and is missed now")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    return parser.parse_known_args()


def main() -> int:
    """Run the command."""
    options, more = read_options()
    if options.command == "contexts":
        return collect_contexts(more)
    if options.command == "run":
        return run_all(options, more)
    missed = compare(read_results(options.before), read_results(options.after))
    for name in missed:
        sys.stdout.write(f"was caught before, and is missed now: {name}\n")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
