"""Makes the list of FHIR R4's elements anew, `tasks/sources/fhir/r4.json`.

    npm pack @types/fhir@0.0.41 && tar xzf types-fhir-0.0.41.tgz
    python docs/make_fhir_elements.py fhir/r4.d.ts

The declarations (MIT licence) are made of `hl7.fhir.r4.core` 4.0.1, which is in the public domain
(CC0). Kept are names of elements, their types, and whether there may be several (`*`). Of
primitives it says what JSON holds: a text (`s`), a number (`n`), a truth value (`b`).
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

MADE: Final = Path(__file__).parent.parent / "tasks" / "sources" / "fhir" / "r4.json"
KINDS: Final = {"string": "s", "number": "n", "boolean": "b"}
BLOCK: Final = re.compile(
    r"^export interface (\w+)(?: extends (\w+))? \{(.*?)^\}", re.MULTILINE | re.DOTALL
)
ELEMENT: Final = re.compile(r"^  (?:readonly )?([a-zA-Z]\w*)\??: (.+?);$", re.MULTILINE)


def read(said: str) -> str:
    """Give an element's type as it is kept."""
    said = said.removesuffix(" | undefined")
    many = "*" if said.endswith("[]") else ""
    said = said.removesuffix("[]").strip("()")
    return ("s" if "'" in said else KINDS.get(said, said)) + many


def main() -> None:
    """Write the list of the declarations that are named."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    bases, own = {}, {}
    for name, base, body in BLOCK.findall(text):
        bases[name] = base
        own[name] = {element: read(said) for element, said in ELEMENT.findall(body)}
    made = {}
    for name, its in own.items():
        elements, base = dict(its), bases[name]
        while base:
            elements |= own[base]
            base = bases[base]
        made[name] = " ".join(f"{e}:{kind}" for e, kind in sorted(elements.items()))
    MADE.write_text(json.dumps(made, indent=0, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
