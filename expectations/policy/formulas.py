"""Which texts a spreadsheet would run as a formula, and the mark that keeps it from doing so.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@`, or with the wide form of one, which
Excel takes as well. It may drop spaces, quotes and control characters before it. A program that
parts a file at other separators begins a cell in the middle of a text, so the places behind those
count too. Not known here: what else a program that a text is pasted into would do with it.
"""

from __future__ import annotations

import re
from typing import Final

MARK: Final = "'"
"""Put before the sign: what follows is text to a spreadsheet. Taken off, the text is as it was."""
_QUOTES: Final = " \"'“”‘’"
_PLACES: Final = re.compile(
    rf"^[{_QUOTES}]*(?=[\t\r])"
    rf"|(?:^|[,;|\t\r\n])[\s\x00-\x1f\u200b\ufeff{_QUOTES}]*(?=[-=+@＝＋－＠])"
)
"""What stands before a sign that could begin a formula, or before what is dropped before one."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet could run a text, or a part of it, as the content of a cell."""
    return _PLACES.search(text) is not None and _NUMBER.fullmatch(text) is None


def mark_formulas(text: str) -> str:
    """Put the mark wherever a formula could begin; a number stays as it is."""
    return _PLACES.sub(lambda before: before[0] + MARK, text) if is_formula(text) else text
