"""Tutela's own expectations for Great Expectations: k-anonymity of a table, a value's share.

For anybody's suite on pandas. Importing this module imports Great Expectations and registers both
expectations; `expectations/suites.py` therefore does it late. Results hold counts and measures
and never a value; the count of one value is exact, so a result is not to be published as it is.
Neither knows a row condition, nor the engines for Spark and SQL, on which GX reports an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation

from expectations.measures import class_sizes

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.execution_engine.execution_engine import ExecutionEngine


class ExpectTableToBeKAnonymous(BatchExpectation):
    """Every combination of the columns' values that occurs belongs to at least k rows.

    Samarati and Sweeney 1998; missing is a value like any other. `observed_value` is the k that
    is reached (0 without rows), `classes` the number of combinations.
    """

    columns: list[str] = pydantic.Field(min_items=1)
    k: int = pydantic.Field(ge=2)

    success_keys: ClassVar[tuple[str, ...]] = ("columns", "k")

    def _validate(
        self,
        metrics: dict[Any, Any],  # noqa: ARG002  # GX hands it over by name; nothing is asked of it
        runtime_configuration: dict[Any, Any] | None = None,  # noqa: ARG002  # the same
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, object]:
        """Measure the batch by `expectations/measures.py`, which knows no anonymizer."""
        sizes = class_sizes(_batch(execution_engine, self.batch_id), self.columns)
        reached = int(sizes.min(initial=int(sizes.sum())))
        result = {"observed_value": reached, "classes": len(sizes)}
        return {"success": reached >= self.k, "result": result}


class ExpectColumnValueShareToBeBetween(BatchExpectation):
    """The share of all rows, missing ones included, that hold one value lies between two bounds.

    Both bounds are included. `matching_count` of `element_count` rows hold the value; a table
    without rows does not meet it.
    """

    column: str
    value: str
    min_value: float = pydantic.Field(ge=0, le=1)
    max_value: float = pydantic.Field(ge=0, le=1)

    success_keys: ClassVar[tuple[str, ...]] = ("column", "value", "min_value", "max_value")

    def _validate(
        self,
        metrics: dict[Any, Any],  # noqa: ARG002  # GX hands it over by name; nothing is asked of it
        runtime_configuration: dict[Any, Any] | None = None,  # noqa: ARG002  # the same
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, object]:
        """Count the rows that hold the value."""
        values = _batch(execution_engine, self.batch_id)[self.column]
        rows, matching = len(values), int((values == self.value).sum())
        success = rows > 0 and self.min_value <= matching / rows <= self.max_value
        return {
            "success": success,
            "result": {"element_count": rows, "matching_count": matching},
        }


def _batch(engine: ExecutionEngine[Any] | None, batch_id: str | None) -> pd.DataFrame:
    """Give the rows of a batch; `TypeError` on another engine than pandas."""
    if not isinstance(engine, PandasExecutionEngine):
        raise TypeError("this expectation is computed on pandas; hand it a pandas batch")
    return engine.get_domain_records({"batch_id": batch_id})
