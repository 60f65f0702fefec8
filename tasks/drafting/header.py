"""Whether a table's first line is a header: without one, the first person's values are its names.

What is not known: a first line of words that nobody else has looks like any header.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pyarrow.compute as pc

from expectations.errors import SourceError
from tasks.drafting.profile import Values
from tasks.drafting.value_signs import FORMS, WRITTEN_DATE

HEADLESS: Final = (
    "the first line looks like a row of data and not like a header, so what it says is not told; "
    "write a line with the columns' names above it, or rename columns that are named by numbers, "
    "by dates or as one of their values"
)
SURE: Final = (
    "e-mail addresses", "IBANs", "card numbers", "internet addresses", "device addresses",
    "UUIDs or long keys", "telephone numbers", "web addresses or user names",
)  # fmt: skip
"""Forms of values that no column is named in."""


def refuse_headless(names: Sequence[str]) -> None:
    """Raise `SourceError`, without quoting, if a name of a column looks like a person's value."""
    if any(looks_like_data(name.strip()) for name in names):
        raise SourceError(HEADLESS)


def looks_like_data(name: str) -> bool:
    """Whether a name is a number, a date or of the form of an identifier."""
    forms = [form for form in FORMS if form.says in SURE]
    return is_number(name) or WRITTEN_DATE(name) or any(form.matches(name) for form in forms)


def is_number(name: str) -> bool:
    """Whether a name is a number; `nan` and `inf` are words."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def holds(values: Values, name: str) -> bool:
    """Whether a column's own name is one of its values; of two columns that is no chance."""
    return bool(name.strip()) and bool(pc.any(pc.equal(values.texts, name)).as_py())
