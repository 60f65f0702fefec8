"""A released table as an attacker sees it: its people, its cells, and what a label may stand for.

A released label stands for a set of original values: itself, or what a coverage says, column by
column (`{"age": {"20-39": ["20-29", "30-39"]}}`). A label that is neither an original value nor in
the coverage is taken to stand for the values that were seen under it. A missing value is the word
"missing". Released rows and people belong together by their index; nothing here knows how the
labels were found.

`declare_coverage` reads which labels stand for what as anybody can, from the policy. It is written
anew from the policy's words and what `TableOutlet` says of merges, so that an attack does not
depend on the recoding that it attacks. What it finds and is not released does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.errors import UsageError
from expectations.policy.outlets import Generalized, TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.treatments import has_order, public_labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]

Coverage = Mapping[str, Mapping[str, Collection[str]]]
"""Per column, which original values a released label stands for."""

ABSENT: Final = -1
"""The released row of somebody who is not in the table, and the code of a value unknown there."""
MISSING: Final = "missing"
ROOT: Final = "*"
JOIN: Final = "~"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_ENDS: Final = re.compile(rf"({_NUMBER.pattern})-({_NUMBER.pattern})")
_ENDS_OF_LABEL: Final = re.compile(r"(?<![\d,.])-?\d[\d,]*(?:\.\d+)?")
"""The numbers in a label of an interval; a hyphen behind a digit is no sign."""


@dataclass(frozen=True)
class Column:
    """One released column: the original values `known`, its `labels`, and what each covers.

    The values under label n are `member[start[n]:start[n + 1]]`, as codes; `share` is each value's
    share of the people, 0 to 1, which an attacker is taken to know from public statistics.
    """

    name: str
    known: pd.Index
    labels: pd.Index
    start: Codes
    member: Codes
    share: NDArray[np.float64]

    @property
    def width(self) -> Codes:
        """How many values each label covers."""
        return np.diff(self.start)

    @property
    def covers(self) -> NDArray[np.bool_]:
        """Whether each label covers each value, shape (labels, values)."""
        flags = np.zeros((len(self.labels), len(self.known)), dtype=bool)
        flags[np.repeat(np.arange(len(self.labels)), self.width), self.member] = True
        return flags

    def expand(self, labels: Codes) -> tuple[Codes, Codes]:
        """Give every value under some labels: the label's place among them, and the value."""
        width = self.width[labels]
        place = np.repeat(np.arange(len(labels)), width)
        first = np.repeat(self.start[labels] - np.cumsum(width) + width, width)
        return place, self.member[first + np.arange(len(place))]


@dataclass(frozen=True)
class People:
    """People by their original values: codes, shape (columns, people), and their released rows.

    `own` is the number of the distinct released row of each, or `ABSENT`; by `draws`, of their
    names in the index, they are drawn to be attacked.
    """

    codes: Codes
    own: Codes
    draws: NDArray[np.uint64] | None = None

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self.own)

    def take(self, which: Codes) -> People:
        """Choose some of the people."""
        draws = None if self.draws is None else self.draws[which]
        return People(self.codes[:, which], self.own[which], draws)

    def gather(self) -> tuple[People, Codes]:
        """Give one of each kind of people, sorted by their values, the last column first; how many.

        The people of a large table are of few kinds.
        """
        cells, number = distinct_columns(np.vstack([self.codes[::-1], self.own]))
        return People(cells[-2::-1], cells[-1]), np.bincount(number, minlength=cells.shape[1])


@dataclass(frozen=True)
class Release:
    """Distinct released rows: label codes, shape (columns, rows), and how many people each holds.

    `group` numbers the classes of rows that share the columns over which `k` holds.
    """

    columns: tuple[Column, ...]
    rows: Codes
    people: Codes
    group: Codes
    k: int

    def place(self, names: Collection[str]) -> list[int]:
        """Find columns by name."""
        return [at for at, column in enumerate(self.columns) if column.name in names]

    def without(self, people: People) -> Release:
        """Give the table as if some people had not been in it.

        Classes that would then hold fewer than k people are gone: they could not be released.
        """
        there = people.own[people.own != ABSENT]
        left = self.people - np.bincount(there, minlength=len(self.people))
        large = np.bincount(self.group, left) >= self.k
        return replace(self, people=np.where(large[self.group], left, 0))

    def recognize(self, frame: pd.DataFrame) -> People:
        """Read people who are not in the table, such as a hold-out."""
        codes = [column.known.get_indexer(spell(frame[column.name])) for column in self.columns]
        return People(np.array(codes, dtype=np.int64), np.full(len(frame), ABSENT))


def read_release(  # noqa: PLR0913  # a table, its people, and the promise that it was made under
    released: pd.DataFrame,
    originals: pd.DataFrame,
    columns: Sequence[str],
    *,
    k: int = 1,
    protected: Collection[str] | None = None,
    coverage: Coverage | None = None,
) -> tuple[Release, People]:
    """Read a released table and the people it was made from, who share its index.

    `protected` are the columns over which k holds, by default all. Columns and released rows are
    sorted, so that their order changes nothing; people keep the order of `originals`. Raises
    `UsageError` for an empty table, a column that is not there, an index that repeats, or a
    released row that belongs to nobody.
    """
    from pandas.util import hash_array

    _check(released, originals, columns)
    place = originals.index.get_indexer(released.index)
    known = [_read_column(n, released, originals, place, coverage or {}) for n in sorted(columns)]
    rows, number = distinct_columns(np.array([labels for _, _, labels in known]))
    own = np.full(len(originals), ABSENT)
    own[place] = number
    inside = set(columns if protected is None else protected)
    within = [at for at, (column, _, _) in enumerate(known) if column.name in inside]
    _, group = distinct_columns(rows[within])
    held = np.bincount(number, minlength=rows.shape[1])
    release = Release(tuple(column for column, _, _ in known), rows, held, group, k)
    draws = hash_array(originals.index.to_numpy())
    return release, People(np.array([values for _, values, _ in known]), own, draws)


def distinct_columns(cells: Codes) -> tuple[Codes, Codes]:
    """Give the distinct columns of a matrix of codes, sorted, and which one each column is."""
    import pandas as pd

    key, bound = np.zeros(cells.shape[1], dtype=np.int64), 1
    for part in cells:
        # From -1 on, the code of what is absent.
        size = int(part.max(initial=0)) + 2
        # Numbered anew before the joint code no longer fits into 64 bits.
        if bound > 2**62 // size:
            key, known = pd.factorize(key)
            bound = len(known)
        key, bound = key * size + part + 1, bound * size
    number, known = pd.factorize(key)
    # Written backwards, so that the first of equal columns stays.
    first = np.empty(len(known), dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    order = np.lexsort(cells[::-1, first]) if len(cells) else np.arange(len(first))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return cells[:, first[order]], rank[number]


def _read_column(
    name: str,
    released: pd.DataFrame,
    originals: pd.DataFrame,
    place: Codes,
    coverage: Coverage,
) -> tuple[Column, Codes, Codes]:
    """Read one column: what its labels cover, each person's value, each released row's label."""
    import pandas as pd

    known, value = number_words(originals[name])
    shown, label = number_words(released[name])
    seen: dict[int, Codes] = {}
    of_label, member = [], []
    for number, text in enumerate(shown):
        under = coverage.get(name, {}).get(text)
        codes = known.get_indexer(pd.Index([text] if under is None else sorted(under), dtype=str))
        codes = codes[codes != ABSENT]
        if not len(codes):
            seen = seen or _values_seen(label, value[place])
            codes = seen[number]
        of_label.append(np.full(len(codes), number))
        member.append(np.sort(codes))
    start = np.searchsorted(np.concatenate(of_label), np.arange(len(shown) + 1))
    share = np.bincount(value, minlength=len(known)) / len(value)
    return Column(name, known, shown, start, np.concatenate(member), share), value, label


def _values_seen(label: Codes, value: Codes) -> dict[int, Codes]:
    """Give the values that stand behind each label."""
    pairs = np.unique(np.stack([label, value]), axis=1)
    return {int(one): pairs[1, pairs[0] == one] for one in np.unique(label)}


def spell(values: pd.Series) -> pd.Index:
    """Spell values as hierarchies do: whole floats as integers, missing ones as a word."""
    code, words = _spell_distinct(values)
    return words.take(code)


def number_words(values: pd.Series) -> tuple[pd.Index, Codes]:
    """Give the distinct words of a column, sorted, and the place of each row's word among them."""
    code, words = _spell_distinct(values)
    # The word for what is missing stands last, and may be nobody's.
    known = words[: len(words) - (not (code == len(words) - 1).any())].unique().sort_values()
    return known, known.get_indexer(words)[code]


def _spell_distinct(values: pd.Series) -> tuple[Codes, pd.Index]:
    """Spell the distinct values, and a missing one last; also give which of them each row has."""
    import pandas as pd

    code, distinct = pd.factorize(values)
    words = [
        str(int(one)) if isinstance(one, float) and one.is_integer() else str(one)
        for one in distinct
    ]
    return code % (len(words) + 1), pd.Index([*words, MISSING], dtype=str)


def _check(released: pd.DataFrame, originals: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse tables that do not belong together."""
    if lacking := sorted(set(columns) - (set(released.columns) & set(originals.columns))):
        raise UsageError(
            f"attack on a table: no column {', '.join(lacking)} in both tables; correct the columns"
        )
    if not columns or released.empty:
        raise UsageError("attack on a table: nothing to attack; give rows and at least one column")
    if not originals.index.is_unique or not released.index.is_unique:
        raise UsageError("attack on a table: the index names a person twice; make it unique")
    if strangers := int((~released.index.isin(originals.index)).sum()):
        raise UsageError(
            f"attack on a table: {strangers} released rows belong to nobody; keep the people's "
            "index in the released table"
        )


def declare_coverage(
    policy: Policy, outlet: TableOutlet, released: Mapping[str, Iterable[str]]
) -> Coverage:
    """Give, for each released column with declared labels, what each coarser label stands for.

    `released` are the labels that occur, of which sets (`a~b`, and `1-3~b` for neighbouring
    numbers) are read.
    """
    coverage: dict[str, Mapping[str, Sequence[str]]] = {}
    for column, how in outlet.columns.items():
        treatment = policy.treated[column].treatment
        labels = public_labels(treatment, policy.column_type(column))
        if labels is None or how == "keep":
            continue
        found = {label: [label] for label in labels} | {ROOT: [*labels, MISSING]}
        if isinstance(how, Generalized) and how.levels:
            found |= _group(labels, how.levels)
        elif outlet.output == "hierarchy" and has_order(treatment):
            found |= _merge(labels)
        if outlet.output == "sets":
            found |= split_sets(released.get(column, ()), {*labels, MISSING})
        coverage[column] = found
    return coverage


def _group(
    labels: Sequence[str], levels: Sequence[Mapping[str, tuple[str, ...]]]
) -> dict[str, list[str]]:
    """Follow declared groupings down to the labels; a member is a label or a group before it."""
    found = {label: [label] for label in labels}
    for level in levels:
        above = {
            group: [leaf for member in members for leaf in found.get(member, [])]
            for group, members in level.items()
        }
        found |= above
    return found


def _merge(labels: Sequence[str]) -> dict[str, list[str]]:
    """Merge neighbours of an ordered scale two by two, level by level.

    A merge may be called by its ends alone (`a~b`), as earlier versions called more of them.
    """
    found: dict[str, list[str]] = {}
    width = 2
    while width < len(labels):
        for start in range(0, len(labels), width):
            part = list(labels[start : start + width])
            after = labels[start + width] if start + width < len(labels) else None
            spelt = _call_interval(part[0], part[-1], after)
            names = {f"{part[0]}{JOIN}{part[-1]}", spelt} - {*labels}
            found |= dict.fromkeys(names if len(part) > 1 else part, part)
        width *= 2
    return found


def _call_interval(first: str, last: str, after: str | None) -> str:
    """Name the interval from one label to another in their own words: `under 50`, `40-59`, `40+`.

    Each has one number or two; what a word before or behind them says is taken from the label at
    that end. A first label with a word before its number has no lower end.
    """
    own, other = _ENDS_OF_LABEL.findall(first), _ENDS_OF_LABEL.findall(last)
    if not own or not other:
        return f"{first}{JOIN}{last}"
    if first.startswith(("under", "below", "less", "<")):
        then = _ENDS_OF_LABEL.findall(after or "")
        bound = other[-1] if "under" in last else (then or [""])[0]
        return first.replace(own[0], bound)
    if len(other) == 1 and last != other[0]:
        return last.replace(other[0], own[0])
    joint = next((word for word in (" to under ", " to ") if word in last), "-")
    joint = " to " if joint == "-" and " to " in first else joint
    minus = own[0].startswith("-")
    return f"{'from ' * minus}{own[0]}{' to ' if minus and joint == '-' else joint}{other[-1]}"


def split_sets(released: Iterable[str], known: set[str]) -> dict[str, list[str]]:
    """Read the members of each set whose members are all declared, alone or inside a range."""
    found = {}
    for text in released:
        parts = [_open_range(part, known) for part in text.split(JOIN)]
        if all(parts):
            found[text] = [member for part in parts for member in part]
    return found


def _open_range(part: str, known: set[str]) -> list[str]:
    """Give a declared label itself, and for a range the declared numbers from end to end."""
    if part in known:
        return [part]
    ends = _ENDS.fullmatch(part)
    if ends is None or not known.issuperset(ends.groups()):
        return []
    low, high = map(float, ends.groups())
    numbers = [label for label in known if _NUMBER.fullmatch(label)]
    return [label for label in numbers if low <= float(label) <= high]
