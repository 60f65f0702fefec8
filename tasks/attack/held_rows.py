"""Rows, columns and values of people among the numbers that a model holds.

What the model holds is hashed and sorted; the people pass by it a batch at a time, so that memory
grows with neither's product. Three ways to hold somebody are looked for here:

- **rows** in the order of their columns, anywhere in a run of numbers: as they are, standardized,
  scaled to a range or centred; at the precision that the numbers have;
- **columns in order**: the rises and falls of 64 people in a row, which scaling, shifting, coding
  and inverting leave as they are;
- **values** that one person alone has in a column, sorted or not; outcomes that are numbers also in
  the leaves of trees.

A match counts only where it singles somebody out, and where numbers like these would not match
people so often by chance. Knows neither how a model is trained nor what its file looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from tasks.attack.number_codes import (
    EXACT,
    HALF,
    draw_weights,
    find_digits,
    hash_rows,
    hash_windows,
    keep_long,
    read_codes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.attack.number_codes import Codes, Figures, Places
    from tasks.attack.serialized import Numbers

RUN: Final = 64
"""People in a row whose rises and falls are compared."""
STEP, STEP_OF_MANY, FEW_PEOPLE = 16, 64, 100_000
"""How far apart such runs begin, and how far among more than so many people."""
CHAINED: Final = 4
"""Runs within which one that matches follows another."""
LEAST_TURNS: Final = 4
"""Rises, and falls, without which a run of people would look like any sorted numbers."""
FEW_VALUES: Final = 64
"""Different numbers of a column up to which it is known which there are."""
VALUES, MOST_VALUES = 16, 2_000
"""Values of single people in one array, of which fewer may be chance; and how many are drawn."""
SAMPLED: Final = 10_000
"""People among whom rows in another order of columns are looked for, at least, if there are."""
RARE, BITS_SPARE = 1e-6, 20
"""How seldom numbers of one array may match people by chance, and the same in bits."""
ROWS, IN_ORDER, OF_ONE = "rows of", "a column in the order of", "values that single out"
"""What can be held of people."""
BESIDE: Final = "beside"


class Batch(NamedTuple):
    """Some people, row by row and in their order: as the model reads them, and as the policy does.

    `encoded` is what the classifier is given, `treated` one number a feature (a label's place, or a
    number), `beside` what it learns from them: the outcome, and a weight if there is one.
    """

    encoded: Figures
    treated: Figures
    beside: Figures


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people whom the model learned from, who can be passed by again and again."""

    batches: Callable[[], Iterator[Batch]]


@dataclass(frozen=True, slots=True)
class Held:
    """What one place of the model holds of people, and of how many."""

    path: tuple[str | int, ...]
    what: str
    people: int


@dataclass(slots=True)
class Survey:
    """What is known of the people after one pass: their number, and each column's figures."""

    people: int = 0
    widths: tuple[int, int] = (0, 0)
    centre: Figures = field(default_factory=lambda: np.zeros(0))
    spread: Figures = field(default_factory=lambda: np.ones(0))
    low: Figures = field(default_factory=lambda: np.zeros(0))
    high: Figures = field(default_factory=lambda: np.ones(0))
    few: list[Figures | None] = field(default_factory=list)
    """The different numbers of a column that has few."""
    sample: Figures = field(default_factory=lambda: np.zeros((0, 0)))
    singled: float = 0.0
    """The share of them whose row nobody else has."""

    @property
    def step(self) -> int:
        """How far apart runs of people begin that are compared."""
        return STEP if self.people <= FEW_PEOPLE else STEP_OF_MANY


class Table(NamedTuple):
    """People's rows as a model may have kept them: which of a batch's, less what, and over what."""

    which: int
    shift: Figures
    scale: Figures
    few: list[Figures | None]

    @property
    def width(self) -> int:
        """How many columns it has."""
        return len(self.few)


def survey_people(crowd: Crowd) -> Survey:
    """Pass by everybody once, for each column's mean, spread and range, and a sample of rows."""
    found, rows, hashes = Survey(), list["Figures"](), list["Codes"]()
    sums = squares = np.zeros(0)
    for batch in crowd.batches():
        table = np.column_stack(batch)
        if not found.people:
            found.widths = batch.encoded.shape[1], batch.treated.shape[1]
            sums = squares = np.zeros(table.shape[1])
            found.low = np.full(table.shape[1], np.inf)
            found.high, found.centre = -found.low, np.nan_to_num(table[0])
            found.few = [np.zeros(0)] * table.shape[1]
        found.people += len(table)
        # About the first person, lest large numbers lose their digits.
        away = np.nan_to_num(table - found.centre)
        sums, squares = sums + away.sum(axis=0), squares + (away**2).sum(axis=0)
        found.low = np.fmin(found.low, np.fmin.reduce(table))
        found.high = np.fmax(found.high, np.fmax.reduce(table))
        found.few = [add_values(*each) for each in zip(found.few, table.T, strict=True)]
        hashes.append(hash_rows(read_codes(batch.treated, HALF)))
        rows.append(table)
        if sum(map(len, rows)) > 2 * SAMPLED:
            rows = [np.concatenate(rows)[::2]]
    if found.people:
        mean = sums / found.people
        found.centre = found.centre + mean
        found.spread = np.sqrt(np.maximum(squares / found.people - mean**2, 0))
        found.sample = np.concatenate(rows)
        _, often = np.unique(np.concatenate(hashes), return_counts=True)
        found.singled = float((often == 1).sum() / found.people)
    return found


def add_values(known: Figures | None, column: Figures) -> Figures | None:
    """Add a column's different numbers to those known; None once they are not few."""
    if known is None:
        return None
    if len(known) == 2 and bool(((column == known[0]) | (column == known[1])).all()):
        return known
    if len(np.unique(column[: 2 * FEW_VALUES])) > FEW_VALUES:
        return None
    together = np.unique(np.concatenate([known, column]))
    return together if len(together) <= FEW_VALUES else None


def list_tables(known: Survey) -> list[Table]:
    """List how rows of people are looked for: encoded and treated, each scaled in four ways."""
    tables = []
    for which, width in enumerate(known.widths):
        columns = slice(known.widths[0] * which, known.widths[0] * which + width)
        few, nothing, one = known.few[columns], np.zeros(width), np.ones(width)
        low, centre = known.low[columns], known.centre[columns]
        spread, wide = known.spread[columns], known.high[columns] - low
        tables += [
            Table(which, nothing, one, few),
            Table(which, centre, np.where(spread > 0, spread, 1), few),
            Table(which, low, np.where(wide > 0, wide, 1), few),
            Table(which, centre, one, few),
        ]
    return tables


def list_runs(one: Numbers) -> list[NDArray[np.generic]]:
    """Give an array's numbers one after the other, row by row and column by column."""
    flat = one.values.ravel()
    if sum(size > 1 for size in one.values.shape) < 2:
        return [flat]
    return [flat, one.values.T.ravel()]


@dataclass(slots=True)
class Sought:
    """Hashes of what the model holds, and how many people have each: all, or by column."""

    hashes: Codes
    counts: dict[object, Places] = field(default_factory=dict)

    def meet(self, hashes: Codes, among: object) -> None:
        """Count whom of these people the model may hold."""
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        met = place[self.hashes[place] == hashes]
        if len(met):
            counted = np.bincount(met, minlength=len(self.hashes))
            self.counts[among] = self.counts.get(among, 0) + counted

    def list_single(self) -> dict[object, Codes]:
        """Give the hashes that one person alone has; by column, where columns are told apart."""
        single = {among: self.hashes[count == 1] for among, count in self.counts.items()}
        return {among: hashes for among, hashes in single.items() if len(hashes)}


@dataclass(slots=True)
class Search:
    """What is sought in each table by each precision, and what the people have of it."""

    known: Survey
    tables: list[Table]
    rows: dict[tuple[int, int], Sought] = field(default_factory=dict)
    """By the table's place in the list, and digits."""
    turns: Sought | None = None
    values: Sought | None = None
    runs: int = 0
    """Runs of people that were compared."""


def search_numbers(numbers: Sequence[Numbers], crowd: Crowd, known: Survey) -> list[Held]:
    """Search what a model holds for rows, columns and values of the people that it learned from.

    Of one place the first is told that is found. Nobody is read again where nothing can be found.
    """
    worth = [one for one in numbers if varies(one.values)]
    search = gather(worth, known)
    if not (search.rows or search.turns or search.values):
        return []
    for batch in crowd.batches():
        pass_by(batch, search)
    ways = find_rows(search), find_turns(search), find_values(search)
    found = ((way(one) for way in ways) for one in worth)
    return [held for each in found if (held := next(filter(None, each), None))]


def varies(values: NDArray[np.generic]) -> bool:
    """Say whether numbers differ at all."""
    return values.size > 1 and bool((values.ravel()[1:] != values.ravel()[0]).any())


def gather(numbers: Sequence[Numbers], known: Survey) -> Search:
    """Hash all that a model holds, by what people are compared with."""
    tables = list_tables(known) if known.people else []
    rows: dict[tuple[int, int], list[Codes]] = {}
    turns, values = list["Codes"](), list["Codes"]()
    for one in numbers if tables else ():
        digits = find_digits(one.values)
        for run in list_runs(one):
            codes = read_codes(run, digits)
            for place, table in enumerate(tables):
                starts = find_starts(codes, table, digits)
                if len(starts):
                    hashes = hash_windows(codes, table.width, starts)
                    rows.setdefault((place, digits), []).append(hashes)
            turns.append(unite([hash_turns(run)]))
        values.append(list_values(one, trees=has_numbers_beside(known)))
    sought = {key: Sought(unite(each)) for key, each in rows.items()}
    return Search(known, tables, sought, seek(unite(turns)), seek(unite(values)))


def find_starts(codes: Codes, table: Table, digits: int) -> Places:
    """Find where a row may begin: where each column that has few numbers would have one of them."""
    starts = np.arange(max(len(codes) - table.width + 1, 0) if table.width else 0)
    for place, few in enumerate(table.few):
        if few is not None and len(starts):
            allowed = read_codes((few - table.shift[place]) / table.scale[place], digits)
            starts = starts[np.isin(codes[starts + place], allowed)]
    return starts


def unite(hashes: Sequence[Codes]) -> Codes:
    """Give all hashes once, in order, without the one that stands for nothing."""
    made = np.unique(np.concatenate([*hashes, np.zeros(1, dtype=np.uint64)]))
    return made[made > 0]


def seek(hashes: Codes) -> Sought | None:
    """Seek some hashes; None where there are none."""
    return Sought(hashes) if len(hashes) else None


def pass_by(batch: Batch, search: Search) -> None:
    """Hold some people against all that is sought."""
    for place, table in enumerate(search.tables):
        there = {digits: sought for (at, digits), sought in search.rows.items() if at == place}
        if there:
            scaled = (batch[table.which] - table.shift) / table.scale
            for digits, sought in there.items():
                sought.meet(hash_rows(read_codes(scaled, digits)), "people")
        for column, few in enumerate(table.few if search.values else ()):
            raw = batch[table.which][:, column]
            if few is None and search.values and len(keep_long(raw)):
                scaled = (raw - table.shift[column]) / table.scale[column]
                search.values.meet(read_codes(keep_long(scaled), EXACT), (place, column))
    if search.values and has_numbers_beside(search.known):
        meet_beside(batch, search)
    for column in np.column_stack(batch).T if search.turns else ():
        turns = hash_turns(column, search.known.step)
        search.runs += len(turns)
        if search.turns:
            search.turns.meet(turns, "people")


def has_numbers_beside(known: Survey) -> bool:
    """Say whether what is learned of people beside their rows is a number of many values."""
    return any(few is None for few in known.few[sum(known.widths) :])


def meet_beside(batch: Batch, search: Search) -> None:
    """Hold some people's outcomes and weights against the values that are sought, as by column."""
    known, first = search.known, sum(search.known.widths)
    for place, column in enumerate(batch.beside.T, start=first):
        if known.few[place] is None and search.values and len(keep_long(column)):
            ways = (0.0, 1.0), (known.centre[place], known.spread[place] or 1.0)
            for shift, scale in (*ways, (known.centre[place], 1.0)):
                codes = read_codes(keep_long((column - shift) / scale), EXACT)
                search.values.meet(codes, (BESIDE, place, shift, scale))


def hash_turns(values: NDArray[np.generic], step: int = 1) -> Codes:
    """Hash the rises and falls of runs of people, each so far from the one before.

    What rises where others fall has the same hash. Zero, which keeps the places of all others,
    stands for a run of too few rises or falls.
    """
    if len(values) <= RUN:
        return np.zeros(0, dtype=np.uint64)
    with np.errstate(invalid="ignore"):
        turns = np.nan_to_num(np.sign(np.diff(values.astype(np.float64)))).astype(np.int64)
    starts = np.arange(0, len(turns) - RUN + 1, step)
    enough = np.ones(len(starts), dtype=bool)
    for sign in (1, -1):
        total = np.concatenate([[0], np.cumsum(turns == sign)])
        enough &= total[starts + RUN] - total[starts] >= LEAST_TURNS
    starts, wide = starts[enough], turns.astype(np.uint64)
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for place, weight in enumerate(draw_weights(RUN)):
        hashes += wide[starts + place] * weight
    made = np.zeros(len(enough), dtype=np.uint64)
    made[enough] = np.minimum(hashes, ~hashes + np.uint64(1))
    return made


def list_values(one: Numbers, *, trees: bool) -> Codes:
    """Give the values of many digits in an array, if it is a list of them; `trees` of trees too.

    Where a tree cuts a column follows from people's values, whatever it is told of them; what it
    says of a number in a leaf that one person came to is that person's.
    """
    if (one.of_tree and not trees) or one.values.dtype.kind != "f" or one.values.dtype.itemsize < 8:
        return np.zeros(0, dtype=np.uint64)
    values = np.unique(read_codes(keep_long(one.values.ravel()), EXACT))
    return values[:: len(values) // MOST_VALUES + 1] if len(values) >= VALUES else values[:0]


Finder: TypeAlias = Callable[["Numbers"], Held | None]


def find_rows(search: Search) -> Finder:
    """Say of an array whether it holds rows of people, more than such numbers would by chance."""
    single = {key: unite(list(sought.list_single().values()))
              for key, sought in search.rows.items()}  # fmt: skip

    def find(one: Numbers) -> Held | None:
        digits = find_digits(one.values)
        for (place, at), alone in single.items():
            table = search.tables[place]
            for run in list_runs(one) if at == digits and len(alone) else ():
                codes = read_codes(run, digits)
                starts = find_starts(codes, table, digits)
                hashes = hash_windows(codes, table.width, starts)
                hits = np.isin(hashes, alone)
                if is_no_chance(codes, starts[hits], table.width, search.known.people):
                    return Held(one.path, ROWS, len(np.unique(hashes[hits])))
        return None

    return find


def is_no_chance(codes: Codes, hits: Places, width: int, people: int) -> bool:
    """Say whether numbers drawn from the same array would hardly match people so often."""
    from scipy.special import pdtrc

    if not len(hits):
        return False
    _, place, often = np.unique(codes, return_inverse=True, return_counts=True)
    bits = np.concatenate([[0.0], np.cumsum(-np.log2(often / len(codes))[place])])
    of_hits = bits[hits + width] - bits[hits]
    expected = 2.0 ** (np.log2(len(codes)) + np.log2(people) - np.median(of_hits))
    return bool(pdtrc(len(hits) - 1, expected) < RARE)


def find_turns(search: Search) -> Finder:
    """Say of an array whether it holds a column of people in their order, or their outcomes."""
    sought = search.turns
    met = np.zeros(0, dtype=np.uint64)
    if sought and sought.counts:
        met = sought.hashes[sought.counts["people"] > 0]

    def find(one: Numbers) -> Held | None:
        for run in list_runs(one) if len(met) else ():
            hits = np.flatnonzero(np.isin(hash_turns(run), met))
            tries = np.log2(max(len(run), 1)) + np.log2(search.runs)
            if len(hits) and count_chained(run, hits) > tries + BITS_SPARE:
                # No more than a table has rows, each of whose columns is found by itself.
                most = min(max(one.values.shape), search.known.people)
                people = min(RUN + search.known.step * (len(hits) - 1), most)
                return Held(one.path, IN_ORDER, people)
        return None

    return find


def count_chained(run: NDArray[np.generic], hits: Places) -> float:
    """Count the bits of matches that follow each other, the most that there are anywhere."""
    most, total, last = 0.0, 0.0, -len(run)
    for hit in hits[:MOST_VALUES]:
        if hit - last >= RUN:
            bits = count_bits(run[hit : hit + RUN + 1])
            total = bits + (total if hit - last <= CHAINED * RUN else 0.0)
            most, last = max(most, total), hit
    return most


def count_bits(run: NDArray[np.generic]) -> float:
    """Count the bits by which a run's rises and falls, or numbers, differ from others like it."""
    figures = run.astype(np.float64)
    least = np.inf
    for parts in (np.sign(np.diff(figures)), figures):
        often = np.unique(parts, return_counts=True)[1] / len(parts)
        least = min(least, -len(parts) * float((often * np.log2(often)).sum()))
    return least


def find_values(search: Search) -> Finder:
    """Say of an array whether half of its numbers are those of one person each in one column."""
    single = search.values.list_single() if search.values else {}

    def find(one: Numbers) -> Held | None:
        values = list_values(one, trees=True) if single else ()
        # By the digits that are compared nobody's outcome is in a tree by chance.
        enough = VALUES if one.of_tree else max(VALUES, len(values) / 2)
        for among, alone in single.items() if len(values) else ():
            beside = isinstance(among, tuple) and among[0] == BESIDE
            hits = int(np.isin(values, alone).sum()) if beside or not one.of_tree else 0
            if hits >= enough:
                return Held(one.path, OF_ONE, hits)
        return None

    return find
