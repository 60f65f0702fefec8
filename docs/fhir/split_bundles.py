"""Takes FHIR Bundles apart into a folder as a bulk export has it: a file for each resource type.

    python docs/fhir/split_bundles.py BUNDLES EXPORT

BUNDLES is a folder of `.json` files, EXPORT a folder that is not there yet. One Bundle is in memory
at a time. Resources are written as they are; nothing is left out.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO


def split(bundles: Path, export: Path) -> None:
    """Write each resource of all Bundles as a line of the file of its type."""
    export.mkdir()
    files: dict[str, TextIO] = {}
    with ExitStack() as stack:
        for bundle in sorted(bundles.glob("*.json")):
            for entry in json.loads(bundle.read_text(encoding="utf-8")).get("entry", ()):
                if "resource" not in entry:
                    continue
                kind = entry["resource"]["resourceType"]
                if kind not in files:
                    file = (export / f"{kind}.ndjson").open("w", encoding="utf-8")
                    files[kind] = stack.enter_context(file)
                files[kind].write(json.dumps(entry["resource"]) + "\n")


if __name__ == "__main__":
    split(Path(sys.argv[1]), Path(sys.argv[2]))
