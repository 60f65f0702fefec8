"""Tries on made-up rows whether a function of one's own looks at one row at a time.

It is called with all rows together, again, in another order, with parts of them, with each row
alone, and with 5,000 rows of which a few hold a number far out: what it gives for a row must not
change. So means, ranks, quantiles, fills by the others, counters and chance are found, and bounds
that the other rows set (the largest value, a quantile, a distance from the mean). It is no proof: a
function that behaves otherwise on more rows still, on combinations that are not made up here, or on
purpose, is not found. Numbers may differ by a relative 1e-9, for a sum is rounded differently in a
longer array.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from expectations.errors import PolicyError, Problem
from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import DerivedColumn
from expectations.policy.treatments import Categories, Level
from expectations.policy_file import PolicyFile, locate
from tasks.anonymization.deidentify import treat
from tasks.anonymization.labels import Undeclared
from tasks.own_code.columns import OwnColumn, WrongResult, own_columns
from tasks.own_code.loading import OwnCode, load_policy_code, tell_error
from tasks.rehearsal.people import make_people

if TYPE_CHECKING:
    import pandas as pd

ROWS: Final = 120
SEED: Final = 20241126
GAP: Final = 11
"""Every so many rows, a value is left out of each column."""
MANY: Final = 5_000
FAR: Final = (20.0, 1e7)
"""How many times the span of a column's made-up numbers further numbers lie outside of it."""
CLOSE: Final = 1e-9
ONE_ROW: Final = (
    "let it compute each value from its own row and constants alone; whatever is learned from "
    "everybody belongs in the model"
)


def load_checked_code(file: PolicyFile) -> dict[str, OwnCode]:
    """Load a policy's own code and try its functions; `PolicyError` with every problem found."""
    own = load_policy_code(file)
    problems = list(find_no_functions(file, own))
    if file.policy.own_functions and not problems:
        problems = list(find_row_dependence(file, own))
    if problems:
        raise PolicyError(str(file.path), locate(file, problems))
    return own


def find_no_functions(file: PolicyFile, own: dict[str, OwnCode]) -> Iterator[Problem]:
    """Name what cannot be called."""
    for name, reference in file.policy.own_functions.items():
        if not callable(own[reference].value):
            what = f"`{reference}` is not a function"
            yield Problem(f"derived.{name}.function", what, "name one that takes a DataFrame")


def find_row_dependence(file: PolicyFile, own: dict[str, OwnCode]) -> Iterator[Problem]:
    """Say of each function what it does wrong on made-up rows."""
    people = leave_gaps(make_people(file.policy, ROWS, SEED))
    table = pa.Table.from_pandas(people, preserve_index=False)
    for column in own_columns(file.policy, own):
        path = f"derived.{column.name}.function"
        try:
            frame = column.frame(table)
            what, fix = try_alone(column, frame)
            if not what:
                what, fix = try_words(column.call(frame), file.policy.derived[column.name])
        except WrongResult as wrong:
            what, _, fix = str(wrong).partition("; ")
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever own code may raise
            what = f"fails on made-up rows with {tell_error(error, file.folder)}"
            fix = "correct it; a value of any column that it reads may be missing"
        if what:
            yield Problem(path, f"`{column.reference}` {what}", fix)


def leave_gaps(people: pd.DataFrame) -> pd.DataFrame:
    """Take every eleventh value out of each column, in other rows of each."""
    places, gapped = np.arange(len(people)), people.copy()
    for n, name in enumerate(people):
        gapped[name] = people[name].mask((places + 3 * n) % GAP == 0)
    return gapped


def try_alone(column: OwnColumn, frame: pd.DataFrame) -> tuple[str, str]:
    """Say what is wrong with how a function takes rows, and how to mend it; "" if nothing is."""
    # Called again first: what chance changes would else be taken for a dependence on other rows.
    together = column.call(frame)
    if differing := count_changed(column, together, column.call(frame)):
        what = f"gives another value when it is called again, for {differing} of {ROWS} rows"
        return what, "remove randomness, clocks and anything that it keeps between calls"
    given = frame.copy()
    column.function(given)
    if not given.equals(frame):
        return "changes the rows that it is given", "let it work on a copy: `rows = rows.copy()`"
    worst = max(
        count_changed(column, together.take(pa.array(rows)), column.call(part(frame, rows)))
        for rows in arrangements(len(frame))
    )
    alone = [column.call(part(frame, np.array([row]))) for row in range(len(frame))]
    joined = pa.chunked_array([chunk for made in alone for chunk in made.chunks], together.type)
    worst = max(worst, count_changed(column, together, joined))
    if worst:
        return (
            f"gives {worst} of {ROWS} made-up rows a different value alone than together",
            ONE_ROW,
        )
    worst = max(count_among_many(column, frame, together, far) for far in FAR)
    if worst:
        what = f"gives {worst} made-up rows a different value alone than among {MANY:,}"
        return what, ONE_ROW
    return "", ""


def try_words(made: pa.ChunkedArray, column: DerivedColumn) -> tuple[str, str]:
    """Say whether a function gave words that its column does not declare; "" if it did not."""
    if isinstance(column.treatment, Categories | Level):
        try:
            treat(made, column.treatment, b"")
        except Undeclared as undeclared:
            what = f"gives words that the column's treatment does not declare: {undeclared}"
            return what, "declare them there (values, rename, a hierarchy), or correct the function"
    return "", ""


def count_among_many(
    column: OwnColumn, frame: pd.DataFrame, together: pa.ChunkedArray, far: float
) -> int:
    """Count the rows that change among many and beside numbers far out.

    A number that the function does not take even alone is left out: it need not take any number.
    """
    import pandas as pd

    places, parts, chunks = np.resize(np.arange(len(frame)), MANY), [], []
    for row in far_rows(frame, far):
        try:
            chunks += column.call(row).chunks
        except (Exception, SystemExit):  # noqa: BLE001, S112  # whatever own code may raise
            continue
        parts.append(row)
    alone = pa.chunked_array([*together.take(pa.array(places)).chunks, *chunks], together.type)
    crowd = pd.concat([part(frame, places), *parts], ignore_index=True)
    return count_changed(column, alone, column.call(crowd))


def far_rows(frame: pd.DataFrame, far: float) -> Iterator[pd.DataFrame]:
    """Give, for each column of numbers, a row with one far above the others, and one far below."""
    import pandas as pd

    for place, name in enumerate(frame):
        if pd.api.types.is_bool_dtype(frame[name]) or not pd.api.types.is_numeric_dtype(
            frame[name]
        ):
            continue
        numbers = frame[name].dropna()
        low, high = (numbers.min(), numbers.max()) if len(numbers) else (0, 1)
        step = round(far * max(float(high - low), 1.0))
        for number in (high + step, low - step):
            row = part(frame, np.array([place]))
            row[name] = pd.Series([number], dtype=frame[name].dtype)
            yield row


def arrangements(rows: int) -> Iterator[NDArray[np.int64]]:
    """Give rows backwards, mixed, and in parts."""
    places = np.arange(rows)
    yield places[::-1].copy()
    yield np.random.default_rng(SEED).permutation(rows)
    yield from (places[: rows // 2], places[rows // 2 :], places[::7])


def part(frame: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Give some rows of a frame, counted anew."""
    return frame.iloc[rows].reset_index(drop=True)


def count_changed(column: OwnColumn, one: pa.ChunkedArray, other: pa.ChunkedArray) -> int:
    """Count the rows whose value is another; missing is alike."""
    if column.type is ColumnType.NUMBER:
        first, second = one.to_numpy(), other.to_numpy()
        return int(np.count_nonzero(~np.isclose(first, second, CLOSE, CLOSE, equal_nan=True)))
    return sum(a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True))
