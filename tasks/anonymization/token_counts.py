"""Whether counting undoes a column of tokens.

A token keeps how often its value occurs. Where few values are shared by many people, or a value
is far more frequent than the next, whoever knows how frequent the values are reads the tokens off
by their counts (frequency analysis; Naveed, Kamara and Wright 2015, "Inference attacks on
property-preserving encrypted databases"). It knows no dictionary: that everybody who holds the key
can try one is said of every token.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.policy.vocabulary import CheckVerdict

SHARED: Final = 10
"""How many people share a token that can be counted, and how many tokens hide among each other."""
DEVIATIONS: Final = 3
"""Standard deviations of the difference of two counts by which one stands out."""
SMALLEST: Final = 12
"""The least people by whom one value stands out among values of one person each."""


def undone_by_counting(tokens: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Mark the rows whose token counting undoes.

    Of the tokens that ten or more rows share, these are all where they make up more than half of
    the rows that have a token, and else those with fewer than ten tokens about as frequent: sorted
    by their counts, two neighbours differ by more than 3 standard deviations of Poisson counts.
    """
    encoded = pc.dictionary_encode(tokens)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
    shared = counts >= SHARED
    if 2 * counts[shared].sum() <= counts.sum():
        shared &= peers(counts) < SHARED
    marked: NDArray[np.bool_] = np.append(shared, False)[codes]
    return marked


def peers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for each token how many are about as frequent, itself included."""
    order = np.argsort(counts)[::-1]
    falling = counts[order]
    apart = falling[:-1] - falling[1:] > DEVIATIONS * np.sqrt(falling[:-1] + falling[1:])
    group = np.cumsum(np.append(False, apart)[: len(counts)])
    alike = np.empty_like(counts)
    alike[order] = np.bincount(group)[group] if len(group) else 0
    return alike


def judge_tokens(column: str, known: int, found: bool, people: Published) -> Check:
    """Judge whether counting undoes a column of tokens, of `known` values that are there.

    With fewer than twelve, where no value could stand out, it warns instead of passing.
    """
    verdict = CheckVerdict.PASSED if known >= SMALLEST else CheckVerdict.WARNED
    return Check(
        name=f"tokens of {column}",
        asked="no token recognized by its frequency",
        measured=f"counting reveals those of {people} people" if found else "none is recognized",
        verdict=CheckVerdict.REFUSED if found else verdict,
        power=f"a value that {SMALLEST} people share stands out among values of one person each; "
        "whatever is known about one token is known about everybody who shares it",
        remedy="tokenize an identifier that few people share, or use categories or drop",
    )
