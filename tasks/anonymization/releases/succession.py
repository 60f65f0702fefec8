"""Releases one after the other: leaving out rows until no difference of two isolates anybody.

All that an observer knows of a release is what `CountedRows` holds: its distinct rows, as spelled
in the released file, and how many people have each. Rows are in classes by the columns over which k
holds; the other released columns are their tail. Nothing here knows whose a row is.

Whoever has two releases of a table can subtract one from the other. Of a group of rows that both
describe - a class, where both were made by one plan - they see how many were added, how many are
gone, and how many may be the same people. Here each of the three is made nobody or at least k
people, for every earlier release, by leaving rows out: newcomers wait until k have come, and with
fewer than k who left others leave as well. Each release is k-anonymous by itself as before.
Where columns are sensitive, the models that look at a class alone are asked of the three as well.

Who leaves as well is drawn, each as likely, by a generator that only the home can seed: were it
the most frequent rows, a rare one that is gone would be known to be of somebody who left
(minimality: Wong et al., "Minimality attack in privacy preserving data publishing", 2007).

What it costs: a class that one person left loses k people or, if fewer than k would be left, all;
and it adds up, since every earlier release counts. Of Adult's 30,162 rows over five columns at
k = 5, with 1 % of the people leaving and as many coming between any two releases, the second leaves
out 5 % and the eighth 33 % (`benchmarks/leavers.py`).

What this does not protect against: that something changed in a class shows, of which `decoys` sees
to it that it is seldom theirs alone who came or left; how far the values of those who came or left
are from the table's (t-closeness, beta-likeness and delta-disclosure hold in each release only);
what the differences of three releases show and no two do. Who is in both of two classes is seen to
by `crossings`. Between plans only regions that both describe are compared, the smallest unions of
classes that hold the same people under either plan. Xiao and Tao, "m-invariance" (2007), solve the
problem for one sensitive value by counterfeit rows; here nobody is made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expectations.policy.privacy_models import PrivacyModel, compares_with_the_table
from expectations.policy.vocabulary import MISSING
from tasks.anonymization.loss import PEOPLE
from tasks.anonymization.requirement import Requirement

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CountedRows:
    """Distinct rows of texts, in the order of these, and the count of each, shape (rows,)."""

    columns: tuple[str, ...]
    linkable: tuple[str, ...]
    """The columns over which k holds."""
    labels: Mapping[str, pa.Array]
    """The texts that each column has, in their order."""
    codes: Mapping[str, Counts]
    """The place of each row's text among these, by column."""
    counts: Counts

    @property
    def tail(self) -> tuple[str, ...]:
        """The released columns outside k."""
        return tuple(column for column in self.columns if column not in self.linkable)

    def select(self, columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Give some columns of each distinct row."""
        if not columns:
            return [()] * len(self.counts)
        texts = (self.labels[column].take(self.codes[column]).to_pylist() for column in columns)
        return list(zip(*texts, strict=True))

    @classmethod
    def from_csv(
        cls, content: bytes, linkable: Sequence[str], names: Mapping[str, str] | None = None
    ) -> CountedRows:
        """Count the rows of a released file (see `tasks.handover.readiness.table_content`).

        `names` are the columns that are looked at, and what each is called; None: all, as named.
        """
        import pandas as pd

        texts = pd.read_csv(
            BytesIO(content), dtype=str, keep_default_na=False, skip_blank_lines=False
        )
        looked_at = texts if names is None else texts[list(names)].rename(columns=names)
        return cls._count(looked_at, linkable)[0]

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, names: Mapping[str, str], linkable: Sequence[str]
    ) -> tuple[CountedRows, Counts]:
        """Count the rows of a frame as its file will show them; also say which each row is.

        `names` are the columns that are looked at, and what each is called.
        """
        return cls._count(frame[list(names)].rename(columns=names), linkable)

    @classmethod
    def _count(cls, frame: pd.DataFrame, linkable: Sequence[str]) -> tuple[CountedRows, Counts]:
        """Find the distinct rows first, since spelling is what takes long."""
        import pyarrow as pa

        from tasks.sources.naming import spell

        columns = list(frame.columns)
        grouped = frame.groupby(columns, dropna=False, observed=True, sort=False)
        group = grouped.ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        table = pa.Table.from_pandas(frame.iloc[first], preserve_index=False)
        texts = {name: spell(table[name]).fill_null(MISSING) for name in columns}
        counts = np.bincount(group, minlength=len(first)).astype(np.int64)
        found, number = cls.from_texts(texts, linkable, counts)
        return found, number[group]

    @classmethod
    def from_texts(
        cls, texts: Mapping[str, pa.ChunkedArray], linkable: Sequence[str], counts: Counts
    ) -> tuple[CountedRows, Counts]:
        """Put rows of so many people each in order, equal ones together; say which each row is."""
        labels, codes = {}, {}
        for name, column in texts.items():
            labels[name], codes[name] = _rank(column)
        key = _combine(labels, codes, list(texts), len(counts))
        distinct, first, number = np.unique(key, return_index=True, return_inverse=True)
        people = np.bincount(number, counts, len(distinct)).astype(np.int64)
        kept = {name: code[first] for name, code in codes.items()}
        return cls(tuple(texts), tuple(linkable), labels, kept, people), number

    def keep(self, counts: Counts) -> CountedRows:
        """Give these rows in other numbers, shape (rows,); of which there are none, they go."""
        some = counts > 0
        codes = {name: code[some] for name, code in self.codes.items()}
        return replace(self, codes=codes, counts=counts[some])

    def to_bytes(self) -> bytes:
        """Write them; the same rows give the same bytes."""
        rows = self.select(self.columns)
        body = {"columns": self.columns, "linkable": self.linkable, "rows": rows}
        return json.dumps({**body, "counts": self.counts.tolist()}, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> CountedRows:
        """Read what `to_bytes` wrote."""
        import pyarrow as pa

        read = json.loads(content)
        texts = {
            name: pa.chunked_array([pa.array([row[place] for row in read["rows"]], pa.string())])
            for place, name in enumerate(read["columns"])
        }
        counts = np.array(read["counts"], dtype=np.int64)
        return cls.from_texts(texts, read["linkable"], counts)[0]


def _rank(texts: pa.ChunkedArray) -> tuple[pa.Array, Counts]:
    """Give the texts that occur, in their order, and the place of each row's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = texts.cast(pa.large_string()).combine_chunks().dictionary_encode()
    order = pc.sort_indices(found.dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return found.dictionary.take(order), place[found.indices.to_numpy()]


def _combine(
    labels: Mapping[str, pa.Array], codes: Mapping[str, Counts], names: Sequence[str], rows: int
) -> Counts:
    """Give one number for each row's places in some columns, in the order of these columns."""
    key, size = np.zeros(rows, np.int64), 1
    for name in names:
        if size * len(labels[name]) >= 2**62:
            # Only the order matters, and there are no more numbers than rows.
            distinct, key = np.unique(key, return_inverse=True)
            size = len(distinct)
        key, size = key * len(labels[name]) + codes[name], size * len(labels[name])
    return key


MeetsModels = Callable[[Counts], NDArray[np.bool_]]
"""Told how many of each distinct row are released, says of each class whether it may stand."""
Allows = Callable[[Counts], NDArray[np.bool_]]
"""Told the same, says of each distinct row whether it may leave."""


@dataclass(frozen=True)
class Comparison:
    """An earlier release beside the rows that may leave now.

    Rows that nobody can tell apart by what both releases show are one cell; cells are in groups
    that both releases describe. `cell` is each distinct row's, shape (rows,), `group` and
    `released` (the earlier count) each cell's, shape (cells,).
    """

    cell: Counts
    group: Counts
    released: Counts
    meets: MeetsModels = lambda counts: np.ones(len(counts), dtype=bool)
    """Told a number of people of each cell, says of each group whether they may show."""
    company: int = 1
    """How many groups grow at once, or none does: one alone would be of whoever came last."""

    def differences(self, counts: Counts) -> tuple[Counts, Counts, Counts]:
        """Rows added, gone and common, each by group, if `counts` of each distinct row leave."""
        now = self._now(counts)
        common = np.minimum(now, self.released)
        parts = (now - common, self.released - common, common)
        added, gone, same = (_sum(part, self.group) for part in parts)
        return added, gone, same

    def settle(self, counts: Counts, k: int, draw: np.random.Generator) -> Counts:
        """Leave out rows of groups whose differences set too few apart; once for each of them.

        Who was added waits, and so do those in common; where too few are gone, others go as well.
        """
        added = np.maximum(self._now(counts) - self.released, 0)
        waits = self._isolates(added, k)
        grown = (_sum(added, self.group) > 0) & ~waits
        waits |= grown & (grown.sum() < self.company)
        counts = self._leave_out(counts, added * waits[self.group], draw)
        common = np.minimum(self._now(counts), self.released)
        counts = self._leave_out(counts, common * self._isolates(common, k)[self.group], draw)
        common = np.minimum(self._now(counts), self.released)
        gone = self.released - common
        people, isolated = _sum(gone, self.group), self._isolates(gone, k)
        more = np.where(people < k, k - people, _sum(common, self.group))
        return self._leave_out(counts, _take(more * isolated, self.group, common, draw), draw)

    def _isolates(self, part: Counts, k: int) -> NDArray[np.bool_]:
        """Tell of each group whether a part of it, counted by cell, is of too few or too alike."""
        people = _sum(part, self.group)
        return (people > 0) & ((people < k) | ~self.meets(part)[: len(people)])

    def _now(self, counts: Counts) -> Counts:
        return np.bincount(self.cell, counts, len(self.group)).astype(np.int64)

    def _leave_out(self, counts: Counts, excess: Counts, draw: np.random.Generator) -> Counts:
        """Take `excess` people from each cell."""
        return counts - _take(excess, self.cell, counts, draw)


def compare(
    present: CountedRows,
    earlier: CountedRows,
    groups: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    sensitive: Mapping[str, Sequence[PrivacyModel]] | None = None,
) -> Comparison:
    """Line up an earlier release with the rows that are there now.

    `groups` names the group of each distinct row, of `present` and of `earlier`; None for two
    releases under one plan, whose groups are the classes. `sensitive` gives the models of columns.
    """
    import pandas as pd

    shared = [column for column in present.tail if column in earlier.tail]
    both = (present, earlier)
    if groups is None:
        group = number_rows(both, present.linkable)
    else:
        group = _number([*groups[0], *groups[1]])
    tail = number_rows(both, shared)
    cell, distinct = pd.factorize(group * (len(tail) + 1) + tail)
    here = len(present.counts)
    before = np.bincount(cell[here:], earlier.counts, len(distinct))
    first = np.unique(cell, return_index=True)[1]
    judged = [name for name in shared if name in (sensitive or {})]
    rows = [row for table in both for row in table.select(judged)]
    values = pd.DataFrame([rows[place] for place in first], columns=judged)
    return Comparison(
        cell[:here].astype(np.int64),
        group[first],
        before.astype(np.int64),
        ask_models(values, group[first], sensitive or {}),
    )


def ask_models(
    values: pd.DataFrame, group: Counts, sensitive: Mapping[str, Sequence[PrivacyModel]]
) -> MeetsModels:
    """Give what says of each group whether the models that need no table allow some people."""
    asked = {
        column: [model for model in models if not compares_with_the_table(model)]
        for column, models in sensitive.items()
        if column in values
    }
    groups = int(group.max(initial=-1)) + 1
    every = np.arange(groups)

    def meets(counts: Counts) -> NDArray[np.bool_]:
        if not any(asked.values()):
            return np.ones(groups, dtype=bool)
        histogram = values.assign(**{PEOPLE: counts})
        return Requirement.from_histogram(histogram, group, 1, asked).met(every, every, groups)

    return meets


def hold_back(
    present: CountedRows,
    k: int,
    comparisons: Sequence[Comparison],
    asked: tuple[MeetsModels, Allows],
    draw: np.random.Generator,
) -> Counts:
    """Say how many of each distinct row may leave, shape (rows,).

    `comparisons` are best in the order of age, the newest first. `draw` decides who is left out
    beside whom; nobody outside may know its seed.
    """
    counts, of = present.counts, number_classes(present)
    meets, allows = asked
    while True:
        before = counts
        counts = np.where(allows(counts), counts, 0)
        # Whatever is left out is left out for good, so that nobody is an end.
        stands = (_sum(counts, of) >= k) & meets(counts)
        counts = np.where(stands[of], counts, 0)
        for comparison in comparisons:
            counts = comparison.settle(counts, k, draw)
        if (counts == before).all():
            return counts


def release_again(
    present: CountedRows, counts: Counts, last: Comparison, allows: Allows | None = None
) -> Counts:
    """Give the newest release under the same plan once more where nobody of it is gone.

    Unless `counts`, what was found for now, holds more: the same people are never left out twice
    over. Or unless some who would leave again may not.
    """
    if not last.differences(present.counts)[1].any():
        # Rows that the release does not tell apart are one cell: of its people, the first ones.
        order = np.argsort(last.cell, kind="stable")
        cell, there = last.cell[order], present.counts[order]
        before = np.cumsum(there) - there
        before -= before[np.searchsorted(cell, cell)]
        again = np.empty_like(there)
        again[order] = (last.released[cell] - before).clip(min=0, max=there)
        if again.sum() >= counts.sum() and (allows is None or allows(again)[again > 0].all()):
            return again
    return counts


def number_classes(rows: CountedRows) -> Counts:
    """Give the class of each distinct row, numbered from 0."""
    return number_rows([rows], rows.linkable)


def number_rows(tables: Sequence[CountedRows], columns: Sequence[str]) -> Counts:
    """Number rows by some columns in the order in which they first occur, one table after another.

    Shape (rows of all tables,); equal rows of two tables have the same number.
    """
    import pandas as pd
    import pyarrow as pa

    key = np.zeros(sum(len(table.counts) for table in tables), np.int64)
    for column in columns:
        every = pa.chunked_array([table.labels[column] for table in tables])
        place = every.combine_chunks().dictionary_encode().indices.to_numpy()
        code, start = [], 0
        for table in tables:
            end = start + len(table.labels[column])
            code.append(place[start:end][table.codes[column]])
            start = end
        key = pd.factorize(key * (len(every) + 1) + np.concatenate(code))[0]
    return key.astype(np.int64)


def _sum(counts: Counts, of: Counts) -> Counts:
    """Add up counts by the group that each is of."""
    return np.bincount(of, counts).astype(np.int64)


def _take(wanted: Counts, of: Counts, stock: Counts, draw: np.random.Generator) -> Counts:
    """Take `wanted` people from each group of items, at most all there are, each as likely."""
    item = np.repeat(np.arange(len(stock)), np.where(wanted[of] > 0, stock, 0))
    item = item[np.lexsort((draw.random(len(item)), of[item]))]
    group = of[item]
    taken = np.arange(len(group)) - np.searchsorted(group, group) < wanted[group]
    return np.bincount(item[taken], minlength=len(stock)).astype(np.int64)


def _number(names: Sequence[Hashable]) -> Counts:
    """Number names in the order in which they first occur."""
    place: dict[Hashable, int] = {}
    return np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
