"""Original identifiers searched for in every released cell, as whole cells and inside them.

Letters are compared without case and accents. A window of characters is hashed at every position
of all cells at once and looked up among the identifiers' beginnings; the few that remain are
compared letter by letter. Identifiers of fewer than five characters are not searched for, since
they stand in many texts by chance; nicknames, parts of names and misspellings are not found.

An identifier of a single word of letters alone, such as the surnames Brown and Walker, is an
ordinary word of strangers' texts: inside a cell it counts in the rows of its own person only.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.released import spell

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]

SHORTEST: Final = 5
"""Characters that an identifier needs to be searched for."""
END: Final = "\0"
BITS: Final = 22
FACTOR: Final = 0x9E3779B97F4A7C15
"""An odd number near 2**64 over the golden ratio: it spreads windows over the table of bits."""


def search_identifiers(
    frame: pd.DataFrame, identifiers: Iterable[str], whole: Collection[str] = ()
) -> NDArray[np.bool_]:
    """Say of each row whether an identifier of anybody stands in one of its cells.

    Single words, and the cells of the columns in `whole` (tokens), are compared as a whole only: in
    long codes a short number stands by chance.
    """
    found = np.zeros(len(frame), dtype=bool)
    asked = [name for name in frame.columns if frame[name].notna().any()]
    wanted = {one for one in fold_all([*identifiers] if asked else []) if len(one) >= SHORTEST}
    telling = {one for one in wanted if not one.isalpha()}
    for name in asked:
        inside = set() if name in whole else telling
        found |= _search_column(frame[name], wanted, inside)
    return found


def find_own_words(frame: pd.DataFrame, own: pd.DataFrame) -> NDArray[np.bool_]:
    """Say of each row whether a single word that names its own person stands in one of its cells.

    Both frames have the same rows.
    """
    found = np.zeros(len(frame), dtype=bool)
    there = {name: frame[name].notna().to_numpy() for name in frame.columns}
    there = {name: rows for name, rows in there.items() if rows.any()}
    for name in own.columns if there else ():
        words = fold_all([str(one) for one in own[name]])
        asked = np.array([w.isalpha() and len(w) >= SHORTEST for w in words], dtype=bool)
        asked &= own[name].notna().to_numpy()
        for column, filled in there.items():
            (rows,) = np.nonzero(asked & filled)
            cells = fold_all([str(one) for one in frame[column].iloc[rows]])
            hits = [words[row] in cell for row, cell in zip(rows, cells, strict=True)]
            found[rows] |= np.array(hits, dtype=bool)
    return found


def match_own(frame: pd.DataFrame, own: pd.DataFrame) -> NDArray[np.bool_]:
    """Say of each row whether a cell is one of the row's own identifiers, for columns of numbers.

    Among numbers a stranger's identifier stands by chance. Both frames have the same rows.
    """
    found = np.zeros(len(frame), dtype=bool)
    for name in own.columns if frame.shape[1] else ():
        names = spell(own[name]).to_numpy()
        for column in frame.columns:
            same = spell(frame[column]).to_numpy() == names
            found |= same & np.array([len(one) >= SHORTEST for one in names]) & own[name].notna()
    return found


def is_found(identifiers: Iterable[str]) -> bool:
    """Whether the search finds one of the identifiers when it is planted in its person's cell."""
    import pandas as pd

    # Any of them will do: what finds one among others finds it alone.
    planted = [*islice((one for one in identifiers if len(fold(one)) >= SHORTEST), 1)]
    cells = pd.DataFrame({"cell": [f"x{one.upper()}y" for one in planted]})
    own = pd.DataFrame({"name": planted})
    return bool((search_identifiers(cells, planted) | find_own_words(cells, own)).any())


def fold(text: str) -> str:
    """Take case, accents and surrounding blanks away."""
    parts = unicodedata.normalize("NFKD", text).casefold()
    return "".join(one for one in parts if not unicodedata.combining(one)).strip()


def fold_all(texts: Sequence[str]) -> list[str]:
    """Fold many texts at once: as one, which takes a tenth of the time."""
    joined = END.join(texts)
    if joined.count(END) != len(texts) - 1:
        return [fold(text) for text in texts]
    # An end stands by itself: no mark moves over it, and none of it is folded.
    folded = unicodedata.normalize("NFKD", joined).casefold()
    if not folded.isascii():
        marks = (ord(one) for one in set(folded) if unicodedata.combining(one))
        folded = folded.translate(dict.fromkeys(marks))
    return [one.strip() for one in folded.split(END)]


def judge_identifiers(outlet: str, people: Published, *, found: bool, able: bool) -> Check:
    """Judge a search; `able` says whether it found one identifier put there to be found."""
    passed = CheckVerdict.PASSED if able else CheckVerdict.INCONCLUSIVE
    return Check(
        name=f"original identifiers in {outlet}",
        asked="no cell that holds an original identifier",
        measured=f"found in the rows of {people} people" if found else "none found",
        verdict=CheckVerdict.REFUSED if found else passed,
        power=f"any identifier of {SHORTEST} or more characters in any cell, whatever its case "
        "and accents; a planted one was found"
        if able
        else f"nothing: there was no identifier of {SHORTEST} or more characters to search for",
        remedy="drop, mask or tokenize the column that holds it",
        outlet=outlet,
    )


def _search_column(values: pd.Series, wanted: set[str], inside: set[str]) -> NDArray[np.bool_]:
    """Search one column's distinct cells, for some texts inside them too."""
    import pandas as pd

    code, distinct = pd.factorize(values)
    cells = fold_all([str(one) for one in distinct])
    hit = np.array([cell in wanted for cell in cells], dtype=bool)
    if inside:
        hit |= _find_inside(cells, inside)
    return np.append(hit, [False])[code]


def _find_inside(cells: list[str], wanted: Collection[str]) -> NDArray[np.bool_]:
    """Say of each cell whether one of the texts stands somewhere in it."""
    windows, starts = _join(cells)
    words = list(wanted)
    of_words, begins = _join(words)
    begin, hashed = _hash_windows(of_words[begins]), _hash_windows(windows)
    table = np.zeros(1 << BITS, dtype=bool)
    table[begin] = True
    hit = np.zeros(len(cells), dtype=bool)
    (places,) = np.nonzero(table[hashed])
    table[:] = False
    table[hashed[places]] = True
    lengths: dict[str, set[int]] = {}
    for number in np.flatnonzero(table[begin]).tolist():
        lengths.setdefault(words[number][:SHORTEST], set()).add(len(words[number]))
    known = set(wanted)
    cell = np.searchsorted(starts, places, side="right") - 1
    for place, number in zip((places - starts[cell]).tolist(), cell.tolist(), strict=True):
        if not hit[number]:
            rest = cells[number][place:]
            hit[number] = any(rest[:n] in known for n in lengths.get(rest[:SHORTEST], ()))
    return hit


def _join(texts: Sequence[str]) -> tuple[NDArray[np.uint32], Codes]:
    """Lay texts behind each other, as code points, each with an end.

    Gives the `SHORTEST` characters from each place on, and the place where each text starts.
    """
    joined = "".join(f"{text}{END}" for text in texts) + END * SHORTEST
    length = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    text = np.frombuffer(joined.encode("utf-32-le"), dtype="<u4")
    windows = np.lib.stride_tricks.sliding_window_view(text, SHORTEST)
    return windows, np.cumsum(length) - length


def _hash_windows(windows: NDArray[np.uint32]) -> Codes:
    """Hash windows of `SHORTEST` characters to `BITS` bits."""
    key = np.zeros(len(windows), dtype=np.uint64)
    for place in range(SHORTEST):
        key = key * np.uint64(FACTOR) + windows[:, place]
    return (key * np.uint64(FACTOR) >> np.uint64(64 - BITS)).astype(np.int64)
