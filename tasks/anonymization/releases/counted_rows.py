"""What a table shows: its distinct rows, as spelled in the released file, and how many have each.

All that an observer of a release knows of it, and so what two releases are compared by. Rows are
in classes by the columns over which k holds; the other released columns are their tail. Nothing
here knows whose a row is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expectations.policy.vocabulary import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CountedRows:
    """Distinct rows, each a tuple of the columns' texts, and the count of each."""

    columns: tuple[str, ...]
    linkable: tuple[str, ...]
    """The columns over which k holds."""
    rows: tuple[tuple[str, ...], ...]
    counts: Counts

    @property
    def tail(self) -> tuple[str, ...]:
        """The released columns outside k."""
        return tuple(column for column in self.columns if column not in self.linkable)

    def select(self, columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Give some columns of each distinct row."""
        places = [self.columns.index(column) for column in columns]
        return [tuple(row[place] for place in places) for row in self.rows]

    @classmethod
    def from_csv(
        cls, content: bytes, linkable: Sequence[str], names: Mapping[str, str] | None = None
    ) -> CountedRows:
        """Count the rows of a released file (see `tasks.handover.readiness.table_content`).

        `names` are the columns that are looked at, and what each is called; None: all, as named.
        """
        import pandas as pd

        texts = pd.read_csv(
            BytesIO(content), dtype=str, keep_default_na=False, skip_blank_lines=False
        )
        looked_at = texts if names is None else texts[list(names)].rename(columns=names)
        return cls._count(looked_at, linkable)[0]

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, names: Mapping[str, str], linkable: Sequence[str]
    ) -> tuple[CountedRows, Counts]:
        """Count the rows of a frame as its file will show them; also say which each row is.

        `names` are the columns that are looked at, and what each is called.
        """
        return cls._count(frame[list(names)].rename(columns=names), linkable)

    @classmethod
    def _count(cls, frame: pd.DataFrame, linkable: Sequence[str]) -> tuple[CountedRows, Counts]:
        """Find the distinct rows first, since spelling is what takes long."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        from tasks.sources.naming import spell

        columns = list(frame.columns)
        grouped = frame.groupby(columns, dropna=False, observed=True, sort=False)
        group = grouped.ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        table = pa.Table.from_pandas(frame.iloc[first], preserve_index=False)
        texts = pa.table({name: pc.fill_null(spell(table[name]), MISSING) for name in columns})
        keys = pd.MultiIndex.from_frame(texts.to_pandas())
        code, distinct = pd.factorize(keys, sort=True)
        number = code[group].astype(np.int64)
        counts = np.bincount(number, minlength=len(distinct)).astype(np.int64)
        return cls(tuple(columns), tuple(linkable), tuple(distinct.tolist()), counts), number

    def to_bytes(self) -> bytes:
        """Write them; the same rows give the same bytes."""
        body = {"columns": self.columns, "linkable": self.linkable, "rows": self.rows}
        return json.dumps({**body, "counts": self.counts.tolist()}, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> CountedRows:
        """Read what `to_bytes` wrote."""
        read = json.loads(content)
        return cls(
            tuple(read["columns"]),
            tuple(read["linkable"]),
            tuple(map(tuple, read["rows"])),
            np.array(read["counts"], dtype=np.int64),
        )
