"""What a command costs before any work is done: CPU seconds, peak memory, imports by library.

    python benchmarks/cold.py [--policy NAME] [--rounds N] [--json]

Each round makes a fresh home with `tutela init` and runs the smallest policy there, as `make demo`
does. CPU seconds are told apart: the command's own process, and Prefect's server, which `init`
starts and `run` uses. Of several rounds each figure is the median.

Imports are measured in one further round, in CPU seconds of the thread that imports: what was first
imported below a library counts for that library, so that Altair, which Great Expectations brings,
is Great Expectations'. Whether the libraries lie there as bytecode is said first, since a cold run
without it compiles all that it imports.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

FAMILIES: Final = {
    "great_expectations": "Great Expectations", "mlflow": "MLflow", "prefect": "Prefect",
    "sklearn": "scikit-learn", "skops": "scikit-learn", "pandas": "pandas", "pyarrow": "Arrow",
    "duckdb": "DuckDB", "sqlalchemy": "SQLAlchemy, Alembic", "alembic": "SQLAlchemy, Alembic",
    "scipy": "SciPy", "numpy": "NumPy", "pydantic": "Pydantic", "typer": "Typer", "rich": "Typer",
    "cryptography": "cryptography", "jinja2": "Jinja", "dp_accounting": "dp-accounting",
    **dict.fromkeys(("tutela", "deployments", "flows", "tasks", "ledgers", "expectations"),
                    "tutela's own modules"),
}  # fmt: skip
"""A library, and whose its imports are; of nested ones the outermost counts, but for our own."""
OWN: Final = "tutela's own modules"
OTHERS: Final = "others"
ADOPT_ORPHANS: Final = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>

Figures = dict[str, float]


def measure(policy: str, *, trace: bool = False) -> tuple[Figures, Figures]:
    """Make a home and run the policy there; give the cost of both and the server, and imports."""
    with tempfile.TemporaryDirectory() as place:
        home, start = Path(place) / "home", time.perf_counter()
        found, _ = call(["init"], home)
        running, imports = call(["run", policy, "--json"], home, trace=trace)
        found |= running
        found["together, wall"] = time.perf_counter() - start
        # The server ends half a second after its last user, and is our child by adoption.
        found["Prefect's server, CPU"] = sum(spent for _, spent in reap())
    return found, imports


def call(words: list[str], home: Path, *, trace: bool = False) -> tuple[Figures, Figures]:
    """Call `tutela` in a process of its own that says what it used."""
    command = [sys.executable, __file__, "--traced" if trace else "--inside", *words]
    environment, start = {**os.environ, "TUTELA_HOME": str(home)}, time.perf_counter()
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as errors:
        status = subprocess.call(command, stdout=told, stderr=errors, env=environment)
        wall = time.perf_counter() - start
        errors.seek(0)
        said = errors.read()
    if status not in {0, 1}:
        raise SystemExit(said)
    own, children, peak, imports = json.loads(said.splitlines()[-1])
    name = words[0]
    figures = {
        f"{name}, CPU": own,
        f"{name}'s children, CPU": children,
        f"{name}, wall": wall,
        f"{name}, peak MB": peak,
    }
    return figures, imports


def inside(words: list[str], *, trace: bool) -> None:
    """Be the command, and say on the last line of standard error what it used."""
    import atexit

    imports = Imports()

    def tell() -> None:
        own, others = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        spent = [one.ru_utime + one.ru_stime for one in (own, others)]
        peak = own.ru_maxrss / 1024
        print(json.dumps([*spent, peak, imports.seconds]), file=sys.stderr, flush=True)

    # Before anything is imported, so that it is called last.
    atexit.register(tell)
    if trace:
        imports.follow(SourceFileLoader)
        imports.follow(ExtensionFileLoader)
    from deployments.cli import main

    sys.argv = ["tutela", *words]
    main()


class Imports:
    """Adds up what importing costs, by whose imports they are.

    `-X importtime` writes to descriptor 2, which leads nowhere inside a step.
    """

    def __init__(self) -> None:
        self.seconds = Counter[str]()
        self._above = threading.local()

    def follow(self, loader: type[SourceFileLoader | ExtensionFileLoader]) -> None:
        """Measure whatever is loaded by a kind of loader from now on."""
        execute = loader.exec_module

        def timed(this: SourceFileLoader, module: ModuleType) -> None:
            above = self._above.__dict__.setdefault("stack", [[OTHERS, 0.0]])
            whose = FAMILIES.get(module.__name__.partition(".")[0], OTHERS)
            outer = above[-1][0]
            above.append([whose if outer in {OTHERS, OWN} else outer, 0.0])
            start = time.thread_time()
            try:
                execute(this, module)  # type: ignore[arg-type]  # of the kind that is followed
            finally:
                taken = time.thread_time() - start
                whose, below = above.pop()
                above[-1][1] += taken
                self.seconds[whose] += taken - below

        loader.exec_module = timed  # type: ignore[method-assign,assignment]  # its point


def reap() -> Iterator[tuple[int, float]]:
    """Wait for every process that this one has adopted, and give what each spent."""
    while True:
        try:
            process, _, used = os.wait4(-1, 0)
        except ChildProcessError:
            return
        yield process, used.ru_utime + used.ru_stime


def is_compiled() -> dict[str, bool]:
    """Tell of the largest libraries whether their bytecode lies beside them."""
    found = {}
    for name in ("great_expectations", "mlflow", "prefect", "deployments"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found[name] = Path(importlib.util.cache_from_source(spec.origin)).is_file()
    return found


def run(policy: str, rounds: int) -> dict[str, object]:
    """Measure some rounds, and the imports in another."""
    if ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0):
        raise SystemExit("this kernel cannot hand over orphans: the server cannot be measured")
    compiled = is_compiled()
    found = [measure(policy)[0] for _ in range(rounds)]
    _, imports = measure(policy, trace=True)
    figures = {name: round(statistics.median(r[name] for r in found), 2) for name in found[0]}
    spent = sorted(imports.items(), key=lambda item: -item[1])
    return {
        "compiled to bytecode": compiled,
        "seconds and MB": figures,
        "imports of the run, CPU seconds": {name: round(seconds, 2) for name, seconds in spent},
    }


def main() -> None:
    """Print a table, or with --json one object."""
    if sys.argv[1:2] in (["--inside"], ["--traced"]):
        inside(sys.argv[2:], trace=sys.argv[1] == "--traced")
        return
    parser = argparse.ArgumentParser(description="What a command costs before any work is done.")
    parser.add_argument("--policy", default="registry")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    found = run(given.policy, given.rounds)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for title, part in found.items():
        print(title)
        assert isinstance(part, dict)
        for name, value in part.items():
            print(f"  {name:<30}{value!s:>10}")


if __name__ == "__main__":
    main()
