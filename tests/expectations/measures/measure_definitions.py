"""The definitions of the privacy measures as plain loops over classes: what tests hold ours to.

A class is the list of its sensitive values, a table a list of classes. Shares no code with
`expectations`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import pandas as pd

Class = list[Hashable]


def split(frame: pd.DataFrame, columns: Sequence[str], sensitive: str) -> list[Class]:
    """Collect the sensitive values of each class; a missing value is None."""
    found: dict[tuple[Hashable, ...], Class] = defaultdict(list)
    for row in frame[[*columns, sensitive]].itertuples(index=False):
        *key, value = (None if pd.isna(cell) else cell for cell in row)
        found[tuple(key)].append(value)
    return list(found.values())


def shares(rows: Class) -> dict[Hashable, float]:
    """The share of each value."""
    return {value: count / len(rows) for value, count in Counter(rows).items()}


def everyone(classes: list[Class]) -> Class:
    """The values of the whole table."""
    return [value for rows in classes for value in rows]


def distinct_l(classes: list[Class]) -> int:
    """The fewest different values."""
    return min(len(set(rows)) for rows in classes)


def entropy_l(classes: list[Class]) -> float:
    """The exponential of the smallest entropy."""
    return min(math.exp(-sum(q * math.log(q) for q in shares(rows).values())) for rows in classes)


def smallest_c(classes: list[Class], least: int) -> float:
    """The largest r1 / (r_l + ... + r_m)."""
    found = []
    for rows in classes:
        r = sorted(Counter(rows).values(), reverse=True)
        rest = sum(r[least - 1 :])
        found.append(r[0] / rest if rest else math.inf)
    return max(found)


def equal_t(classes: list[Class]) -> float:
    """Half the summed differences of shares, of the worst class."""
    table = shares(everyone(classes))
    return max(
        sum(abs(shares(rows).get(value, 0.0) - p) for value, p in table.items()) / 2
        for rows in classes
    )


def ordered_t(classes: list[Class]) -> float:
    """The summed differences of cumulated shares over values - 1, a missing value last."""
    table = shares(everyone(classes))
    order = sorted(table, key=lambda value: (value is None, value if value is not None else ""))
    if len(order) == 1:
        return 0.0
    worst = 0.0
    for rows in classes:
        own, moved, total = shares(rows), 0.0, 0.0
        for value in order:
            moved += own.get(value, 0.0) - table[value]
            total += abs(moved)
        worst = max(worst, total / (len(order) - 1))
    return worst


def alpha(classes: list[Class]) -> float:
    """The largest share."""
    return max(max(shares(rows).values()) for rows in classes)


def beta(classes: list[Class]) -> float:
    """The largest relative gain of a value."""
    table = shares(everyone(classes))
    return max((q - table[v]) / table[v] for rows in classes for v, q in shares(rows).items())


def is_enhanced(classes: list[Class], bound: float) -> bool:
    """Whether every gain is at most min(bound, -ln p), up to rounding."""
    table = shares(everyone(classes))
    return all(
        (q - table[v]) / table[v] <= min(bound, -math.log(table[v])) + 1e-9
        for rows in classes
        for v, q in shares(rows).items()
    )


def delta(classes: list[Class]) -> float:
    """The largest |ln(q / p)|, over all values of the table in all classes."""
    table = shares(everyone(classes))
    found = [
        abs(math.log(q / table[v])) if (q := shares(rows).get(v, 0.0)) else math.inf
        for rows in classes
        for v in table
    ]
    return max(found)
