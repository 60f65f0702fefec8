"""The k of a table is measured in GX by code that knows no anonymizer, and planted classes show."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.checks import Check
from expectations.errors import UsageError
from expectations.gx.quiet_validation import quiet, validate
from expectations.gx.table_promises import Judged, judge_table
from expectations.policy.outlets import TableOutlet
from expectations.policy.vocabulary import CheckVerdict

QI = ["age", "town"]
RARE = "Zanzibar-48151"


def table(*rows: tuple[str | None, str | None]) -> pd.DataFrame:
    """Make a table as it comes out of the vault: Arrow dictionaries as pandas categories."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, pa.string()).dictionary_encode() for column in columns]
    frame: pd.DataFrame = pa.table(dict(zip(QI, arrays, strict=True))).to_pandas()
    return frame


SAFE = table(*[("20-29", "Rome")] * 3, *[("30-39", None)] * 2)
PLANTED = table(*[("20-29", "Rome")] * 3, *[("30-39", None)] * 2, ("30-39", RARE))


def judge(frame: pd.DataFrame, k: int = 2, columns: list[str] = QI) -> Judged:
    """Judge the k of a table that is to leave."""
    pinned: Any = dict.fromkeys(columns, "keep")
    (found,) = judge_table(
        frame, TableOutlet(kind="table", recipient="Partner", k=k, columns=pinned), "partner"
    )
    return found


def check_k(frame: pd.DataFrame) -> Check:
    """Judge whether two people are in each class."""
    return judge(frame).check


def result_of(frame: pd.DataFrame, **arguments: Any) -> dict[str, Any]:
    """Run the expectation in a suite of GX, as anybody would, and give the result as JSON."""
    with quiet():
        import great_expectations as gx

        from expectations.gx.table_expectations import ExpectTableToBeKAnonymous

        suite = gx.ExpectationSuite("theirs", [ExpectTableToBeKAnonymous(**arguments)])
    (result,) = validate(frame, suite)
    found: dict[str, Any] = result.to_json_dict()
    return found


def test_planted_small_class_is_found() -> None:
    """One person alone in a class is refused, and their value is in no word of it."""
    check = check_k(PLANTED)

    assert check.verdict is CheckVerdict.REFUSED
    assert check.measured == "k = 1 in 3 classes"
    assert check.outlet == "partner"
    assert RARE not in repr(check)


def test_table_that_reaches_k_passes() -> None:
    """Missing is a value like any other; words that nobody has left are no class."""
    check = check_k(PLANTED[PLANTED["town"] != RARE])

    assert check.verdict is CheckVerdict.PASSED
    assert check.asked == "k of at least 2 over age, town"
    assert check.measured == "k = 2 in 2 classes"


def test_result_holds_k_and_the_number_of_classes_only() -> None:
    """Nothing of the table is in what GX returns, whoever asks."""
    found = result_of(PLANTED, columns=QI, k=2)

    assert found["result"] == {"observed_value": 1, "classes": 3}
    assert found["success"] is False
    assert RARE not in str(found)


def test_only_the_named_columns_count() -> None:
    """Over age alone the planted person hides among others."""
    assert result_of(PLANTED, columns=["age"], k=3)["success"] is True


def test_table_without_rows_is_refused() -> None:
    """An empty release meets no requirement."""
    check = check_k(SAFE.iloc[:0])

    assert check.verdict is CheckVerdict.REFUSED
    assert check.measured == "k = 0 in 0 classes"


def test_unknown_column_is_named() -> None:
    """A column that is not there is an error, not a pass."""
    with pytest.raises(UsageError, match="income"):
        judge(SAFE, columns=[*QI, "income"])


@pytest.mark.parametrize("arguments", [{"columns": [], "k": 2}, {"columns": QI, "k": 1}])
def test_a_promise_that_protects_nobody_is_not_accepted(arguments: dict[str, Any]) -> None:
    """No column, and a k that every table has, are errors of whoever asks."""
    with pytest.raises(ValueError, match="ensure this value"):
        result_of(SAFE, **arguments)


VALUES = st.sampled_from(["a", "b", None])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20), st.integers(2, 4))
def test_verdict_agrees_with_counting_by_hand(
    rows: list[tuple[str | None, str | None]], k: int
) -> None:
    """A plain count of tuples finds the same k, the same classes, the same verdict.

    Of one class alone no more is told than whether it has the k that is asked.
    """
    counted = Counter(rows)
    found, least = judge(table(*rows), k), min(counted.values())
    alone = len(counted) == 1
    told = min(least, k) if alone else least

    assert found.value == told
    classes = (
        f"k of {told} or more: one class" if alone else f"k = {told} in {len(counted)} classes"
    )
    assert found.check.measured == classes
    assert (found.check.verdict is CheckVerdict.PASSED) == (least >= k)
