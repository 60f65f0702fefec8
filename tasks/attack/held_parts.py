"""Parts of people's rows in a table that a model holds, whatever became of its columns.

A column of the table can be that of any column of the people, shifted and scaled by itself, turned
round, or coded; some are left out, others are not people's at all. Column by column, those with the
most different numbers first, the one is taken that fits best with those before. In the end rows
match people whom they single out, and count if a table with the same columns, each shuffled by
itself, would hardly match as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.held_rows import RARE, Held
from tasks.attack.number_codes import hash_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.attack.held_rows import Survey
    from tasks.attack.serialized import Numbers

    Codes = NDArray[np.int64]
    Figures = NDArray[np.float64]

PARTS: Final = "parts of the rows of"
LEAST_ROWS, MOST_ROWS = 8, 400
"""Rows of a table that is looked at, and how many of more."""
MOST_COLUMNS: Final = 200
MOST_PEOPLE: Final = 10_000
FEW: Final = 16
"""Different numbers of a people's column up to which every way of fitting is tried."""
STEPPED: Final = 3_000
"""Different numbers up to which the column's step is tried as a scale."""
MOST_WAYS: Final = 4
"""Ways to fit one column on another that are kept."""
LOST: Final = -12.0
"""What a row that matches nobody costs, in the logarithm of a probability."""
SHUFFLES: Final = 5
SEED: Final = 20261201
"""It seeds no noise that protects anybody."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the people: its different numbers in order, and each person's place there."""

    values: Figures
    codes: Codes
    centre: float
    spread: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A column of the table read as one of the people's: each row's place there, -1 for none."""

    column: int
    codes: Codes


def search_parts(numbers: Iterator[Numbers] | list[Numbers], known: Survey) -> list[Held]:
    """Search tables for parts of people's rows."""
    tables = [(one, table) for one in numbers for table in list_tables(one)]
    if not tables or known.people < LEAST_ROWS:
        return []
    columns = list_columns(known)
    found: dict[tuple[str | int, ...], Held] = {}
    for one, table in tables:
        held = 0 if one.path in found else count_held(table, columns, find_tolerance(one.values))
        if held:
            found[one.path] = Held(one.path, PARTS, held)
    return list(found.values())


def list_tables(one: Numbers) -> Iterator[Figures]:
    """Give an array of two dimensions with its rows as rows, and as columns."""
    values = one.values.squeeze()
    if values.ndim != 2 or one.of_tree:
        return
    for table in (values, values.T):
        if len(table) >= LEAST_ROWS and 2 <= table.shape[1] <= MOST_COLUMNS:
            step = len(table) // MOST_ROWS + 1
            yield table[::step].astype(np.float64)


def find_tolerance(values: NDArray[np.generic]) -> float:
    """Say how far a number may be off, as a share of it, by the digits that are kept of it."""
    if values.dtype.kind != "f":
        return 1e-9
    return {2: 1e-3, 4: 1e-6}.get(values.dtype.itemsize, 1e-9)


def list_columns(known: Survey) -> list[Column]:
    """Give the columns of some people, each once, without those that are the same for all."""
    sample = known.sample[:: len(known.sample) // MOST_PEOPLE + 1]
    made: dict[bytes, Column] = {}
    for column, centre, spread in zip(sample.T, known.centre, known.spread, strict=True):
        values, codes = np.unique(np.nan_to_num(column, nan=-1e300), return_inverse=True)
        if len(values) > 1:
            made.setdefault(codes.astype(np.int64).tobytes(), Column(values, codes, centre, spread))
    return list(made.values())


def count_held(table: Figures, columns: list[Column], tolerance: float) -> int:
    """Count the people whom a table's rows single out, if they are more than by chance."""
    from scipy.special import pdtrc

    chosen = choose_fits(table, columns, tolerance)
    if len(chosen) < 2:
        return 0
    people = np.column_stack([columns[fit.column].codes for fit in chosen])
    rows = np.column_stack([fit.codes for fit in chosen])
    held = count_singled(rows, people)
    if held < LEAST_ROWS:
        return 0
    draw = np.random.default_rng(SEED)
    shuffled = [count_singled(draw.permuted(rows, axis=0), people) for _ in range(SHUFFLES)]
    return held if pdtrc(held - 1, 2 * np.mean(shuffled) + 0.5) < RARE else 0


def count_singled(rows: Codes, people: Codes) -> int:
    """Count the people who are the only ones with a combination that some row has."""
    of_people, often = np.unique(hash_rows(people.astype(np.uint64)), return_counts=True)
    there = hash_rows(rows[(rows >= 0).all(axis=1)].astype(np.uint64))
    return int(np.isin(of_people[often == 1], there).sum())


def choose_fits(table: Figures, columns: list[Column], tolerance: float) -> list[Fit]:
    """Read a table's columns as people's, one by one, each as fits best with those before."""
    different = [len(np.unique(column)) for column in table.T]
    order = [place for place in np.argsort(different)[::-1] if different[place] > 1]
    of_people = np.zeros(len(columns[0].codes), dtype=np.int64) if columns else np.zeros(0, int)
    of_rows = np.zeros(len(table), dtype=np.int64)
    chosen, taken = list[Fit](), set[int]()
    for place in order:
        fits = [fit for number, column in enumerate(columns) if number not in taken
                for fit in fit_column(table[:, place], number, column, tolerance)]  # fmt: skip
        best, score = None, -np.inf
        for fit in fits:
            tried = rate(fit, columns[fit.column], of_people, of_rows)
            if tried > score:
                best, score = fit, tried
        if best is None:
            continue
        of_people, of_rows = refine(best, columns[best.column], of_people, of_rows)
        chosen.append(best)
        taken.add(best.column)
    return chosen


def rate(fit: Fit, column: Column, of_people: Codes, of_rows: Codes) -> float:
    """Say how likely the rows' numbers are among the people whom they match so far."""
    size = len(column.values)
    before = np.bincount(of_people)
    keys, often = np.unique(of_people * size + column.codes, return_counts=True)
    sought = np.where((of_rows >= 0) & (fit.codes >= 0), of_rows * size + fit.codes, -1)
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    there = keys[place] == sought
    return float(np.where(there, np.log(often[place] / before[np.maximum(of_rows, 0)]), LOST).sum())


def refine(fit: Fit, column: Column, of_people: Codes, of_rows: Codes) -> tuple[Codes, Codes]:
    """Part people by one more column, and say whom of them each row still matches."""
    size = len(column.values)
    keys, parted = np.unique(of_people * size + column.codes, return_inverse=True)
    sought = np.where((of_rows >= 0) & (fit.codes >= 0), of_rows * size + fit.codes, -1)
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    return parted.astype(np.int64), np.where(keys[place] == sought, place, -1)


def fit_column(held: Figures, number: int, column: Column, tolerance: float) -> Iterator[Fit]:
    """Give the ways in which a table's column can be one of the people's, shifted and scaled."""
    values = np.unique(held[np.isfinite(held)])
    if not 2 <= len(values) <= len(column.values):
        return
    seen = set[bytes]()
    for scale, shift in list_scales(values, column):
        near = find_nearest(scale * values + shift, column.values)
        off = np.abs(scale * values + shift - column.values[near])
        size = np.abs(scale) * np.abs(values).max() + np.abs(shift)
        if (off <= tolerance * size).all() and near.tobytes() not in seen:
            seen.add(near.tobytes())
            codes = near[np.minimum(np.searchsorted(values, held), len(values) - 1)]
            yield Fit(number, np.where(np.isfinite(held), codes, -1))
        if len(seen) == MOST_WAYS:
            return


def is_stepped(values: Figures) -> bool:
    """Say whether numbers in order are whole steps apart, or a half or a third of their least."""
    steps = 6 * np.diff(values) / np.diff(values).min()
    return bool((np.abs(steps - np.round(steps)) < 0.05).all())


def find_nearest(figures: Figures, values: Figures) -> Codes:
    """Give the place of the nearest of some values in order."""
    right = np.clip(np.searchsorted(values, figures), 1, len(values) - 1)
    left = figures - values[right - 1] < values[right] - figures
    return np.asarray(right - left, dtype=np.int64)


def list_scales(held: Figures, column: Column) -> Iterator[tuple[float, float]]:
    """List how numbers may have been scaled and shifted, by what they and the people's are.

    By nothing, by the people's mean and spread, from end to end, by every pair of a column's few
    numbers, and by its step.
    """
    values = column.values
    yield from ((1.0, 0.0), (column.spread, column.centre), (1.0, column.centre))
    ends = [(values[0], values[-1]), (values[-1], values[0])]
    if len(values) <= FEW:
        ends += [(low, high) for low in values for high in values if low != high]
    for low, high in ends:
        scale = (high - low) / (held[-1] - held[0])
        yield scale, low - scale * held[0]
    if FEW < len(values) <= STEPPED and is_stepped(held):
        ratio = np.diff(values).min() / np.diff(held).min()
        for scale in (ratio, -ratio, 2 * ratio, -2 * ratio, ratio / 2, -ratio / 2):
            ends_at = values + scale * (held[-1] - held[0])
            within = (ends_at >= values[0] - abs(ratio)) & (ends_at <= values[-1] + abs(ratio))
            yield from ((scale, start - scale * held[0]) for start in values[within])
