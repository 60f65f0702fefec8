"""Public labels of values: declared words, and the levels of a declared or built-in hierarchy.

What a value becomes depends on that value and on the policy alone, so these serve record-wise
treatments. What has no label is counted and stops the run; nothing is guessed from how a value
looks. A missing value stays missing.

Three hierarchies are built in and need no declared list (`kind: hierarchy` with `of`). Level 0 is
the value itself, the last level is `*`.

- dates: day, month, quarter, year, decade, `*`.
- ages: whole years, then bands of 5, 10 and 20 years, open from `top` on ("90+"), `*`. HIPAA's safe
  harbour asks for one category from 90 on (45 CFR 164.514(b)(2)(i)(C)): that is level 1 or above.
- postcodes: one character less from the right per level ("8053*"), the first one stays, then `*`.
  How many people live under a prefix is not known here: HIPAA's safe harbour keeps three digits
  of a ZIP code only where more than 20,000 people live under them, and sets them to 000 elsewhere
  (45 CFR 164.514(b)(2)(i)(B)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.disclosure import roughly
from expectations.errors import UsageError
from expectations.policy.treatments import Level
from tasks.anonymization.hierarchies import ROOT, label_of, spell

DATE_LEVELS = ("day", "month", "quarter", "year", "decade", "all")
AGE_BANDS = (1, 5, 10, 20)
OLDEST = 150

Labels = NDArray[np.object_]


def dates_level(values: pd.Series, level: int) -> Labels:
    """Give the label of each date at a level, 0 (day) to 5 (`*`).

    `values` are dates, times (their own zone's day counts) or ISO 8601 texts. Raises `UsageError`
    with the count of values that are no date.
    """
    _check_level(level, len(DATE_LEVELS) - 1, "dates")
    number, days = pd.factorize(_days(values))
    return _taken(_name_days(np.asarray(days, dtype="M8[D]"), level), number)


def ages_level(values: pd.Series, level: int, top: int = 90) -> Labels:
    """Give the label of each age at a level, 0 (years) to 4 (`*`); bands that reach `top` are open.

    Raises `UsageError` with the count of values that are not whole years from 0 to 150, and for a
    `top` that no band of 5 years begins with.
    """
    _check_level(level, len(AGE_BANDS), "ages")
    if top <= 0 or top % 5:
        raise UsageError(f"ages: the open top {top} is not a multiple of 5; take 85 or 90")
    known = values.notna()
    years = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = known & ~((years >= 0) & (years <= OLDEST) & (np.floor(years) == years))
    if wrong.any():
        raise UsageError(
            f"ages: {int(wrong.sum())} of {len(values)} values are not whole years from 0 to "
            f"{OLDEST}; correct or round them down first"
        )
    every = [_name_age(age, level, top) for age in range(OLDEST + 1)]
    return _taken(np.array(every, dtype=object), np.where(known, years, -1).astype(np.int64))


def postcodes_level(values: pd.Series, level: int, length: int | None = None) -> Labels:
    """Give the label of each postcode at a level: its last `level` characters become `*`.

    Codes of different lengths stay apart at every level but `*`, which is the level `length` (by
    default that of the longest code) and above; a treatment should declare `length`, since
    the longest is known from data only. Raises `UsageError` with counts for codes with a `*`, empty
    ones, and those of another length than declared.
    """
    if level < 0:
        raise UsageError(f"postcodes: there is no level {level}; count levels from 0")
    number, distinct = pd.factorize(values)
    codes = spell(pd.Index(distinct)).astype(str)
    sizes = np.char.str_len(codes)
    _check_codes(codes, sizes, np.bincount(number[number >= 0], minlength=len(codes)), length)
    if level and level >= (length or int(sizes.max(initial=1))):
        return _taken(np.full(len(codes), ROOT, dtype=object), number)
    labels = np.empty(len(codes), dtype=object)
    for size in np.unique(sizes):
        chosen = sizes == size
        letters = np.array(codes[chosen], dtype=f"U{size}").view("U1").reshape(-1, size)
        letters[:, max(1, size - level) :] = ROOT
        labels[chosen] = letters.reshape(-1).view(f"U{size}").astype(object)
    return _taken(labels, number)


def _days(values: pd.Series) -> NDArray[np.datetime64]:
    """Take each value's day, missing ones as NaT."""
    times = values
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        times = pd.to_datetime(values, format="ISO8601", errors="coerce")
        if wrong := int((times.isna() & values.notna()).sum()):
            raise UsageError(
                f"dates: {wrong} of {len(values)} values are not dates; "
                "write them as year-month-day, or correct them"
            )
    else:
        times = values.dt.tz_localize(None)
    return times.to_numpy().astype("M8[D]")


def _name_days(days: NDArray[np.datetime64], level: int) -> Labels:
    """Name the part of the calendar that each day lies in."""
    match DATE_LEVELS[level]:
        case "day":
            return np.datetime_as_string(days).astype(object)
        case "month":
            return np.datetime_as_string(days.astype("M8[M]")).astype(object)
        case "quarter":
            month = days.astype("M8[M]").astype(np.int64) % 12
            quarter = (month // 3 + 1).astype(str).astype(object)
            return np.asarray(_name_years(days) + "-Q" + quarter, dtype=object)
        case "year":
            return _name_years(days)
        case "decade":
            return np.array([year[:3] + "0s" for year in _name_years(days)], dtype=object)
        case _:
            return np.full(len(days), ROOT, dtype=object)


def _name_years(days: NDArray[np.datetime64]) -> Labels:
    """Name the year of each day, in four digits."""
    return np.datetime_as_string(days.astype("M8[Y]")).astype(object)


def _name_age(age: int, level: int, top: int) -> str:
    """Name the band of one age."""
    if level == 0:
        return str(age)
    if level == len(AGE_BANDS):
        return ROOT
    width = AGE_BANDS[level]
    if age >= (open_from := top // width * width):
        return f"{open_from}+"
    low = age // width * width
    return f"{low}-{low + width - 1}"


def _check_codes(
    codes: NDArray[np.str_], sizes: NDArray[np.int64], rows: NDArray[np.int64], length: int | None
) -> None:
    """Refuse postcodes that the levels cannot tell apart or that are cut."""
    faults = []
    if starred := int(rows[(np.char.find(codes, ROOT) >= 0) | (sizes == 0)].sum()):
        faults.append(f"{starred} are empty or hold a '*'; take them out")
    if length is not None and (other := int(rows[sizes != length].sum())):
        faults.append(
            f"{other} have not the declared length {length}; declare another, or read the column "
            "as text where leading zeros were lost"
        )
    if faults:
        raise UsageError(f"postcodes: of {int(rows.sum())} values " + ", and ".join(faults))


def _check_level(level: int, last: int, what: str) -> None:
    """Refuse a level that there is not."""
    if not 0 <= level <= last:
        raise UsageError(f"{what}: there is no level {level}; choose 0 to {last}")


def _taken(labels: Labels, number: NDArray[np.int64]) -> Labels:
    """Give each row its label, and None where the number is -1."""
    return np.append(labels, np.array([None], dtype=object))[number]


class Undeclared(ValueError):
    """A column holds values that its treatment does not know; the text is their count."""


def name_words(
    values: pa.ChunkedArray,
    named: Mapping[str, str],
    words: Sequence[str],
    other: str | None = None,
) -> pa.Array:
    """Give each value's word, as `named` says, else `other`; `Undeclared` where that is None."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    encoded = pc.dictionary_encode(values).combine_chunks()
    if other is not None and other not in words:
        words = (*words, other)
    place: dict[str | None, int] = {word: n for n, word in enumerate(words)}
    spelled = [label_of(value) for value in encoded.dictionary.to_pylist()]
    codes = pa.array([place.get(named.get(each, other)) for each in spelled], pa.int32())
    indices = codes.take(encoded.indices)
    refuse_undeclared(indices.null_count - encoded.indices.null_count)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words))


def label_values(values: pa.ChunkedArray, treatment: Level) -> pa.Array:
    """Give each value's label at the level of its hierarchy; `Undeclared` when it has none.

    Built in are dates of the calendar, whole years of age from 0 to 150, and postcodes, which are
    not empty and hold no `*`.
    """
    level = treatment.level
    match treatment.of:
        case None:
            named = {row[0]: row[level] for row in treatment.rows}
            return name_words(values, named, tuple(dict.fromkeys(named.values())))
        case "dates":
            made = dates_level(values.to_pandas(), level)
        case "ages":
            years = values.cast(pa.float64()).to_numpy()
            fits = (years >= 0) & (years <= OLDEST) & (np.floor(years) == years)
            refuse_undeclared(int((~fits & ~np.isnan(years)).sum()))
            made = ages_level(values.to_pandas(), level)
        case "postcodes":
            codes = values.cast(pa.large_string())
            bad = pc.or_(pc.equal(codes, ""), pc.match_substring(codes, "*"))
            refuse_undeclared(pc.sum(bad).as_py() or 0)
            # One code that is longer than any level, so that the others do not decide what it is.
            longest = pa.array(["0" * (level + 1)], codes.type)
            column = pa.chunked_array([*codes.chunks, longest]).to_pandas()
            made = postcodes_level(column, level)[:-1]
    return pa.array(made, pa.large_string(), from_pandas=True)


def refuse_undeclared(unknown: int) -> None:
    """Raise `Undeclared` where values have no label, with their rough number."""
    if unknown:
        raise Undeclared(f"{roughly(unknown)} values are not among those declared")
