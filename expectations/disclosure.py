"""How counts of people leave: one function that every published count goes through.

Counts below a threshold are hidden and the others moved by a small keyed offset that depends only
on which people are counted, so that the same people give the same figure however often they are
asked for, and the difference of two figures does not show one person (the cell-key method: Fraser
and Wooton 2005; Thompson, Broadfoot and Elazar 2013). Published parts need not add up to their
total. It does not protect against somebody who knows everybody but one in a cell and sees a
great many different cells that hold that person.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass, field
from typing import Final

STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The widths of steps in which shares are told, in thousandths."""
SPREAD = 3
"""Offsets are the integers from -SPREAD to SPREAD, each as likely."""


@dataclass(frozen=True, slots=True)
class Count:
    """An exact number of people and their cell key; its text gives neither away.

    `cell_key` is the sum, modulo 2**64, of the record keys of the people counted: keyed, uniform
    64-bit numbers, one per person, given with the roster.
    """

    exact: int = field(repr=False)
    cell_key: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Published:
    """A count as the world may see it: `about` a number, or None where it is hidden."""

    about: int | None
    threshold: int

    def __str__(self) -> str:
        """Give the count as people read it."""
        return f"fewer than {self.threshold}" if self.about is None else f"{self.about:,}"


def roughly(number: int, threshold: int = 10) -> str:
    """Word how many rows of people break a rule, for a message: two digits, hidden when few.

    Used where there is no cell key, because what is counted could not be read as people.
    """
    if number < threshold:
        return f"fewer than {threshold}"
    step = 10 ** max(0, len(str(number)) - 2)
    return f"about {round(number / step) * step:,}"


def bound_share(share: float, people: int, threshold: int = 10) -> float:
    """Give a bound that a share of people does not exceed, in steps of `threshold` people or more.

    The exact share would be an exact count of people, and a share of zero tells that of nobody.
    Steps are of a few sizes, in thousandths: one made for the number of people would tell it.
    """
    step = next((size for size in STEPS if size * people >= 1e3 * threshold), STEPS[-1])
    # Rounded, so that a share of whole steps is not pushed over by the last bit of a float.
    steps = max(1, math.ceil(round(1e3 * share, 9) / step))
    return min(1000, steps * step) / 1e3


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The rule of one home: its key, and the threshold below which counts are hidden."""

    key: bytes = field(repr=False)
    threshold: int = 10

    def publish(self, count: Count) -> Published:
        """Give what may be published of a count."""
        if count.exact < self.threshold:
            return Published(None, self.threshold)
        drawn = hmac.digest(self.key, (count.cell_key % 2**64).to_bytes(8, "big"), "sha256")
        offset = int.from_bytes(drawn[:8], "big") % (2 * SPREAD + 1) - SPREAD
        return Published(max(self.threshold, count.exact + offset), self.threshold)
