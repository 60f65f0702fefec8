"""Tokens without a key are turned back, tokens with one are not; counting undoes both."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures.token_reversal import (
    attack_by_dictionary,
    attack_by_frequency,
    count_tokens,
)

NAMES = [f"person {number}" for number in range(50)]
SCHEMES: dict[str, Callable[[bytes], str]] = {
    "plain": lambda name: name.decode(),
    "md5": lambda name: hashlib.md5(name).hexdigest(),  # noqa: S324  # what is attacked
    "sha1 in capitals": lambda name: hashlib.sha1(name).hexdigest().upper(),  # noqa: S324  # the same
    "sha256": lambda name: hashlib.sha256(name).hexdigest(),
    "sha512": lambda name: hashlib.sha512(name).hexdigest(),
    "sha256 cut to 15": lambda name: hashlib.sha256(name).hexdigest()[:15],
    "sha256 of capitals": lambda name: hashlib.sha256(name.upper()).hexdigest(),
    "base64": lambda name: base64.b64encode(hashlib.sha256(name).digest()).decode(),
    "base64 for addresses, cut": lambda name: base64.urlsafe_b64encode(
        hashlib.sha256(name).digest()
    ).decode()[:22],
    "base64 of nothing but the name": lambda name: base64.b64encode(name).decode(),
}


def tokens_of(make: Callable[[bytes], str], names: list[str] = NAMES) -> dict[str, int]:
    """Make a token of each name, each in two rows."""
    return {make(name.encode()): 2 for name in names}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tokens_made_without_a_key_are_turned_back(scheme: str) -> None:
    """Every row, however the hash is written."""
    found = attack_by_dictionary(tokens_of(SCHEMES[scheme]), NAMES)

    assert (found.rows, found.reversed_rows) == (100, 100)


def test_tokens_made_with_a_key_are_not() -> None:
    """A keyed hash is turned back by its key only."""
    keyed = tokens_of(lambda name: hmac.digest(b"secret", name, "sha256").hex())

    assert attack_by_dictionary(keyed, NAMES).reversed_rows == 0


def test_only_who_is_in_the_dictionary_is_found() -> None:
    """A spelling with blanks and in other letters is still theirs."""
    found = attack_by_dictionary(tokens_of(SCHEMES["sha256"]), [" PERSON 7 ", "stranger"])

    assert (found.reversed_rows, found.candidates) == (2, 2)


def test_a_hash_cut_too_short_to_tell_is_not_counted() -> None:
    """Where chance alone would hit, nothing is claimed, and the length needed is said."""
    cut = tokens_of(lambda name: hashlib.sha256(name).hexdigest()[:4])
    found = attack_by_dictionary(cut, NAMES)

    assert found.reversed_rows == 0
    assert found.shortest > 2


def test_shares_far_apart_give_their_tokens_away() -> None:
    """Three values of 70, 20 and 10 percent among 1,000 rows are told by counting."""
    found = attack_by_frequency(np.array([198, 705, 97]), [0.1, 0.7, 0.2])

    assert (found.guessed_rows, found.rows) == (1000, 1000)


def test_shares_that_are_alike_hide_each_other() -> None:
    """Two values of the same share cannot be told apart, a third can."""
    found = attack_by_frequency(np.array([240, 260, 500]), [0.25, 0.25, 0.5])

    assert found.guessed_rows == 500


def test_two_tokens_that_fit_one_value_are_not_guessed() -> None:
    """A value has one token: of two that fit, neither is certain."""
    assert attack_by_frequency(np.array([500, 500]), [0.5]).guessed_rows == 0


def test_identifiers_that_are_all_different_are_not_told_by_counting() -> None:
    """One row each among many values of equal share."""
    assert attack_by_frequency(np.ones(100, dtype=np.int64), [0.01] * 100).guessed_rows == 0


SHARES = st.lists(st.floats(0.001, 1), min_size=1, max_size=8)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), SHARES)
def test_guesses_agree_with_comparing_every_token_with_every_value(
    counts: list[int], shares: list[float]
) -> None:
    """A token fits a value whose share predicts its count within three standard errors."""
    rows = sum(counts)
    fits = [[abs(c / rows - p) <= 3 * (p * (1 - p) / rows) ** 0.5 for p in shares] for c in counts]
    guessed = sum(
        count
        for count, row in zip(counts, fits, strict=True)
        if sum(row) == 1 and sum(other[row.index(True)] for other in fits) == 1
    )

    assert attack_by_frequency(np.array(counts), shares).guessed_rows == guessed


def test_missing_tokens_are_no_tokens() -> None:
    """Rows without a token have nothing to turn back."""
    tokens = pd.Series(["x", None, "x", "y"])

    assert count_tokens(tokens, np.array([1, 5, 1, 3])) == {"x": 2, "y": 3}


def test_nothing_to_attack_is_nothing_found() -> None:
    """No tokens, or no candidates."""
    assert attack_by_dictionary({}, NAMES).reversed_rows == 0
    assert attack_by_dictionary({"x": 1}, []).reversed_rows == 0
    assert attack_by_frequency(np.array([], dtype=np.int64), [0.5]).guessed_rows == 0
    assert attack_by_frequency(np.array([3]), []).guessed_rows == 0
