"""Lists of codes that a policy names by a file or writes out: read, and held against their rules.

A file has one code on a line, in UTF-8, and may write out what is below a code behind it, with `;`
between them. An empty line is none, nor is one that begins with `#`. Codes are public, so they may
stand in a policy; said of a fault is its line.

A concept set is the JSON file that ATLAS exports; which codes it stands for is looked up when data
is read (`tasks.sources.concept_sets`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from expectations.errors import Problem
from expectations.policy.hierarchy_files import UnreadableError, read_lines
from expectations.policy.plain_yaml import Plain

FORMS: Final = ("file", "codes", "concept_set", "concepts")
FLAGS: Final = {
    "excluded": "isExcluded",
    "descendants": "includeDescendants",
    "mapped": "includeMapped",
}
"""What a policy calls the flags of an item."""


def put_codes(plain: Plain, folder: Path) -> list[Problem]:
    """Put the codes of each list that names a file into its `codes`; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    problems: list[Problem] = []
    for path, listed in _lists(plain):
        given = [form for form in FORMS if listed.get(form) is not None]
        if len(given) != 1:
            what = f"has {given[1]} beside `{given[0]}`" if given else "has no codes"
            problems.append(Problem(path, what, f"give one of {', '.join(FORMS)}"))
        elif isinstance(file := listed.get("file"), str):
            problems += _put(listed, "codes", folder / file, f"{path}.file")
        elif isinstance(file := listed.get("concept_set"), str):
            problems += _put(listed, "concepts", folder / file, f"{path}.concept_set")
    return problems


def _put(listed: dict[str, Plain], part: str, file: Path, path: str) -> Iterator[Problem]:
    """Put what a file says where the policy would say it; gives what is wrong with the file."""
    codes = part == "codes"
    form = "in UTF-8 with one code on a line" if codes else "of JSON as ATLAS exports a concept set"
    try:
        found: list[Plain] = [*read_codes(file)] if codes else [*read_concept_set(file)]
    except UnreadableError as error:
        yield Problem(path, str(error), f"name a file {form}")
        return
    if not found:
        yield Problem(path, "has no code", "write one on a line" if codes else f"name one {form}")
        return
    listed[part] = found


def read_concept_set(file: Path) -> list[dict[str, Plain]]:
    """Read the items of a concept set; `UnreadableError` says why it cannot.

    ATLAS exports them below `expression`, or alone; a flag that is absent is no.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableError(f"the file cannot be read ({error.strerror})") from None
    except ValueError:
        raise UnreadableError("the file is not JSON in UTF-8") from None
    if isinstance(found, dict):
        found = found.get("expression", found)
    items = found.get("items") if isinstance(found, dict) else found
    if not isinstance(items, list):
        raise UnreadableError("the file has no list `items`")
    return [_read_item(item, number) for number, item in enumerate(items, start=1)]


def _read_item(item: object, number: int) -> dict[str, Plain]:
    concept = item.get("concept") if isinstance(item, dict) else None
    held = concept.get("CONCEPT_ID") if isinstance(concept, dict) else None
    if not isinstance(item, dict) or not isinstance(held, int) or isinstance(held, bool):
        raise UnreadableError(f"item {number} has no `concept` with a number as `CONCEPT_ID`")
    flags = {name: item.get(flag) or False for name, flag in FLAGS.items()}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise UnreadableError(f"item {number} has a flag that is neither true nor false")
    return {"id": held, **flags}


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
