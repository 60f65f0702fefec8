"""An original identifier is found wherever it stands in a released cell."""

from __future__ import annotations

import string

import numpy as np
import pandas as pd
import pytest
from ahocorasick_rs import AhoCorasick
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Published
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.original_identifiers import (
    SHORTEST,
    find_own_words,
    fold,
    fold_all,
    is_found,
    judge_identifiers,
    match_own,
    search_identifiers,
)

NAMES = ["Zoë Zyxwort", "Bob Quill", "MRN-00417", "Lee"]


def found(*cells: object) -> list[bool]:
    """Search cells of one column for the names."""
    rows: list[bool] = search_identifiers(pd.DataFrame({"note": list(cells)}), NAMES).tolist()
    return rows


@pytest.mark.parametrize(
    ("cell", "there"),
    [
        pytest.param("Zoë Zyxwort", True, id="whole"),
        pytest.param("zoe ZYXWORT", True, id="folded"),
        pytest.param("Zoe\u0308 Zyxwort", True, id="decomposed"),
        pytest.param("seen by Bob Quill, well", True, id="in-a-sentence"),
        pytest.param("xMRN-00417y", True, id="in-a-word"),
        pytest.param("  bob quill ", True, id="padded"),
        pytest.param("Bob met Quill", False, id="apart"),
        pytest.param("Lee", False, id="too-short"),
        pytest.param("MRN-0041", False, id="a-part"),
        pytest.param(None, False, id="missing"),
        pytest.param("", False, id="empty"),
    ],
)
def test_an_identifier_is_found_in_any_form(cell: object, there: bool) -> None:
    """Whatever stands around it, without case and accents."""
    assert found("nothing", cell, "Delta") == [False, there, False]


@given(st.lists(st.text(max_size=6)))
def test_many_texts_are_folded_as_each_is(texts: list[str]) -> None:
    """Marks at their beginning, blanks and ends within them included."""
    assert fold_all(texts) == [fold(text) for text in texts]
    marked = [f"\u0301{text} \u0327" for text in texts]
    assert fold_all(marked) == [fold(text) for text in marked]


@given(
    st.lists(st.text("abAB\u00e4 ", max_size=12), max_size=6), st.sets(st.text("abä", max_size=7))
)
def test_the_search_agrees_with_aho_corasick(cells: list[str], names: set[str]) -> None:
    """Cell by cell, on texts that are alike enough to overlap."""
    wanted = [folded for name in names if len(folded := fold(name)) >= SHORTEST]
    inside = AhoCorasick([name for name in wanted if not name.isalpha()])
    oracle = [
        bool(inside.find_matches_as_indexes(fold(cell))) or fold(cell) in wanted for cell in cells
    ]
    assert search_identifiers(pd.DataFrame({"cell": cells}), names).tolist() == oracle


def test_tokens_are_compared_as_a_whole() -> None:
    """In a long code a short number stands by chance."""
    frame = pd.DataFrame({"token": ["f3123459c", "12345"]})
    assert search_identifiers(frame, ["12345"], whole=["token"]).tolist() == [False, True]


def test_a_single_word_counts_in_the_texts_of_its_own_person() -> None:
    """A stranger's surname is an ordinary word there, unless it is all that stands in a cell."""
    notes = ["brown sputum", "uses a walker", "Mrs WALKER came", "Walker", None, "brown"]
    frame = pd.DataFrame({"note": notes})
    own = pd.DataFrame({"surname": ["Walker", "Brown", "Walker", "Brown", "Walker", None]})
    assert search_identifiers(frame, ["Brown", "Walker"]).tolist() == [False] * 3 + [
        True,
        False,
        True,
    ]
    assert find_own_words(frame, own).tolist() == [False, False, True, False, False, False]
    assert not find_own_words(frame, pd.DataFrame({"pid": ["12345"] * 6})).any()


def test_a_number_is_compared_with_its_own_row() -> None:
    """A stranger's number stands among numbers by chance; whole floats are one with integers."""
    frame = pd.DataFrame({"income": [12345.0, 52000.0, np.nan, 7.0]})
    own = pd.DataFrame({"pid": [12345, 12345, 99999, 7], "name": [None, "x", None, "7"]})
    assert match_own(frame, own).tolist() == [True, False, False, False]


def test_a_search_that_could_find_nothing_passes_nothing() -> None:
    """Where all identifiers are too short the check is inconclusive."""
    nobody = Published(None, 10)
    verdicts = [
        judge_identifiers("partner", nobody, found=there, able=is_found(names)).verdict
        for there, names in (
            (False, NAMES), (False, ["Walker"]), (True, NAMES), (False, ["Lee"]), (False, [])
        )
    ]  # fmt: skip
    assert verdicts == [
        CheckVerdict.PASSED,
        CheckVerdict.PASSED,
        CheckVerdict.REFUSED,
        CheckVerdict.INCONCLUSIVE,
        CheckVerdict.INCONCLUSIVE,
    ]


def test_an_empty_table_holds_nobody() -> None:
    """Without rows, columns or names there is nothing to find."""
    assert search_identifiers(pd.DataFrame({"a": []}), NAMES).tolist() == []
    assert search_identifiers(pd.DataFrame(index=[1, 2]), NAMES).tolist() == [False, False]
    assert found(string.printable) == [False]
