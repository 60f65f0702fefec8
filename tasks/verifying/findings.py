"""What a verification found: differences by name, and what was compared, explained or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ledgers.evidence import JSON

LONGEST: Final = 80
"""How much of a value is quoted: somebody else can have written it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was written: where, its name, what was expected and found."""

    where: str
    name: str
    expected: str
    found: str
    run: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Give it as plain values."""
        names = ("where", "name", "expected", "found", "run")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Findings:
    """All that one verification found, in the order in which it looked."""

    compared: Counter[str] = field(default_factory=Counter)
    """How many things of each kind were compared."""
    differences: list[Difference] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """What is gone because its days were over, in words."""
    beside: list[str] = field(default_factory=list)
    """What somebody should know, and is no difference."""
    left_out: list[str] = field(default_factory=list)
    """What could not be compared, and why; it decides the exit status."""

    def differ(self, where: str, name: str, expected: object, found: object, run: str = "") -> None:
        """Note one difference."""
        self.differences.append(Difference(where, name, quote(expected), quote(found), run))

    def compare(
        self, where: str, name: str, expected: object, found: object, run: str = ""
    ) -> bool:
        """Count a comparison, and note the difference where there is one; tell whether none is."""
        self.compared[where] += 1
        if expected != found:
            self.differ(where, name, expected, found, run)
        return expected == found


def quote(value: object) -> str:
    """Give a value in one short line, without what would change a terminal."""
    text = "nothing" if value is None else str(value)
    line = "".join(sign if sign.isprintable() else "�" for sign in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def say_compared(findings: Findings) -> Iterator[str]:
    """Say how many things of each kind were compared."""
    for what, number in findings.compared.items():
        yield f"{number:,} × {what}"
