"""The catalogue of deliberate breaks, and where each stands in the code as it is now.

A break names a function or class, and an expression or statement in it, compared as Python reads
them: formatting, comments, files and modules do not matter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import Any, Final, TypeAlias

import yaml

ROOT: Final = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())
CATALOGUE: Final = Path(__file__).with_name("breaks.yaml")
Named: TypeAlias = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Break:
    """One weakening of one promise: what stands in a function, and what becomes of it."""

    id: str
    subject: str
    function: str
    expression: str
    becomes: str
    promise: str


@dataclass(frozen=True)
class Place:
    """Where a break's expression stands: its file from the root, its bytes, and the lines run.

    `inside` are the lines that its statement decides about, such as those below an `if`.
    """

    file: str
    start: int
    end: int
    column: int
    lines: range
    inside: range
    statement: bool


def read_catalogue() -> list[Break]:
    """Read all breaks."""
    found = yaml.safe_load(CATALOGUE.read_text("utf-8"))
    return [
        Break(one["id"], subject, one["in"], one["expression"], one["becomes"], one["promise"])
        for subject, breaks in found.items()
        for one in breaks
    ]


def list_packages() -> list[str]:
    """Name the packages that breaks are made in."""
    return sorted(p.parent.name for p in ROOT.glob("*/__init__.py") if p.parent.name != "tests")


@cache
def read_named() -> dict[str, list[tuple[str, Named]]]:
    """Give every function and class of the packages by its qualified name, with its file."""
    found: dict[str, list[tuple[str, Named]]] = {}
    for package in list_packages():
        for file in sorted((ROOT / package).rglob("*.py")):
            for name, named in name_named(ast.parse(file.read_bytes())):
                found.setdefault(name, []).append((file.relative_to(ROOT).as_posix(), named))
    return found


def name_named(node: ast.AST, above: str = "") -> Iterator[tuple[str, Named]]:
    """Give the functions and classes in a tree by their qualified names."""
    for child in ast.iter_child_nodes(node):
        name = above
        if isinstance(child, Named):
            name = f"{above}{child.name}."
            yield name[:-1], child
        yield from name_named(child, name)


def find_places(one: Break) -> list[Place]:
    """Find every place at which a break's expression stands."""
    wanted = _parse(one.expression)
    return [
        _place(file, named, node)
        for file, named in read_named().get(one.function, [])
        for statement in named.body
        for node in ast.walk(statement)
        if type(node) is type(wanted) and ast.dump(node) == ast.dump(wanted)
    ]


def find_place(one: Break) -> Place:
    """Find the one place of a break; says what to do where there is none, or several."""
    places = find_places(one)
    if len(places) != 1:
        raise LookupError(
            f"{one.id}: `{one.expression}` stands {len(places)} times in what is named "
            f"{one.function}: correct it in {CATALOGUE.name}, or name a longer expression"
        )
    return places[0]


def break_source(source: bytes, place: Place, becomes: str) -> bytes:
    """Give the source of a file with a break in it; no other byte changes."""
    new = indent(becomes, " " * place.column).lstrip() if place.statement else f"({becomes})"
    return source[: place.start] + new.encode() + source[place.end :]


def _parse(text: str) -> ast.AST:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return ast.parse(text).body[0]


def _place(file: str, named: Named, node: Any) -> Place:
    starts = [0]
    for line in (ROOT / file).read_bytes().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    start = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    around = [
        inner
        for inner in ast.walk(named)
        if isinstance(inner, ast.stmt) and node in ast.walk(inner)
    ]
    nearest = max(around, key=lambda statement: statement.lineno)
    # What runs is noted by the line on which its statement begins.
    lines = range(nearest.lineno, node.end_lineno + 1)
    below = getattr(nearest, "body", None) or []
    inside = range(below[0].lineno, below[-1].end_lineno + 1) if below else range(0)
    return Place(file, start, end, node.col_offset, lines, inside, isinstance(node, ast.stmt))
