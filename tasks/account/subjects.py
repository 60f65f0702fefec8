"""Checks folded by their subject: the homogeneity of five columns is one matter and not five.

A subject is what explains a check (`expectations/explanations.yaml`). Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.checks import Check
from expectations.explanations import find_explanation
from expectations.policy.vocabulary import CheckVerdict

OTHERS: Final = "other checks"
WORST_FIRST: Final = (
    CheckVerdict.REFUSED, CheckVerdict.WARNED, CheckVerdict.INCONCLUSIVE, CheckVerdict.PASSED,
)  # fmt: skip
WARNS: Final = " It warns."
"""How an explanation says that a check never refuses."""
NOT_YET: Final = "needs "
"""How the power of a check begins that waits for something, such as more runs."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The checks of one subject, of one outlet or of the data, in the order they were made."""

    subject: str
    group: str
    outlet: str | None
    means: str
    """What a warning of it says, in a sentence; empty where nothing explains it."""
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> CheckVerdict:
        """The worst verdict among them."""
        return min((check.verdict for check in self.checks), key=WORST_FIRST.index)

    @property
    def passed(self) -> int:
        """How many of them passed."""
        return sum(check.verdict is CheckVerdict.PASSED for check in self.checks)

    @property
    def name(self) -> str:
        """Their names as one, as `homogeneity of age, sex and bmi in partner`."""
        return join_names([check.name for check in self.checks])


def fold(checks: Iterable[Check]) -> list[Folded]:
    """Put checks of one subject and outlet together, in the order in which each first comes."""
    found: dict[tuple[str, str, str | None, str], list[Check]] = {}
    for check in checks:
        known = find_explanation(check.name)
        subject, group = (known.name, known.group) if known else (check.name, OTHERS)
        means = known.means.removesuffix(WARNS) if known else ""
        found.setdefault((subject, group, check.outlet, means), []).append(check)
    return [Folded(*key, tuple(each)) for key, each in found.items()]


def join_names(names: Sequence[str]) -> str:
    """Write names that begin and end with the same words as one."""
    words = [name.split() for name in names]
    if len(names) == 1:
        return names[0]
    start = _count_shared(words)
    rest = [one[start:] for one in words]
    end = _count_shared([one[::-1] for one in rest])
    parts = [" ".join(one[: len(one) - end]) for one in rest]
    shared = words[0][:start], rest[0][len(rest[0]) - end :]
    return " ".join([*shared[0], list_names(parts), *shared[1]])


def list_names(names: Sequence[str]) -> str:
    """Write names one after the other, as `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _count_shared(lists: Sequence[Sequence[str]]) -> int:
    """Count the words that all begin with; each keeps at least one of its own."""
    most = min(map(len, lists)) - 1
    alike = (len({one[at] for one in lists}) == 1 for at in range(most))
    return next((at for at, same in enumerate(alike) if not same), most)


def waits(check: Check) -> bool:
    """Whether a check could not be made yet, and will be once there is more to look at."""
    return check.verdict is CheckVerdict.INCONCLUSIVE and check.power.startswith(NOT_YET)
