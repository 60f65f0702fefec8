"""Expectations for Great Expectations on how likely a table's rows are linked to their people.

For anybody's suite, on pandas and SQL; row conditions narrow the table first. Importing this
module imports Great Expectations and registers the expectations. Results hold measures and never a
value; they are exact, so a result is not to be published as it is. The risks are defined in
`expectations/measures/reidentification_risk.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic

from expectations.gx.class_metrics import ClassSizes, MetricExpectation
from expectations.measures.class_counts import Integers
from expectations.measures.reidentification_risk import prosecutor_risk, share_alone
from expectations.measures.sensitive_measures import ROUNDING


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

    def share(self, size: Integers) -> float:
        """Give the share of rows that are alone."""
        return share_alone(size)
