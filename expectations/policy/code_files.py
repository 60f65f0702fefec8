"""Lists of codes that a policy names by a file or writes out: read, and held against their rules.

A file has one code on a line, in UTF-8, and may write out what is below a code behind it, with `;`
between them. An empty line is none, nor is one that begins with `#`. Codes are public, so they may
stand in a policy; said of a fault is its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from expectations.errors import Problem
from expectations.policy.hierarchy_files import UnreadableError, read_lines
from expectations.policy.plain_yaml import Plain


def put_codes(plain: Plain, folder: Path) -> list[Problem]:
    """Put the codes of each list that names a file into its `codes`; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    problems: list[Problem] = []
    for path, listed in _lists(plain):
        file, codes = listed.get("file"), listed.get("codes")
        if (file is None) == (codes is None):
            what = "has no codes" if file is None else "has codes beside `file`"
            problems.append(Problem(path, what, "give one of `file` and `codes`"))
        elif isinstance(file, str):
            try:
                found = read_codes(folder / file)
            except UnreadableError as error:
                fix = "name a file in UTF-8 with one code on a line"
                problems.append(Problem(f"{path}.file", str(error), fix))
                continue
            if found:
                listed["codes"] = [*found]
            else:
                problems.append(Problem(f"{path}.file", "has no code", "write one on a line"))
    return problems


def read_codes(file: Path) -> list[str]:
    """Read the codes of a file, once each; `UnreadableError` says why it cannot."""
    lines = [row for row in read_lines(file) if not row[0].lstrip().startswith("#")]
    codes = [code.strip() for row in lines for code in row]
    return [code for code in dict.fromkeys(codes) if code]


def _lists(plain: Plain) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Give each list with its path; the form is not checked yet."""
    source = plain.get("source") if isinstance(plain, dict) else None
    codes = source.get("codes") if isinstance(source, dict) else None
    for name, listed in codes.items() if isinstance(codes, dict) else ():
        if isinstance(listed, dict):
            yield f"source.codes.{name}", listed
