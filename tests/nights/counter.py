"""How far a night has come: a line in a file, so that a night that is cut off still says it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / ".nights"


def note(test: str, done: int, of: int, faults: int) -> None:
    """Write how many of a test's runs are done, and how many faults they showed."""
    FOLDER.mkdir(exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in test).strip("-")
    making = FOLDER / f"{name}.making"
    making.write_text(f"{done} of {of} done, {faults} faults\n", encoding="utf-8")
    making.replace(FOLDER / f"{name}.txt")
