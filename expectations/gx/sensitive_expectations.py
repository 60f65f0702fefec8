"""Expectations for Great Expectations on what a table's classes give away of a sensitive column.

For anybody's suite, on pandas and SQL; row conditions narrow the table first, also the one
that t, beta and delta compare with. `columns` are those that make the classes, `column` the
sensitive one. Importing this module imports Great Expectations and registers the expectations.

Results hold counts and measures and never a value: `observed_value` what is reached, as
`expectations/measures/sensitive_measures.py` measures it ("infinite" where no bound holds),
`classes` how many classes there are, and in `details` the smallest violation that could have been
found.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic

from expectations.gx.class_metrics import ClassValueCounts, MetricExpectation
from expectations.measures.class_counts import ValueCounts
from expectations.measures.sensitive_measures import INFINITE, judge_counts
from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)


class _SensitiveColumn(MetricExpectation, ABC):
    """A privacy model that a column must meet in every class of the table."""

    column: str = pydantic.Field(min_length=1)
    columns: list[str] = pydantic.Field(min_items=1)

    metric_dependencies: ClassVar[tuple[str, ...]] = (ClassValueCounts.metric_name,)

    @abstractmethod
    def asked(self) -> PrivacyModel:
        """Give the model."""

    def judge(self, found: ValueCounts) -> tuple[bool, dict[str, Any]]:
        """Judge the counts of the column's values by the model."""
        judged = judge_counts(found, self.column, self.asked())
        return judged.met, {
            "observed_value": judged.reached if math.isfinite(judged.reached) else INFINITE,
            "classes": len(found.size),
            "details": {
                "asked": judged.asked,
                "smallest_violation_found": judged.power,
                "can_fail": judged.can_fail,
            },
        }


class ExpectColumnToBeLDiverse(_SensitiveColumn):
    """Every class has at least l different values; one of them may still be nearly certain.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeLDiverse(column="illness", columns=["age"], l=2)
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    l: int = pydantic.Field(ge=2)  # noqa: E741  # the field's own name
    words: ClassVar[str] = (
        "In every class of equal $columns, $column has at least $l different values."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "l")

    def asked(self) -> PrivacyModel:
        """Distinct l-diversity."""
        return DistinctLDiversity(l=self.l)


class ExpectColumnToBeEntropyLDiverse(_SensitiveColumn):
    """The entropy of every class's values is at least log l.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeEntropyLDiverse(column="illness", columns=["age"], l=1.5)
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    l: float = pydantic.Field(gt=1)  # noqa: E741  # the field's own name
    words: ClassVar[str] = (
        "In every class of equal $columns, the entropy of $column is at least log $l."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "l")

    def asked(self) -> PrivacyModel:
        """Entropy l-diversity."""
        return EntropyLDiversity(l=self.l)


class ExpectColumnToBeRecursivelyLDiverse(_SensitiveColumn):
    """In every class r1 < c (r_l + ... + r_m), the counts r sorted downward; c is observed.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeRecursivelyLDiverse(
    ...     column="illness", columns=["age"], c=2, l=2
    ... )
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    c: float = pydantic.Field(gt=0)
    l: int = pydantic.Field(ge=2)  # noqa: E741  # the field's own name
    words: ClassVar[str] = (
        "In every class of equal $columns, the most frequent value of $column is less "
        "than $c times as frequent as all values together that are in place $l or later."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "c", "l")

    def asked(self) -> PrivacyModel:
        """Recursive (c, l)-diversity."""
        return RecursiveLDiversity(c=self.c, l=self.l)


class ExpectColumnToBeTClose(_SensitiveColumn):
    """The values of every class are at most t, 0 to 1, away from the table's.

    `distance` is "equal", or "ordered" for numbers, dates and ordered categories.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu"] * 3 + ["cold"] * 5
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeTClose(column="illness", columns=["age"], t=0.2)
    >>> batch.validate(asked, result_format="BASIC").success
    False
    """

    t: float = pydantic.Field(gt=0, le=1)
    distance: Literal["equal", "ordered"] = "equal"
    words: ClassVar[str] = (
        "In every class of equal $columns, $column is at most $t away from its "
        "distribution in the table ($distance distance)."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "t", "distance")

    def asked(self) -> PrivacyModel:
        """t-closeness."""
        return TCloseness(t=self.t, distance=self.distance)


class ExpectColumnToBeBetaLike(_SensitiveColumn):
    """No value is more than 1 + beta times as frequent in a class as in the table.

    `enhanced` takes the smaller of beta and -ln of the value's share in the table.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu"] * 3 + ["cold"] * 5
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeBetaLike(column="illness", columns=["age"], beta=0.5)
    >>> batch.validate(asked, result_format="BASIC").success
    False
    """

    beta: float = pydantic.Field(gt=0)
    enhanced: bool = False
    words: ClassVar[str] = (
        "No value of $column is more than 1 + $beta times as frequent in a class of equal "
        "$columns as in the table."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "beta", "enhanced")

    def asked(self) -> PrivacyModel:
        """Beta-likeness."""
        return BetaLikeness(beta=self.beta, enhanced=self.enhanced)


class ExpectColumnToBeDeltaDisclosurePrivate(_SensitiveColumn):
    """Every value of the table occurs in every class, with |ln of the ratio of shares| < delta.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnToBeDeltaDisclosurePrivate(
    ...     column="illness", columns=["age"], delta=0.5
    ... )
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    delta: float = pydantic.Field(gt=0)
    words: ClassVar[str] = (
        "Every value of $column occurs in every class of equal $columns, and the "
        "logarithm of its share there over its share in the table is less than $delta "
        "from 0."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "delta")

    def asked(self) -> PrivacyModel:
        """Delta-disclosure privacy."""
        return DeltaDisclosure(delta=self.delta)


class ExpectColumnValuesToBeAtMostAlphaOfClass(_SensitiveColumn):
    """No value makes up more than the share alpha of a class; with k, (α, k)-anonymity.

    >>> import great_expectations as gx, pandas as pd, tutela
    >>> ages, ill = ["30-39"] * 4 + ["40-49"] * 4, ["flu", "flu", "cold", "cold"] * 2
    >>> rows = pd.DataFrame({"age": ages, "illness": ill})
    >>> batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    >>> asked = tutela.ExpectColumnValuesToBeAtMostAlphaOfClass(
    ...     column="illness", columns=["age"], alpha=0.6
    ... )
    >>> batch.validate(asked, result_format="BASIC").success
    True
    """

    alpha: float = pydantic.Field(gt=0, lt=1)
    words: ClassVar[str] = (
        "No value of $column makes up more than the share $alpha of a class of equal $columns."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("column", "columns", "alpha")

    def asked(self) -> PrivacyModel:
        """The share alpha."""
        return AlphaK(alpha=self.alpha)


def expect_model(
    model: PrivacyModel, column: str, columns: Sequence[str], meta: dict[str, object]
) -> MetricExpectation:
    """Give the expectation that judges a declared model of one column; the fields are the same."""
    asked = model.model_dump(exclude={"kind"})
    return name_expectation(model)(column=column, columns=list(columns), meta=meta, **asked)


def name_expectation(model: PrivacyModel) -> type[_SensitiveColumn]:
    """Say which expectation judges a model."""
    match model:
        case DistinctLDiversity():
            return ExpectColumnToBeLDiverse
        case EntropyLDiversity():
            return ExpectColumnToBeEntropyLDiverse
        case RecursiveLDiversity():
            return ExpectColumnToBeRecursivelyLDiverse
        case TCloseness():
            return ExpectColumnToBeTClose
        case BetaLikeness():
            return ExpectColumnToBeBetaLike
        case DeltaDisclosure():
            return ExpectColumnToBeDeltaDisclosurePrivate
        case AlphaK():
            return ExpectColumnValuesToBeAtMostAlphaOfClass
