"""Lists of codes that a policy names by a file or writes out: read, and held against their rules.

A file has one code on a line, in UTF-8, and may write out what is below a code behind it, with `;`
between them. An empty line is none, nor is one that begins with `#`. Codes are public, so they may
stand in a policy; said of a fault is its line.

A concept set is the JSON file that ATLAS exports; which codes it stands for is looked up when data
is read (`tasks.sources.concept_sets`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from expectations.policy.hierarchy_files import UnreadableError, read_lines
from expectations.policy.plain_yaml import Plain

FLAGS: Final = {
    "excluded": "isExcluded",
    "descendants": "includeDescendants",
    "mapped": "includeMapped",
}
"""What a policy calls the flags of an item."""


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
    if not items:
        raise UnreadableError("has no code")
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
    codes = [code.strip() for row in lines for code in row if code.strip()]
    if not codes:
        raise UnreadableError("has no code", "write one on a line")
    return list(dict.fromkeys(codes))
