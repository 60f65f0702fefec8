"""Whether a model's file holds people: what was found in it, and what would have been.

The model is searched as its recipient gets it, byte by byte, for what no honest model needs: rows,
parts of rows and columns of the people that it learned from (`held_rows`, `held_parts`), as many
entries as there were people, tables of how alike they are, and words that neither the policy nor
the code knows. What cannot be read is refused. A finding names its place in the file, and tells
about how many people it is of; never a value.

Not found is what was encrypted, compressed or mixed with other numbers on purpose.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.held_parts import search_parts
from tasks.attack.held_rows import Held, search_numbers, survey_people
from tasks.attack.serialized import Contents, Numbers, Path, read_contents

if TYPE_CHECKING:
    from tasks.attack.held_rows import Crowd

NAME: Final = "holds nobody's rows"
"""What the check is called."""
MANY: Final = 100
"""People, of whom an equal number of entries is no chance."""
COUNTED: Final = 1_000
"""People, whose number in the model is no chance."""
FEW: Final = 8
"""Entries of an array in which single numbers are looked at."""
LEAST_SINGLED: Final = 10
"""People with a row of their own, without whom no row found would be anybody's."""
OTHERS: Final = "train logistic-regression, gradient-boosting or a private model"
ADVICE: Final = {
    CheckVerdict.REFUSED: f"{OTHERS}, which keep nobody's rows; in a class of your own, keep what "
    "was learned and delete the rest",
    CheckVerdict.INCONCLUSIVE: "read what the model's class keeps, and write `search: "
    "{when_inconclusive: report}` under `attacks`",
    CheckVerdict.PASSED: "",
}
MOST_TOLD: Final = 5
"""Places of one kind that a finding names."""
ALIKE, AS_MANY, COUNT = "how alike are", "as many entries as there are", "the exact number of"
FORMAT: Final = frozenset({
    "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "bit_generator", "buffer", "buffer_pos",
    "counter", "entropy", "gauss", "has_gauss", "has_uint32", "inc", "key", "n_children_spawned",
    "pool_size", "pos", "spawn_key", "state", "uinteger", "node_count", "nodes", "values",
    "bin_threshold", "bitset_idx", "count", "depth", "feature_idx", "gain", "is_categorical",
    "is_leaf", "left", "missing_go_to_left", "num_threshold", "right", "value",
})  # fmt: skip
"""Words by which numpy and scikit-learn name the parts of generators and trees, in no text."""


@dataclass(frozen=True, slots=True)
class Public:
    """What is known before any person: words, and sizes that say nothing of how many people."""

    words: frozenset[str] = frozenset()
    sizes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found, and over what."""

    held: tuple[Held, ...]
    unknown: tuple[Path, ...]
    """Where there are words that nobody declared."""
    unread: tuple[tuple[Path, str], ...]
    arrays: int
    figures: int
    people: int
    singled: float
    """The share of the people whose row nobody else has."""
    names: frozenset[str] = field(default_factory=frozenset)
    """Words that a place may be called by."""

    @property
    def powerless(self) -> bool:
        """Whether a row of the file would be nobody's in particular."""
        return self.singled * self.people < LEAST_SINGLED

    @property
    def verdict(self) -> CheckVerdict:
        """Refused by whatever was found or not read; inconclusive where no row is anybody's."""
        if self.held or self.unknown or self.unread:
            return CheckVerdict.REFUSED
        return CheckVerdict.INCONCLUSIVE if self.powerless else CheckVerdict.PASSED


def search_model(
    content: bytes, crowd: Crowd, numbers_of: Iterable[int], public: Public
) -> Searched:
    """Search a model's file for the people it learned from.

    `numbers_of` are the numbers of people that are nobody's to know: of all, of each class.
    """
    contents, known = read_contents(content), survey_people(crowd)
    written = list_written(contents.types)
    names = public.words | FORMAT | {word for word in written if isinstance(word, str)}
    unknown = tuple(dict.fromkeys(at for word, at in contents.words.items() if word not in names))
    sizes = public.sizes | {*known.widths} | {width + 1 for width in known.widths}
    counts = {count for count in numbers_of if count not in sizes | written}
    held = [
        *search_numbers(contents.numbers, crowd, known),
        *search_parts(contents.numbers, known),
        *find_alike(contents.numbers, max(known.widths)),
        *find_as_many(contents, counts),
        *find_counts(contents, counts),
    ]
    within = {one.path[:depth] for one in held for depth in range(len(one.path))}
    once = {one.path: one for one in reversed(held) if one.path not in within}
    return Searched(
        tuple(one for one in held if once.get(one.path) is one),
        unknown,
        tuple(contents.unread),
        len(contents.numbers),
        sum(one.values.size for one in contents.numbers),
        known.people,
        known.singled,
        names,
    )


def find_alike(numbers: Iterable[Numbers], width: int) -> Iterator[Held]:
    """Find symmetric tables, as of people by people, with more rows than features."""
    for one in numbers:
        rows = one.values.shape[0] if one.values.ndim == 2 else 0
        if rows > max(width + 1, FEW) and one.values.shape == (rows, rows) and not one.of_tree:
            values = one.values.astype(np.float64)
            spread = values[~np.eye(rows, dtype=bool)]
            if np.allclose(values, values.T, equal_nan=True) and np.ptp(spread) > 0:
                yield Held(one.path, ALIKE, rows)


def find_as_many(contents: Contents, counts: set[int]) -> Iterator[Held]:
    """Find arrays, lists and mappings of as many entries as there were people.

    Not where there are several of a kind, of different lengths: they come as they come.
    """
    lengths = [(one.path, size) for one in contents.numbers for size in one.values.shape
               if not one.of_tree and not one.gathered] + contents.lengths  # fmt: skip
    kinds: dict[Path, set[int]] = {}
    for path, size in lengths:
        kinds.setdefault(name_kind(path), set()).add(size)
    for path, size in dict.fromkeys(lengths):
        if size >= MANY and size in counts and len(kinds[name_kind(path)]) <= 3:
            yield Held(path, AS_MANY, size)


def name_kind(path: Path) -> Path:
    """Give a place without its numbers in lists, as all of its kind have it."""
    return tuple("" if isinstance(part, int) else part for part in path)


def find_counts(contents: Contents, counts: set[int]) -> Iterator[Held]:
    """Find numbers that say exactly how many people there were."""
    telling = np.array(sorted(count for count in counts if count >= COUNTED), dtype=np.float64)
    few = [(one.path, one.values) for one in contents.numbers
           if one.values.size <= FEW and not one.of_tree]  # fmt: skip
    for path, values in [*contents.single, *few]:
        met = np.intersect1d(np.asarray(values, dtype=np.float64).ravel(), telling)
        if len(met):
            yield Held(path, COUNT, int(met[0]))


def list_written(types: Iterable[tuple[str, str]]) -> frozenset[str | int]:
    """List the words and numbers in the code of some types: nobody's, whoever came."""
    written, modules = set[str | int](), set[str]()
    for module, name in types:
        found = getattr(sys.modules.get(module), name, None)
        if found is not None:
            written |= {name, *dir(found)}
            modules |= {cls.__module__ for cls in getattr(found, "__mro__", ())} | {module}
    modules |= {module.partition(".")[0] for module in modules}
    for module in modules - {"builtins", "abc"}:
        written.update(walk_code(read_code(module)))
    return frozenset(written)


def read_code(module: str) -> object:
    """Give the code of a module's text; None of one that has no text."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    give = getattr(spec and spec.loader, "get_code", None)
    return give(module) if give else None


def walk_code(code: object) -> Iterator[str | int]:
    """List the names, words and whole numbers that some code is made of."""
    match code:
        case str() | int():
            yield code
        case tuple() | frozenset():
            for part in code:
                yield from walk_code(part)
        case CodeType():
            yield from (code.co_name, *code.co_names, *code.co_varnames)
            yield from (*code.co_freevars, *code.co_cellvars)
            yield from walk_code(code.co_consts)


def judge_search(found: Searched, publish: Callable[[int], str], outlet: str) -> Check:
    """Say what a search found, with about how many people it is of."""
    return Check(
        name=NAME,
        asked="no rows, columns, counts or words of people in the model's file",
        measured="; ".join(describe_found(found, publish)) or describe_nothing(found),
        verdict=found.verdict,
        power=describe_power(found, publish),
        remedy=ADVICE[found.verdict],
        outlet=outlet,
    )


def describe_found(found: Searched, publish: Callable[[int], str]) -> Iterator[str]:
    """Say what was found and where, one kind after the other."""
    kinds: dict[str, list[Held]] = {}
    for one in found.held:
        kinds.setdefault(one.what, []).append(one)
    for what, each in kinds.items():
        places = list_places([one.path for one in each], found.names)
        most = publish(min(max(one.people for one in each), max(found.people, 1)))
        yield f"{places}: {what} {most} people"
    if found.unknown:
        places = list_places(found.unknown, found.names)
        yield f"{places}: words that neither the policy nor the code has"
    for why in dict.fromkeys(why for _, why in found.unread):
        places = list_places([path for path, its in found.unread if its == why], found.names)
        yield f"{places}: {why}, which cannot be searched"


def describe_nothing(found: Searched) -> str:
    """Say that nothing was found, and whether anything could have been."""
    if found.powerless:
        return "nothing found, but hardly anybody has a row that nobody else has"
    return "nothing of the people it was trained on"


def describe_power(found: Searched, publish: Callable[[int], str]) -> str:
    """Say what was searched, for whom, and what would have been found."""
    share = f"{100 * found.singled:.0f} %"
    return (
        f"searched {found.arrays:,} arrays and lists of {found.figures:,} numbers for "
        f"{publish(found.people)} people, of whom about {share} have a row that nobody else has; a "
        "row of theirs, a column in their order, or as many entries as people would be found, also "
        "scaled, rounded, flattened or with other columns; not what was encrypted on purpose"
    )


def list_places(paths: Sequence[Path], names: frozenset[str]) -> str:
    """Name places in the model as Python reaches them; a name that nobody declared is left out."""
    named = list(dict.fromkeys(show_place(path, names) for path in paths))
    more = f" and {len(named) - MOST_TOLD} more" if len(named) > MOST_TOLD else ""
    return ", ".join(f"`{place}`" for place in named[:MOST_TOLD]) + more


def show_place(path: Path, names: frozenset[str]) -> str:
    """Write a place as Python does; the steps of the pipeline by their numbers."""
    if path[:1] == ("steps",) and len(path) > 2:
        path = (path[1], *path[3:])
    made = "model"
    for part in path:
        if isinstance(part, int):
            made += f"[{part}]"
        else:
            made += f".{part}" if part in names else ".…"
    return made


def gather_words(*sources: object) -> Iterator[str]:
    """List the words in some plain values: of mappings their keys too."""
    for source in sources:
        match source:
            case str():
                yield source
            case Mapping():
                yield from gather_words(*source, *source.values())
            case list() | tuple() | set() | frozenset():
                yield from gather_words(*source)


def gather_sizes(*sources: object) -> Iterator[int]:
    """List the whole numbers in some plain values."""
    for source in sources:
        match source:
            case bool():
                pass
            case int():
                yield source
            case float() if source.is_integer():
                yield int(source)
            case Mapping():
                yield from gather_sizes(*source.values())
            case list() | tuple() | set() | frozenset():
                yield from gather_sizes(*source)
