"""What is wrong with the events of one source: each broken rule once, with the events' numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from expectations.errors import SourceError

SHOWN: Final = 5
"""Numbers of events named of each rule."""


@dataclass(slots=True)
class BadRows:
    """The rules that events of the source at `place` break; the first event is number 1."""

    place: str
    _told: list[str] = field(default_factory=list)

    def note(self, broken: NDArray[np.bool_], what: str, fix: str) -> None:
        """Keep a rule, if any event breaks it; `what` and `fix` hold no value of a person."""
        numbers = np.flatnonzero(broken) + 1
        if len(numbers):
            first = ", ".join(map(str, numbers[:SHOWN])) + (", …" if len(numbers) > SHOWN else "")
            self._told.append(f"  event {first} ({len(numbers):,} in all): {what}; {fix}")

    def refuse(self) -> None:
        """Raise one `SourceError` for all that was kept."""
        if self._told:
            lines = "\n".join(self._told)
            raise SourceError(f"{self.place}: some consent events are wrong\n{lines}")
