"""Whether treatments fit the columns and the other treatments that they stand beside.

One plain function per rule, as in `rules`, which asks them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from expectations.errors import Problem
from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import Policy
from expectations.policy.treatments import Level, Noise, Shift
from expectations.policy.vocabulary import Use

BUILT_IN: Final[Mapping[str, tuple[frozenset[ColumnType], int]]] = {
    "dates": (frozenset({ColumnType.DATE}), 4),
    "ages": (frozenset({ColumnType.INTEGER, ColumnType.NUMBER}), 3),
    "postcodes": (frozenset({ColumnType.TEXT, ColumnType.INTEGER}), 10),
}
"""Which types a built-in hierarchy is for, and its last level below the root."""


def built_in_levels_fit_their_columns(policy: Policy) -> Iterator[Problem]:
    """Built-in hierarchies fit the column's type, at a level that exists."""
    for name, column in policy.treated.items():
        if not isinstance(column.treatment, Level) or column.treatment.of is None:
            continue
        of, path = column.treatment.of, f"{policy.path_of(name)}.treatment"
        types, last = BUILT_IN[of]
        if policy.column_type(name) not in types:
            fits = " or ".join(sorted(types))
            yield Problem(f"{path}.of", f"{of} are in columns of type {fits}", "choose another")
        if column.treatment.level > last:
            what = f"{of} have no level {column.treatment.level} below the root"
            yield Problem(f"{path}.level", what, f"choose 1 to {last}")


def noise_has_room(policy: Policy) -> Iterator[Problem]:
    """Bounds of whole numbers contain at least two of them."""
    for name, column in policy.treated.items():
        treatment = column.treatment
        whole = policy.column_type(name) is ColumnType.INTEGER
        if not isinstance(treatment, Noise) or not whole:
            continue
        if math.ceil(treatment.low) >= math.floor(treatment.high):
            what = "the bounds hold fewer than two whole numbers"
            yield Problem(f"{policy.path_of(name)}.treatment.low", what, "widen them")


def dates_move_together(policy: Policy) -> Iterator[Problem]:
    """All dates of a person move by the same days, or the intervals between columns are lost."""
    days: int | None = None
    for name, column in policy.treated.items():
        if isinstance(column.treatment, Shift):
            if days not in {None, column.treatment.days}:
                path = f"{policy.path_of(name)}.treatment.days"
                what = f"another column is moved by up to {days} days"
                yield Problem(path, what, "use the same")
            days = days or column.treatment.days


def taken_from_data(policy: Policy) -> tuple[str, ...]:
    """Name the columns whose labels and bounds nobody has yet confirmed as public.

    A derived column is among them where it reads one that is.
    """
    marked = {name for name, column in policy.columns.items() if column.from_data}
    read = {name: policy.read_for([name])[Use.DERIVATION] for name in policy.derived}
    return tuple(n for n in policy.treated if n in marked or marked & read.get(n, frozenset()))


def claims_rest_on_public_values(policy: Policy) -> Iterator[Problem]:
    """Labels and bounds taken from the data are confirmed before a privacy claim needs them.

    What differential privacy hides is a person's value, given labels and bounds that are known
    without it: those that the data themselves named tell of who is in them.
    """
    private = {*policy.used_as(Use.FEATURE), *policy.used_as(Use.TARGET)} if policy.private else ()
    for name in taken_from_data(policy):
        noisy = isinstance(policy.treated[name].treatment, Noise)
        if name in private or noisy:
            part = ".from_data" if name in policy.columns else ""
            yield Problem(
                f"{policy.path_of(name)}{part}",
                "its labels and bounds were taken from the data, and the claim of differential "
                f"privacy {'of its noise' if noisy else 'of the model'} holds for public ones only",
                "look at them, change what is not known without these people's data, and take "
                "`from_data` out" + ("" if part else " of the columns that it reads"),
            )


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    built_in_levels_fit_their_columns,
    noise_has_room,
    dates_move_together,
    claims_rest_on_public_values,
)
