"""How counts of people leave, and whatever is made of them: shares, averages, bounds.

One function rounds every published count (`Disclosure.publish`). A share of people is made of two
published counts (`rate`), so that nothing follows from it that they do not tell. An average over
people has no count to be made of: it is told in steps that ten people can hardly move it by
(`tell_average`, `in_steps`, `bound_share`).

Counts below a threshold are hidden and the others rounded to tens, up or down by a keyed draw
(unbiased random rounding, controlled by the count: Hundepool et al. 2012, Statistical Disclosure
Control, chapter 5). The draw belongs to the number, so that a number has one figure, whoever is
counted and however often they are asked for: there is nothing to average. Of ten people who come
or leave one by one, one changes the figure. Published parts need not add up to their total.

It does not protect against everything: a figure that changes when a single known person moved
tells that they are counted in it, which happens once in ten; ten people who move at once always
show; who knows the exact counts of many cells learns where their tens are rounded, and then knows
another cell's count at the moment at which its figure changes.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass, field
from typing import Final

STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The widths of steps in which shares are told, in thousandths."""
EXACT: Final = 6
"""Digits of a percentage that stands in a policy: more than anybody writes."""
CLASS: Final = 50
"""People of each class, of everybody or of a group, from whom on a model's quality is told."""
TEN: Final = 10
"""Counts are rounded to multiples of it, and so moved by less than it."""


@dataclass(frozen=True, slots=True)
class Count:
    """An exact number of people; its text does not give it away."""

    exact: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Published:
    """A count as the world may see it: `about` a number, or None where it is hidden."""

    about: int | None
    threshold: int

    def __str__(self) -> str:
        """Give the count as people read it."""
        return f"fewer than {self.threshold}" if self.about is None else f"{self.about:,}"

    @property
    def middle(self) -> int:
        """The number that shares are made of: of a hidden count, the middle of what it may be."""
        return self.threshold // 2 if self.about is None else self.about

    @property
    def least(self) -> int:
        """The smallest number of people that is published so."""
        return 0 if self.about is None else max(self.about - TEN + 1, self.threshold)


def rate(part: Published, whole: Published) -> float:
    """Give a share of people, 0 to 1, of published counts alone; nobody has a share of nobody."""
    return min(part.middle / whole.middle, 1.0) if whole.middle else 0.0


def tell_average(average: float, least: int) -> float:
    """Give an average over `least` people or more, of figures from 0 to 1, in wide steps.

    One of them moves it by 1 / `least` at most, and a step is ten times that. `least` is of a
    published count, so that the width of a step tells nothing more.
    """
    return min(round(average * least / TEN) * TEN / least, 1.0)


def roughly(number: int, threshold: int = 10) -> str:
    """Word how many rows of people break a rule, for a message: two digits, hidden when few.

    Used where there is no home's key, because what is counted could not be read as people.
    """
    if number < threshold:
        return f"fewer than {threshold}"
    step = 10 ** max(0, len(str(number)) - 2)
    return f"about {round(number / step) * step:,}"


def find_step(people: float, threshold: int = 10) -> int:
    """Give the width of steps, in thousandths, in which shares of so many people are told.

    It stands for `threshold` people or more. There are a few widths: one made for the number of
    people would tell it.
    """
    return next((size for size in STEPS if size * people >= 1e3 * threshold), STEPS[-1])


def in_steps(figure: float, people: float, threshold: int = TEN) -> float:
    """Round an average over people, or a share of them, to steps of `threshold` of them or more.

    With all its digits it would be an exact count, and in steps made for the number of people it
    would tell that number.
    """
    step = find_step(people, threshold)
    return round(1e3 * figure / step) * step / 1e3


def percent(share: float, digits: int = 3) -> str:
    """Write a share of 0 to 1 as a percentage; one that a policy declares is told with `EXACT`."""
    # Read back, or all of 100 % in two digits would be 1e+02.
    return f"{float(f'{100 * share:.{digits}g}'):.{EXACT}g} %"


def bound_share(share: float, people: int, threshold: int = 10) -> float:
    """Give a bound that a share of people does not exceed, in steps of `threshold` people or more.

    The exact share would be an exact count of people, and a share of zero tells that of nobody.
    """
    step = find_step(people, threshold)
    # Rounded, so that a share of whole steps is not pushed over by the last bit of a float.
    steps = max(1, math.ceil(round(1e3 * share, 9) / step))
    return min(1000, steps * step) / 1e3


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The rule of one home: its key, and the threshold below which counts are hidden."""

    key: bytes = field(repr=False)
    threshold: int = 10

    def publish(self, count: Count) -> Published:
        """Give what may be published of a count: a multiple of ten, or nothing if it is small.

        A count is rounded up with a chance of its last digit in ten, by a draw of its tens.
        """
        if count.exact < self.threshold:
            return Published(None, self.threshold)
        tens, digit = divmod(count.exact, TEN)
        tens += digit >= self._find_turn(tens)
        return Published(max(self.threshold, TEN * tens), self.threshold)

    def _find_turn(self, tens: int) -> int:
        """Draw the last digit from which on these tens are rounded up, from 1 to 10 (never)."""
        drawn = hmac.digest(self.key, tens.to_bytes(8, "big"), "sha256")
        return int.from_bytes(drawn[:8], "big") % TEN + 1
