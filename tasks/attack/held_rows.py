"""Rows, columns and values of people among the numbers that a model holds.

What the model holds is hashed and sorted; the people pass by it a batch at a time, so that memory
grows with neither's product. Four ways to hold somebody are looked for:

- **rows** in the order of their columns, anywhere in a run of numbers: as they are, standardized,
  scaled to a range, centred, or each of length one; at the precision that the numbers have;
- **columns in order**: the rises and falls of 64 people in a row, which scaling, shifting, coding
  and inverting leave as they are;
- **values** that one person alone has in a column, sorted or not;
- **parts of rows** in any order of columns, each column shifted and scaled by itself
  (`held_parts`).

A match counts only where it singles somebody out, and where numbers like these would not match
people so often by chance. Knows neither how a model is trained nor what its file looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.attack.serialized import Numbers

    Codes: TypeAlias = NDArray[np.uint64]
    Figures: TypeAlias = NDArray[np.float64]

COARSE, FINE, EXACT = 10, 16, 40
"""Digits (binary) by which numbers are compared: as many as half precision has; as single precision
keeps of numbers worked out in another order; as double precision keeps of them."""
RUN, STEP = 64, 16
"""People in a row whose rises and falls are compared, and how far apart such runs begin."""
LEAST_TURNS: Final = 4
"""Rises, and falls, without which a run of people would look like any sorted numbers."""
VALUES: Final = 16
"""Values of single people in one array, of which fewer may be chance."""
MOST_VALUES: Final = 2_000
"""Of one array, drawn evenly from more."""
SAMPLED: Final = 50_000
"""People among whom rows in another order of columns are looked for."""
RARE: Final = 1e-6
"""How seldom numbers may match people by chance in one array."""
BITS_SPARE: Final = 20
"""The same, in bits."""
ROWS, IN_ORDER, OF_ONE = "rows of", "a column in the order of", "values that single out"
"""What can be held of people."""
ODD, OTHER_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
SEED: Final = 20261201
"""It seeds no noise that protects anybody."""


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
    sample: Figures = field(default_factory=lambda: np.zeros((0, 0)))
    singled: float = 0.0
    """The share of them whose row nobody else has."""


Table: TypeAlias = tuple[int, str]
"""Which columns (0: encoded, 1: treated), and how they are scaled."""
SCALES: Final = ("as they are", "standardized", "from 0 to 1", "centred", "of length 1")
TABLES: Final[tuple[Table, ...]] = tuple((which, scale) for which in (0, 1) for scale in SCALES)


def survey_people(crowd: Crowd) -> Survey:
    """Pass by everybody once, for each column's mean, spread and range, and a sample of rows."""
    found, rows, hashes = Survey(), list["Figures"](), list["Codes"]()
    sums = squares = np.zeros(0)
    for batch in crowd.batches():
        table = np.column_stack([*batch])
        if not found.people:
            found.widths = batch.encoded.shape[1], batch.treated.shape[1]
            sums = squares = np.zeros(table.shape[1])
            found.low = np.full(table.shape[1], np.inf)
            found.high, found.centre = -found.low, np.nan_to_num(table[0])
        found.people += len(table)
        # About the first person, lest large numbers lose their digits.
        away = np.nan_to_num(table - found.centre)
        sums, squares = sums + away.sum(axis=0), squares + (away**2).sum(axis=0)
        found.low = np.fmin(found.low, np.fmin.reduce(table))
        found.high = np.fmax(found.high, np.fmax.reduce(table))
        hashes.append(hash_rows(read_codes(batch.encoded, COARSE)))
        rows.append(table)
        if sum(map(len, rows)) > 2 * SAMPLED:
            rows = [np.concatenate(rows)[::2]]
    if not found.people:
        return found
    mean = sums / found.people
    found.centre, found.spread = found.centre + mean, np.sqrt(
        np.maximum(squares / found.people - mean**2, 0)
    )
    found.sample = np.concatenate(rows)[: 2 * SAMPLED]
    _, often = np.unique(np.concatenate(hashes), return_counts=True)
    found.singled = float((often == 1).sum() / found.people)
    return found


def scale_rows(batch: Batch, table: Table, known: Survey) -> Figures:
    """Give some people's rows as a model of its own may have scaled them before it kept them."""
    which, scale = table
    rows = batch[which]
    start = known.widths[0] * which
    columns = slice(start, start + known.widths[which])
    low, centre = known.low[columns], known.centre[columns]
    match scale:
        case "standardized":
            spread = known.spread[columns]
            return (rows - centre) / np.where(spread > 0, spread, 1)
        case "from 0 to 1":
            width = known.high[columns] - low
            return (rows - low) / np.where(width > 0, width, 1)
        case "centred":
            return rows - centre
        case "of length 1":
            length = np.sqrt(np.nansum(rows**2, axis=1, keepdims=True))
            return rows / np.where(length > 0, length, 1)
        case _:
            return rows


def read_codes(values: NDArray[np.generic], digits: int) -> Codes:
    """Give each number by its sign, its exponent and its first binary digits, rounded."""
    figures = np.where(np.isnan(values := values.astype(np.float64)), np.nan, values + 0.0)
    bits = np.ascontiguousarray(figures).view(np.uint64)
    shift = np.uint64(52 - digits)
    half = (np.uint64(1) << (shift - np.uint64(1))) - np.uint64(1)
    return (bits + half + ((bits >> shift) & np.uint64(1))) >> shift


def find_digits(values: NDArray[np.generic]) -> int:
    """Say by how many digits some numbers are compared: by half precision's, if they have no more."""
    if values.dtype == np.float16:
        return COARSE
    with np.errstate(over="ignore", invalid="ignore"):
        short = values.astype(np.float16).astype(np.float64)
    return COARSE if np.array_equal(short, values.astype(np.float64), equal_nan=True) else FINE


def mix(codes: Codes) -> Codes:
    """Spread codes over 64 bits."""
    with np.errstate(over="ignore"):
        mixed = (codes + np.uint64(1)) * ODD
        mixed ^= mixed >> np.uint64(29)
        mixed *= OTHER_ODD
        return mixed ^ (mixed >> np.uint64(32))


@cache
def draw_weights(width: int) -> list[np.uint64]:
    """Draw what spread codes are multiplied with, by their places in a row: odd numbers."""
    drawn = np.random.default_rng(SEED).integers(0, 2**64, width, dtype=np.uint64)
    return list(drawn | np.uint64(1))


def hash_rows(codes: Codes) -> Codes:
    """Give one number for each row."""
    made = np.zeros(len(codes), dtype=np.uint64)
    for place, weight in enumerate(draw_weights(codes.shape[1])):
        made += mix(codes[:, place]) * weight
    return made


def hash_windows(codes: Codes, width: int) -> Codes:
    """Give the number that `hash_rows` would give of each run of so many codes."""
    count = len(codes) - width + 1
    made = np.zeros(max(count, 0), dtype=np.uint64)
    mixed = mix(codes)
    for place, weight in enumerate(draw_weights(width if count > 0 else 0)):
        made += mixed[place : place + count] * weight
    return made


def list_runs(one: Numbers) -> list[NDArray[np.generic]]:
    """Give an array's numbers one after the other, row by row and column by column."""
    values = one.values
    flat = values.ravel()
    if sum(size > 1 for size in values.shape) < 2:
        return [flat]
    return [flat, values.T.ravel()]


@dataclass(slots=True)
class Sought:
    """Hashes of what the model holds, and how many people have each in each table or column."""

    hashes: Codes
    counts: dict[object, NDArray[np.int64]] = field(default_factory=dict)

    def meet(self, hashes: Codes, among: object) -> None:
        """Count whom of these people the model may hold."""
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        met = place[self.hashes[place] == hashes]
        if len(met):
            counted = np.bincount(met, minlength=len(self.hashes))
            self.counts[among] = self.counts.get(among, 0) + counted

    def list_single(self) -> dict[object, Codes]:
        """Give the hashes that one person alone has, by table or column."""
        single = {among: self.hashes[count == 1] for among, count in self.counts.items()}
        return {among: hashes for among, hashes in single.items() if len(hashes)}


@dataclass(slots=True)
class Search:
    """One search: what is sought of each precision, and what the people have of it."""

    known: Survey
    rows: dict[tuple[int, int], Sought] = field(default_factory=dict)
    """By digits and width."""
    turns: Sought | None = None
    values: Sought | None = None
    runs: int = 0
    """Runs of people that were compared."""


def search_numbers(numbers: Sequence[Numbers], crowd: Crowd, known: Survey) -> list[Held]:
    """Search what a model holds for rows, columns and values of the people that it learned from.

    Of one place the first is told that is found.
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
    rows: dict[tuple[int, int], list[Codes]] = {}
    turns, values = list["Codes"](), list["Codes"]()
    for one in numbers:
        digits = find_digits(one.values)
        for run in list_runs(one):
            codes = read_codes(run, digits)
            for width in set(known.widths):
                if 0 < width <= len(codes):
                    rows.setdefault((digits, width), []).append(hash_windows(codes, width))
            turns += [hash_turns(run, way) for way in (1, -1)]
        values.append(list_values(one))
    return Search(known, {key: Sought(unite(each)) for key, each in rows.items()},
                  seek(unite(turns)), seek(unite(values)))  # fmt: skip


def unite(hashes: Sequence[Codes]) -> Codes:
    """Give all hashes once, in order, without the one that stands for nothing."""
    made = np.unique(np.concatenate([*hashes, np.zeros(1, dtype=np.uint64)]))
    return made[made > 0]


def seek(hashes: Codes) -> Sought | None:
    """Seek some hashes; None where there are none."""
    return Sought(hashes) if len(hashes) else None


def pass_by(batch: Batch, search: Search) -> None:
    """Hold some people against all that is sought."""
    known = search.known
    same = known.widths[0] == known.widths[1] and np.array_equal(*batch[:2], equal_nan=True)
    for table in TABLES[: len(SCALES)] if same else TABLES:
        there = {key: sought for key, sought in search.rows.items()
                 if key[1] == known.widths[table[0]]}  # fmt: skip
        if not (there or search.values):
            continue
        scaled = scale_rows(batch, table, known)
        for (digits, _), sought in there.items():
            sought.meet(hash_rows(read_codes(scaled, digits)), table)
        for column in range(scaled.shape[1]) if search.values else ():
            long = keep_long(scaled[:, column]) if len(keep_long(batch[table[0]][:, column])) else ()
            if len(long) and search.values:
                search.values.meet(read_codes(long, EXACT), (table, column))
    for column in np.column_stack(batch).T if search.turns else ():
        turns = hash_turns(column, 1, STEP)
        search.runs += len(turns)
        if search.turns:
            search.turns.meet(turns, "everybody")


def hash_turns(values: NDArray[np.generic], way: int, step: int = 1) -> Codes:
    """Hash the rises and falls of runs of people, each so far from the one before.

    Zero, which keeps the places of all others, stands for a run of too few rises or falls.
    """
    if len(values) <= RUN:
        return np.zeros(0, dtype=np.uint64)
    with np.errstate(invalid="ignore"):
        signs = np.nan_to_num(np.sign(np.diff(values.astype(np.float64)))).astype(np.int8) * way
    starts = np.arange(0, len(signs) - RUN + 1, step)
    enough = np.ones(len(starts), dtype=bool)
    for sign in (1, -1):
        total = np.concatenate([[0], np.cumsum(signs == sign)])
        enough &= total[starts + RUN] - total[starts] >= LEAST_TURNS
    mixed = mix(np.array([0, 1, 2], dtype=np.uint64))[signs + 1]
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for place, weight in enumerate(draw_weights(RUN)):
        hashes += mixed[place : len(signs) - RUN + 1 + place : step] * weight
    return np.where(enough, hashes | np.uint64(1), np.uint64(0))


def keep_long(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Keep the numbers that have many digits, as no step, share or place of a label has."""
    figures = values.astype(np.float64)
    figures = figures[np.isfinite(figures)]
    bits = np.ascontiguousarray(figures).view(np.uint64)
    return figures[bits & np.uint64((1 << 32) - 1) != 0]


def list_values(one: Numbers) -> Codes:
    """Give the values of many digits in an array, if it is a list of them; no cuts of a tree.

    Where a tree cuts a column follows from people's values, whatever it is told of them.
    """
    if one.of_tree or one.values.dtype.kind != "f" or one.values.dtype.itemsize < 8:
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
        for (at, width), alone in single.items():
            for run in list_runs(one) if at == digits and len(alone) else ():
                codes = read_codes(run, digits)
                windows = hash_windows(codes, width)
                hits = np.isin(windows, alone)
                if hits.any() and is_no_chance(codes, hits, width, search.known.people):
                    return Held(one.path, ROWS, len(np.unique(windows[hits])))
        return None

    return find


def is_no_chance(codes: Codes, hits: NDArray[np.bool_], width: int, people: int) -> bool:
    """Say whether numbers drawn from the same array would hardly match people so often."""
    from scipy.special import pdtrc

    _, place, often = np.unique(codes, return_inverse=True, return_counts=True)
    bits = np.concatenate([[0.0], np.cumsum(-np.log2(often / len(codes))[place])])
    of_hits = (bits[width:] - bits[:-width])[hits]
    expected = 2.0 ** (np.log2(len(hits)) + np.log2(people) - np.median(of_hits))
    return bool(pdtrc(len(of_hits) - 1, expected) < RARE)


def find_turns(search: Search) -> Finder:
    """Say of an array whether it holds a column of people in their order, or their outcomes."""
    sought = search.turns
    met = sought.hashes[sought.counts["everybody"] > 0] if sought and sought.counts else None

    def find(one: Numbers) -> Held | None:
        for run in list_runs(one) if met is not None else ():
            for way in (1, -1):
                windows = hash_turns(run, way)
                hits = np.flatnonzero(np.isin(windows, met))
                tries = np.log2(max(len(windows), 1)) + np.log2(search.runs)
                if any(count_bits(run[hit : hit + RUN + 1]) > tries + BITS_SPARE
                       for hit in hits[:MOST_VALUES]):  # fmt: skip
                    return Held(one.path, IN_ORDER, RUN + STEP * (len(hits) - 1))
        return None

    return find


def count_bits(run: NDArray[np.generic]) -> float:
    """Say how many bits it takes to tell a run's rises and falls from those of others like it."""
    signs = np.sign(np.diff(run.astype(np.float64)))
    often = np.unique(signs, return_counts=True)[1] / len(signs)
    return -len(signs) * float((often * np.log2(often)).sum())


def find_values(search: Search) -> Finder:
    """Say of an array whether half of its numbers are those of one person each in one column."""
    single = search.values.list_single() if search.values else {}

    def find(one: Numbers) -> Held | None:
        values = list_values(one) if single else ()
        for alone in single.values() if len(values) else ():
            hits = int(np.isin(values, alone).sum())
            if hits >= max(VALUES, len(values) / 2):
                return Held(one.path, OF_ONE, hits)
        return None

    return find
