"""People drawn by lot to be attacked, where there are more than an attack needs.

How much an attack could find is worked out from those who were drawn. Who they are follows from
each person's own number and the run alone, not from the order of rows: an auditor who holds the
home's key draws the same people, another run draws others, and nobody else can tell who was drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.airlock.run import Desk
from tasks.people.population import redraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST: Final = 50_000
"""People who are drawn; all, where there are no more. A round number, which counts nobody."""


def draw_lot(desk: Desk, records: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """Draw at most so many people by their record keys; give their places in `records`, sorted."""
    if len(records) <= most:
        return np.arange(len(records))
    stream = int.from_bytes(desk.key(f"lot:{desk.run.id}"))
    return np.sort(np.argpartition(redraw(records, stream), most)[:most])
