"""Files that a policy names: hierarchies, codes, units, codes of consents, views.

What a file says is put where the policy could say it itself, so that it is checked as that is. It
is part of the policy's digest, wherever the policy names it: who changes the file changes the
policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

from expectations.errors import Problem
from expectations.policy.code_files import read_codes, read_concept_set
from expectations.policy.factor_files import read_factors
from expectations.policy.fhir_consent import read_mapping
from expectations.policy.hierarchy_files import UnreadableError, find_problems, read_rows
from expectations.policy.plain_yaml import Plain
from expectations.policy.view_files import read_definition

ANYWHERE: Final = "**"
EXPORT: Final = "fhir"
TEXT: Final = "name a file in UTF-8"
CONCEPTS: Final = "name a file of JSON as ATLAS exports a concept set"
UNITS: Final = "name a CSV file in UTF-8 with the columns unit and factor"
Said: TypeAlias = dict[str, Plain]
Judge: TypeAlias = Callable[[Plain, Said, str, str], Iterable[Problem]]


@dataclass(frozen=True)
class File:
    """A key that names a file: what is read of it, and where that is put."""

    into: str | None
    """The key that would say the same; without one, the file holds all keys beside this one."""
    read: Callable[[str, Path], Plain]
    """Reads it by its name and the policy's folder; raises `UnreadableError`."""
    fix: str


@dataclass(frozen=True)
class Kind:
    """One kind of thing that a policy may name by files."""

    places: tuple[str, ...]
    """Where it stands in a policy; `*` is any name or number."""
    mark: str | None
    """The `kind` by which it is known, where others may stand in its place."""
    files: Mapping[str, File]
    others: tuple[str, ...] = ()
    """Keys by which the policy says it itself; nothing stands beside a file."""
    needed: bool = False
    """Whether it must be said, and in one way."""
    judge: Judge | None = None
    """Says what is wrong with what was read or written out: its place, and the path above."""
    name: Callable[[str, Said], str] = lambda path, _: path
    """Names it in the digest, which stays as it was first named."""

    def find(self, tree: Plain) -> dict[str, Said]:
        """Give each that stands in a policy, by its path; the form is not checked yet."""
        found = {path: one for place in self.places for path, one in walk(tree, place.split("."))}
        return {p: one for p, one in found.items() if self.mark in (None, one.get("kind"))}


def walk(tree: Plain, steps: list[str], above: str = "") -> Iterator[tuple[str, Said]]:
    """Give what stands at a place of a policy and has keys, with its path."""
    if isinstance(tree, dict) and steps in ([], [ANYWHERE]):
        yield above, tree
    if not steps:
        return
    step, *rest = steps
    named = (
        enumerate(tree)
        if isinstance(tree, list)
        else tree.items()
        if isinstance(tree, dict)
        else ()
    )
    for name, inner in named:
        if step in {"*", ANYWHERE, name}:
            path = f"{above}.{name}" if above else str(name)
            yield from walk(inner, steps if step == ANYWHERE else rest, path)


def _beside(read: Callable[[Path], object]) -> Callable[[str, Path], Plain]:
    return lambda name, folder: cast("Plain", read(folder / name))


def _read_hierarchy(file: Path) -> list[list[str]]:
    return [[*row] for row in read_rows(file)]


KINDS: Final = (
    Kind(
        ("columns.*.treatment", "derived.*.treatment"),
        "hierarchy",
        {"file": File("rows", _beside(_read_hierarchy), f"{TEXT} with `;` between its levels")},
        others=("of", "rows"),
        judge=find_problems,
        name=lambda path, _: path.split(".")[1],
    ),
    Kind(
        ("basis.events.*.fhir",),
        None,
        {"file": File(None, _beside(read_mapping), "name a YAML file in UTF-8")},
        others=("identifier", "notices", "codes"),
    ),
    Kind(
        ("source.codes.*",),
        None,
        {
            "file": File("codes", _beside(read_codes), f"{TEXT} with one code on a line"),
            "concept_set": File("concepts", _beside(read_concept_set), CONCEPTS),
        },
        others=("codes", "concepts"),
        needed=True,
    ),
    Kind(
        ("source.tables.*.fields.*.unit",),
        None,
        {"file": File("factors", _beside(read_factors), UNITS)},
        others=("factors",),
        needed=True,
        name=lambda path, _: path.removesuffix(".unit").replace(".fields.", "."),
    ),
    Kind(
        ("source.location", "source.tables.*.location", ANYWHERE),
        EXPORT,
        {"view": File("definition", read_definition, "name a file that ends with .json")},
        name=lambda _, said: f"view.{said['view']}",
    ),
)
"""In the order in which their content is in the digest."""


def put_files(plain: Plain, folder: Path) -> Iterator[Problem]:
    """Put what each named file says where the policy would say it; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    source = plain.get("source") if isinstance(plain, dict) else None
    for kind in KINDS:
        for path, said in kind.find(plain).items():
            if kind.mark == EXPORT and isinstance(source, dict):
                said.setdefault("zone", source.get("zone"))  # on the policy's own calendar
            yield from _put(kind, path, said, folder)


def _put(kind: Kind, path: str, said: Said, folder: Path) -> Iterator[Problem]:
    forms = [*kind.files, *kind.others]
    given = [form for form in forms if said.get(form) is not None]
    named = [form for form in given if form in kind.files]
    if (kind.needed and len(given) != 1) or (named and len(given) > 1):
        what = f"has `{given[1]}` beside `{given[0]}`" if given else "is not said"
        place = f"{path}.{named[0]}" if named else path
        one = f"give one of {', '.join(f'`{form}`' for form in forms)}"
        yield Problem(place, what, one if kind.needed else f"take out `{named[0]}`, or the others")
        return
    for key, file in kind.files.items():
        into, name = file.into, said.get(key)
        if isinstance(name, str):
            try:
                read = file.read(name, folder)
            except UnreadableError as error:
                yield Problem(f"{path}.{key}", str(error), error.fix or file.fix)
                continue
            faults = [*kind.judge(read, said, f"{path}.{key}", path)] if kind.judge else []
            yield from faults
            if not faults:
                said.update({into: read} if into else read if isinstance(read, dict) else {})
        elif kind.judge and into and into in said:
            yield from kind.judge(said[into], said, f"{path}.{into}", path)


def list_named(dumped: Plain) -> dict[str, Plain]:
    """Give what stands in files beside a policy, by its name in the digest."""
    return {
        kind.name(path, said): said[file.into] if file.into else said
        for kind in KINDS
        for path, said in kind.find(dumped).items()
        for key, file in kind.files.items()
        if said.get(key)
    }
