"""The k of a table is measured in GX by code that knows no anonymizer, and planted classes show."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.checks import Check
from expectations.errors import Refusal, UsageError
from expectations.suites import check_k, quiet, reach_k, validate
from expectations.vocabulary import CheckVerdict
from tasks import validation

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


def result_of(frame: pd.DataFrame, **arguments: Any) -> dict[str, Any]:
    """Run the expectation in a suite of GX, as anybody would, and give the result as JSON."""
    with quiet():
        import great_expectations as gx

        from expectations.k_anonymous import ExpectTableToBeKAnonymous

        suite = gx.ExpectationSuite("theirs", [ExpectTableToBeKAnonymous(**arguments)])
    (result,) = validate(frame, suite)
    found: dict[str, Any] = result.to_json_dict()
    return found


def test_planted_small_class_is_found() -> None:
    """One person alone in a class is refused, and their value is in no word of it."""
    check = check_k(PLANTED, QI, 2, "partner")

    assert check.verdict is CheckVerdict.REFUSED
    assert check.measured == "k = 1 in 3 classes"
    assert check.outlet == "partner"
    assert RARE not in repr(check)


def test_table_that_reaches_k_passes() -> None:
    """Missing is a value like any other; words that nobody has left are no class."""
    check = check_k(PLANTED[PLANTED["town"] != RARE], QI, 2, "partner")

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
    check = check_k(SAFE.iloc[:0], QI, 2, "partner")

    assert check.verdict is CheckVerdict.REFUSED
    assert check.measured == "k = 0 in 0 classes"


def test_unknown_column_is_named() -> None:
    """A column that is not there is an error, not a pass."""
    with pytest.raises(UsageError, match="income"):
        check_k(SAFE, [*QI, "income"], 2, "partner")


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
    """A plain count of tuples finds the same k, the same classes, the same verdict."""
    counted = Counter(rows)
    reached = reach_k(table(*rows), QI, k)

    assert (reached.k, reached.classes) == (min(counted.values()), len(counted))
    assert reached.enough == (min(counted.values()) >= k)


class Desk:
    """Stands in for a step's desk, and keeps what is noted."""

    def __init__(self) -> None:
        outlet = SimpleNamespace(linkable=tuple(QI), k=2)
        self.policy = SimpleNamespace(table_outlets={"partner": outlet})
        self.noted: list[tuple[str, float]] = []
        self.checks: list[Check] = []

    def measure(self, name: str, value: float) -> None:
        """Keep a measure."""
        self.noted.append((name, value))

    def check(self, check: Check) -> None:
        """Keep a check."""
        self.checks.append(check)


def opened(frame: pd.DataFrame) -> SimpleNamespace:
    """Stand in for an opened data set."""
    return SimpleNamespace(frame=lambda columns: frame[columns])


def test_step_gives_the_same_table_and_notes_its_k() -> None:
    """A table that reaches k goes on untouched."""
    desk, given = Desk(), opened(SAFE)

    assert validation.check_table.function(desk, given, "partner") is given  # type: ignore[attr-defined]  # a step's function
    assert desk.noted == [("privacy.partner.k", 2)]
    assert [check.verdict for check in desk.checks] == [CheckVerdict.PASSED]


def test_step_refuses_a_table_below_k_with_its_check_on_record() -> None:
    """A table below k ends the run, and the record says what it reached."""
    desk = Desk()
    with pytest.raises(Refusal, match="k = 1 in 3 classes") as caught:
        validation.check_table.function(desk, opened(PLANTED), "partner")  # type: ignore[attr-defined]  # a step's function

    assert desk.noted == [("privacy.partner.k", 1)]
    assert len(desk.checks) == 1
    assert RARE not in str(caught.value)
