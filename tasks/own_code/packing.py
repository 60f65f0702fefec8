"""What goes along with a model of one's own class: its code as packages, and what these need.

The code goes under the private name that the saved model calls it by, so that it clashes with
nothing where it is loaded either. What is imported there but stands in no installed distribution,
nobody can name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tasks.own_code.loading import known_sources

ALWAYS: Final = ("tutela", "scikit-learn", "skops")
"""What every model needs to be loaded."""


@contextmanager
def written_sources(types: Iterable[str]) -> Iterator[list[str] | None]:
    """Write out the own code that some types (by full name) come from, as packages to go along.

    Gives the packages' folders, None without any; they are gone afterwards.
    """
    with TemporaryDirectory() as place:
        packages = []
        for package in sorted(top_levels(types)):
            for path, text in (known_sources(package) or {}).items():
                file = Path(place, package, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                packages.append(str(Path(place, package)))
        yield list(dict.fromkeys(packages)) or None


def requirements(types: Iterable[str]) -> list[str]:
    """Name the distributions, as installed here, that loading a model of these types needs."""
    imported = set[str]()
    for package in top_levels(types):
        texts = known_sources(package)
        imported |= {package} if texts is None else set(find_imported(texts.values()))
    # Reading what each distribution holds takes a second; most models need no more than `ALWAYS`.
    there = packages_distributions() if imported else {}
    needed = {there[name][0] for name in imported if name in there}
    return [f"{package}=={version(package)}" for package in (*ALWAYS, *sorted(needed - {*ALWAYS}))]


def top_levels(types: Iterable[str]) -> set[str]:
    """Give the top-level packages of full names."""
    return {name.partition(".")[0] for name in types}


def find_imported(texts: Iterable[str]) -> Iterator[str]:
    """Name the top-level packages that some Python texts import by their full names."""
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from top_levels(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield from top_levels([node.module])
