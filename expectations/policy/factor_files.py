"""Tables of units' factors that a policy names by a file: read, and held against their rules.

A CSV file in UTF-8 with the columns unit and factor; others, such as one of remarks, are not read.
Units are public, so they may stand in a policy; said of a fault is its line.
"""

from __future__ import annotations

import csv
from math import isfinite
from pathlib import Path
from typing import Final

from expectations.policy.hierarchy_files import UnreadableError

COLUMNS: Final = ("unit", "factor")


def read_factors(file: Path) -> dict[str, float]:
    """Read the factor of each unit of a file; `UnreadableError` says why it cannot."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, skipinitialspace=True)
            if not {*COLUMNS} <= {*(rows.fieldnames or ())}:
                raise UnreadableError("its first line does not name the columns unit and factor")
            found: dict[str, float] = {}
            for row in rows:
                unit, factor = row["unit"], _read_factor(row["factor"])
                if not unit or factor is None:
                    what = "lacks a unit, or a factor that is a number above 0"
                    raise UnreadableError(f"line {rows.line_num} {what}")
                if found.setdefault(unit, factor) != factor:
                    raise UnreadableError(f"line {rows.line_num} gives a unit another factor")
    except UnicodeDecodeError:
        raise UnreadableError("the file is not UTF-8") from None
    except csv.Error:
        raise UnreadableError("the file is no CSV") from None
    except OSError as error:
        raise UnreadableError(f"the file cannot be read ({error.strerror})") from None
    if not found:
        raise UnreadableError("the file has no factor")
    return found


def _read_factor(written: str | None) -> float | None:
    try:
        factor = float(written or "")
    except ValueError:
        return None
    return factor if isfinite(factor) and factor > 0 else None
