"""Tutela's own expectations on a table's rows for Great Expectations: k, and a value's share.

For anybody's suite, on pandas and SQL; row conditions narrow the table first. Importing this
module imports Great Expectations and registers both expectations; `expectations/gx/suites.py`
therefore does it late. Results hold counts and measures and never a value; the count of one value
is exact, so a result is not to be published as it is.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from expectations.gx.class_metrics import ClassSizes, MetricExpectation, ValueRows
from expectations.measures.class_counts import Integers


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
    success_keys: ClassVar[tuple[str, ...]] = ("column", "value", "min_value", "max_value")

    def judge(self, found: tuple[int, int]) -> tuple[bool, dict[str, Any]]:
        """Compare the share with its bounds."""
        rows, matching = found
        met = rows > 0 and self.min_value <= matching / rows <= self.max_value
        return met, {"element_count": rows, "matching_count": matching}
