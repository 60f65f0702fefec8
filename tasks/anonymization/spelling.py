"""How a value is spelt as the label of a hierarchy, whichever type its column has.

A whole number has one spelling (5 and 5.0 are "5"), and so has a day (a date and a midnight are
"1969-12-31"). Everything else is spelt as Python's `str` does.
"""

from __future__ import annotations

from datetime import datetime, time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WHOLE = 2.0**63


def label_of(value: object) -> str:
    """Spell one value that is not missing."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return str(value.date())
    return str(value)


def spell(values: pd.Index) -> NDArray[np.object_]:
    """Spell many values, none of them missing, as `label_of` does, without a loop over numbers."""
    if isinstance(values, pd.CategoricalIndex):
        return spell(values.categories)[values.codes]
    if isinstance(values.dtype, pd.StringDtype):
        return values.to_numpy(dtype=object)
    array = values.to_numpy()
    if array.dtype.kind in "iu":
        return array.astype(str).astype(object)
    if array.dtype.kind == "f":
        return _spell_floats(array.astype(np.float64))
    if array.dtype.kind == "M":
        return _spell_times(array)
    if all(type(value) is str for value in array):
        return array
    return np.array([label_of(value) for value in array], dtype=object)


def _spell_floats(numbers: NDArray[np.float64]) -> NDArray[np.object_]:
    """Spell whole numbers as integers, the rest by `str`."""
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < WHOLE)
    labels = np.empty(len(numbers), dtype=object)
    labels[whole] = numbers[whole].astype(np.int64).astype(str)
    labels[~whole] = [label_of(number) for number in numbers[~whole].tolist()]
    return labels


def _spell_times(times: NDArray[np.datetime64]) -> NDArray[np.object_]:
    """Spell midnights as days, the rest by `str`."""
    days = times.astype("M8[D]")
    labels = np.datetime_as_string(days).astype(object)
    timed = days != times
    labels[timed] = [str(time) for time in pd.DatetimeIndex(times[timed])]
    return labels
