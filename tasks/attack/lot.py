"""People drawn by lot to be attacked, where there are more than an attack needs.

How much an attack could find is worked out from those who were drawn. Who they are follows from
each person's own number and the policy's name, not from the order of rows: an auditor who holds the
home's key draws the same people, and nobody else can tell who was drawn. Each run of a policy draws
the same people, as far as they are there, lest one who comes or leaves should move every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ledgers.vault.stages import Reached
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened
from tasks.people.population import redraw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

MOST: Final = 50_000
"""People who are drawn; all, where there are no more. A round number, which counts nobody."""


def draw_lot(desk: Desk, records: NDArray[np.uint64], most: int) -> Places:
    """Draw at most so many people by their record keys; give their places in `records`, sorted."""
    if len(records) <= most:
        return np.arange(len(records))
    stream = int.from_bytes(desk.key(f"lot:{desk.policy.name}"))
    return np.sort(np.argpartition(redraw(records, stream), most)[:most])


def read_rows(data: Opened[Reached], columns: Sequence[str], places: Places) -> pd.DataFrame:
    """Read some columns of some rows, by their places in order, a batch of rows at a time."""
    import pyarrow as pa

    dataset = data.dataset()
    taken, start = [], 0
    for batch in dataset.to_batches(columns=list(columns)):
        first, last = np.searchsorted(places, (start, start + len(batch)))
        taken.append(batch.take(pa.array(places[first:last] - start)))
        start += len(batch)
    schema = pa.schema([dataset.schema.field(name) for name in columns])
    frame: pd.DataFrame = pa.Table.from_batches(taken, schema).to_pandas()
    return frame
