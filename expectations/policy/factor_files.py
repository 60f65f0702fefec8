"""Tables of units' factors that a policy names by a file: read, and held against their rules.

A CSV file in UTF-8 with the columns unit and factor; others, such as one of remarks, are not read.
Units are public, so they may stand in a policy; said of a fault is its line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Final

from expectations.errors import Problem
from expectations.policy.hierarchy_files import UnreadableError
from expectations.policy.plain_yaml import Plain

COLUMNS: Final = ("unit", "factor")


def put_factors(plain: Plain, folder: Path) -> list[Problem]:
    """Put the factors of each unit that names a file into its `factors`; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    problems: list[Problem] = []
    for path, unit in _units(plain):
        file, factors = unit.get("file"), unit.get("factors")
        if (file is None) == (factors is None):
            what = "has no factors" if file is None else "has factors beside `file`"
            problems.append(Problem(path, what, "give one of `file` and `factors`"))
        elif isinstance(file, str):
            try:
                unit["factors"] = {**read_factors(folder / file)}
            except UnreadableError as error:
                fix = "name a CSV file in UTF-8 with the columns unit and factor"
                problems.append(Problem(f"{path}.file", str(error), fix))
    return problems


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


def _units(plain: Plain) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Give each unit with its path; the form is not checked yet."""
    source = plain.get("source") if isinstance(plain, dict) else None
    tables = source.get("tables") if isinstance(source, dict) else None
    for name, table in tables.items() if isinstance(tables, dict) else ():
        fields = table.get("fields") if isinstance(table, dict) else None
        for field, said in fields.items() if isinstance(fields, dict) else ():
            unit = said.get("unit") if isinstance(said, dict) else None
            if isinstance(unit, dict):
                yield f"source.tables.{name}.fields.{field}.unit", unit
