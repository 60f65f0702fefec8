"""`--accept` and `--table`: what a person puts in force needs no editing line by line."""

from __future__ import annotations

from typing import Any

import pytest

from expectations.errors import UsageError
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Category, Use
from expectations.policy_file import parse_policy
from tasks.drafting.signs import Found
from tests.tasks.drafting.drafted_columns import (
    AGE,
    ANSWER,
    BORN,
    DISTRICT,
    FAITH,
    LEFT,
    PERSON,
    UNKNOWN,
    column,
    draft_of,
    text_of,
)

ORIGIN = column("origin", words=("a", "b"), doubtful=True)
NOTE = column("note", free_text=True, words=("a", "b"))
TABLE = (PERSON, AGE, DISTRICT, LEFT, FAITH, UNKNOWN, ORIGIN, NOTE)


def drafted(*columns: Found, **given: Any) -> Policy:
    """Parse the drafted policy, which checks that its parts fit together."""
    return parse_policy(text_of(*columns, **given))


@pytest.mark.parametrize("table", [False, True])
def test_an_accepted_column_is_in_force_and_passes_check(table: bool) -> None:
    """By the category that was given or seen; nothing of it waits behind `#`."""
    accepted = {"q17": Category.PROFESSIONAL, "origin": None}
    text = text_of(*TABLE, accepted=accepted, table=table)
    policy = parse_policy(text)
    assert policy.columns["q17"].category is Category.PROFESSIONAL
    assert policy.columns["origin"].category is Category.BEHAVIORAL
    use = Use.RELEASE if table else Use.FEATURE
    assert policy.columns["q17"].use == policy.columns["origin"].use == (use,)
    assert "# origin:" not in text
    assert "accepted with --accept" in text


@pytest.mark.parametrize(
    ("accepted", "told"),
    [
        ({"orign": None}, "no column is named `orign`; did you mean `origin`?"),
        ({"q17": None}, "it is unclear what kind of data `q17` is; give it"),
        ({"faith": None}, "needs a second --legal-basis"),
        ({"q17": Category.HEALTH}, "needs a second --legal-basis"),
        ({"note": None}, "`note` is never read: free text"),
        ({"Member No": None}, "`Member No` names the person already"),
        ({"born": None}, "`Born` cannot be read: a model reads no dates"),
    ],
)
def test_what_nobody_can_accept_is_said(accepted: dict[str, Category | None], told: str) -> None:
    """With what to do instead."""
    with pytest.raises(UsageError) as error:
        draft_of(*TABLE, BORN, accepted=accepted)
    assert told in str(error.value)


def test_a_category_that_was_guessed_wrong_is_corrected() -> None:
    """`grade` may be a borrower's; then it needs no condition of Art. 9."""
    policy = drafted(*TABLE, accepted={"faith": Category.FINANCIAL})
    assert policy.columns["faith"].category is Category.FINANCIAL


def test_an_answer_to_consent_is_accepted_where_it_is_none() -> None:
    """Where another basis than consent is given, it is a column as others are."""
    assert "may_we" in drafted(PERSON, AGE, ANSWER, accepted={"may we?": None}).columns


def test_accepted_columns_of_a_table_come_on_top() -> None:
    """No other column goes for them."""
    wide = [column(f"c{n}", words=("a", "b")) for n in range(10)]
    (before,) = drafted(PERSON, AGE, *wide).table_outlets.values()
    accepted: dict[str, Category | None] = {"origin": None, "c9": None}
    (after,) = drafted(PERSON, AGE, *wide, ORIGIN, accepted=accepted).table_outlets.values()
    assert len(before.columns) == 8
    assert set(after.columns) == {*before.columns, "origin", "c9"}


def test_a_table_is_released_beside_the_model_of_a_target() -> None:
    """To the same recipient, over the columns that are there; no use is said twice."""
    text = text_of(*TABLE, target="left", table=True)
    policy = parse_policy(text)
    assert list(policy.outlets) == ["planning-team", "planning-team-table"]
    assert set(policy.table_outlets["planning-team-table"].columns) == {"age", "district", "left"}
    assert "release" not in text
    assert "A table as well?" not in text


def test_a_table_without_a_target_trains_no_model() -> None:
    """Though a column looks like an outcome."""
    policy = drafted(*TABLE, table=True)
    assert not policy.model_outlets
    assert list(policy.table_outlets) == ["planning-team"]


@pytest.mark.parametrize(
    ("codes", "instead"),
    [
        (
            column("occ10", "integer", category=Category.PROFESSIONAL, distinct=300, rare=9,
                   edges=(100.0,), words=("310", "20")),
            'kind: categories, values: ["20", "310"], other: other}`.',
        ),
        (
            column("occ10", "integer", category=Category.PROFESSIONAL, distinct=300,
                   edges=(100.0,)),
            "{kind: hierarchy, file: occ10.csv, level: 1}`, and in that file a line `code;group",
        ),
    ],
    ids=["listed", "too-many"],
)  # fmt: skip
def test_numbers_that_may_be_codes_come_with_the_other_treatment(
    codes: Found, instead: str
) -> None:
    """Numbers of jobs and places have no order that intervals could mean; ages have."""
    text = " ".join(text_of(PERSON, codes).replace("#", "").split())
    assert "If these are codes: `type: text`, `treatment: {" in text
    assert instead in text
    assert "If these are codes" not in text_of(PERSON, AGE)
