"""Our own expectations on a table's rows for Great Expectations (GX): k, shares, risks, tokens.

For anybody's suite, on pandas and SQL; row conditions narrow the table first. Importing this
module imports GX and registers them; `expectations/gx/suites.py` therefore does it late. Results
hold counts and measures and never a value, a token or a candidate; they are exact, so a result is
not to be published as it is. Candidates for tokens stay in a file, because a suite is stored with
its arguments. The risks are defined in `expectations/measures/measures.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic

from expectations.gx.class_metrics import ClassSizes, MetricExpectation, TokenReversal, ValueRows
from expectations.measures.class_counts import Integers
from expectations.measures.measures import prosecutor_risk, share_alone
from expectations.measures.sensitive_measures import ROUNDING
from expectations.measures.token_reversal import DictionaryAttack, FrequencyAttack


class ExpectTableToBeKAnonymous(MetricExpectation):
    """Every combination of the columns' values that occurs belongs to at least k rows.

    Samarati and Sweeney 1998; missing is a value like any other. `observed_value` is the k that
    is reached (0 without rows), `classes` the number of combinations. A single class of k - 1 rows
    is found.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> rows = pd.DataFrame({"age": ["30-39", "30-39", "40-49", "40-49"]})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectTableToBeKAnonymous(columns=["age"], k=3)
    >>> batch.validate(asked, result_format="BASIC").success
    False
    """

    columns: list[str] = pydantic.Field(min_items=1)
    k: int = pydantic.Field(ge=2)

    metric_dependencies: ClassVar[tuple[str, ...]] = (ClassSizes.metric_name,)
    words: ClassVar[str] = "Every combination of $columns that occurs belongs to at least $k rows."
    success_keys: ClassVar[tuple[str, ...]] = ("columns", "k")

    def judge(self, found: Integers) -> tuple[bool, dict[str, Any]]:
        """Compare the smallest class with k."""
        reached = int(found.min(initial=int(found.sum())))
        return reached >= self.k, {"observed_value": reached, "classes": len(found)}


class ExpectColumnValueShareToBeBetween(MetricExpectation):
    """The share of all rows, missing ones included, that hold one value lies between two bounds.

    Both bounds are included. `matching_count` of `element_count` rows hold the value; a table
    without rows does not meet it.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> rows = pd.DataFrame({"ill": ["yes", "no", "no", "no"]})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnValueShareToBeBetween(
    ...     column="ill", value="yes", min_value=0.1, max_value=0.5
    ... )
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    column: str
    value: str
    min_value: float = pydantic.Field(ge=0, le=1)
    max_value: float = pydantic.Field(ge=0, le=1)

    metric_dependencies: ClassVar[tuple[str, ...]] = (ValueRows.metric_name,)
    words: ClassVar[str] = (
        "A share of $min_value to $max_value of all rows have “$value” in $column."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "value", "min_value", "max_value")

    def judge(self, found: tuple[int, int]) -> tuple[bool, dict[str, Any]]:
        """Compare the share with its bounds."""
        rows, matching = found
        met = rows > 0 and self.min_value <= matching / rows <= self.max_value
        share = matching / rows if rows else 0.0
        return met, {"observed_value": share, "element_count": rows, "matching_count": matching}


class _ShareOfRows(MetricExpectation, ABC):
    """A share that follows from the sizes of the classes is at most a bound."""

    columns: list[str] = pydantic.Field(min_items=1)
    at_most: float = pydantic.Field(ge=0, lt=1)

    metric_dependencies: ClassVar[tuple[str, ...]] = (ClassSizes.metric_name,)
    success_keys: ClassVar[tuple[str, ...]] = ("columns", "at_most")

    @abstractmethod
    def share(self, size: Integers) -> float:
        """Give the share, 1 without rows."""

    def judge(self, found: Integers) -> tuple[bool, dict[str, Any]]:
        """Compare the share with its bound."""
        reached = self.share(found)
        result = {"observed_value": reached, "classes": len(found)}
        return reached <= self.at_most + ROUNDING, result


class ExpectTableReidentificationRiskToBeAtMost(_ShareOfRows):
    """The chance that a row is linked to its person is at most a bound.

    The largest of any row for a "prosecutor", who knows that a person is in the table; the average
    of all rows for a "marketer", who links them all.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectTableReidentificationRiskToBeAtMost(columns=["age"], at_most=0.3)
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    attacker: Literal["prosecutor", "marketer"] = "prosecutor"
    words: ClassVar[str] = (
        "The $attacker's chance to link a row to its person by $columns is at most $at_most."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("columns", "at_most", "attacker")

    def share(self, size: Integers) -> float:
        """Give the attacker's chance."""
        risk = prosecutor_risk(size)
        return risk.largest if self.attacker == "prosecutor" else risk.average


class ExpectTableUniqueRowsShareToBeAtMost(_ShareOfRows):
    """The share of rows that are alone in their class is at most a bound.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> rows = pd.DataFrame({"age": ["30-39", "30-39", "40-49"]})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectTableUniqueRowsShareToBeAtMost(columns=["age"], at_most=0.1)
    >>> batch.validate(asked, result_format="BASIC").success
    False
    """

    words: ClassVar[str] = (
        "A share of at most $at_most of the rows are alone with their combination of $columns."
    )

    def share(self, size: Integers) -> float:
        """Give the share of rows that are alone."""
        return share_alone(size)


class ExpectColumnNotToBeReversedBy(MetricExpectation):
    """At most `max_share` of the rows with a token are turned back by a dictionary, or by counting.

    `dictionary` is the path of a text file in UTF-8 with one candidate a line, `frequencies` the
    public shares of the values, as published elsewhere; at least one of them. What is tried, and
    what is not, stands in `expectations/measures/token_reversal.py`. `observed_value` is the larger
    share that an attack turned back. One row is found, if `max_share` is 0.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> rows = pd.DataFrame({"token": ["a1"] * 50 + ["b2"] * 30 + ["c3"] * 20})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnNotToBeReversedBy(
    ...     column="token", frequencies=[0.5, 0.3, 0.2], max_share=0.1
    ... )
    >>> batch.validate(asked, result_format="BASIC").success
    False
    """

    column: str = pydantic.Field(min_length=1)
    dictionary: str | None = None
    frequencies: list[float] | None = None
    max_share: float = pydantic.Field(default=0.0, ge=0, lt=1)

    metric_dependencies: ClassVar[tuple[str, ...]] = (TokenReversal.metric_name,)
    words: ClassVar[str] = (
        "A share of at most $max_share of the rows have a token in $column that a "
        "dictionary or the values' public frequencies turn back."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "dictionary", "frequencies", "max_share")

    @pydantic.root_validator(skip_on_failure=True)
    def _ask_something(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805  # pydantic's
        """Refuse an expectation that would try nothing, or shares that are none."""
        shares = values["frequencies"]
        if values["dictionary"] is None and not shares:
            raise ValueError("name a dictionary, or the public frequencies of the values")
        if shares and (min(shares) <= 0 or sum(shares) > 1 + 1e-6):
            raise ValueError("frequencies are shares above 0 that add up to at most 1")
        return values

    def judge(
        self, found: tuple[DictionaryAttack | None, FrequencyAttack | None]
    ) -> tuple[bool, dict[str, Any]]:
        """Compare the share of rows that were turned back with what is allowed."""
        result = _describe(*found)
        # Without a token nothing was shown; a table that lacks them does not meet it.
        met = result["element_count"] > 0 and result["observed_value"] <= self.max_share
        return met, result


def _describe(
    by_dictionary: DictionaryAttack | None, by_frequency: FrequencyAttack | None
) -> dict[str, float]:
    """Give the counts of both attacks."""
    found: dict[str, float] = {"element_count": 0, "observed_value": 0.0}
    turned = []
    if by_dictionary is not None:
        turned.append(by_dictionary.reversed_rows)
        found["element_count"] = by_dictionary.rows
        found["reversed_by_dictionary"] = by_dictionary.reversed_rows
        found["candidates"] = by_dictionary.candidates
        found["shortest_cut_in_bytes"] = by_dictionary.shortest
    if by_frequency is not None:
        turned.append(by_frequency.guessed_rows)
        found["element_count"] = by_frequency.rows
        found["guessed_by_frequency"] = by_frequency.guessed_rows
    found["observed_value"] = max(turned) / max(found["element_count"], 1)
    return found
