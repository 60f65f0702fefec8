"""An expectation for Great Expectations on tokens: nobody without a key turns them back.

For anybody's suite, on pandas and SQL; row conditions narrow the table first. Importing this
module imports Great Expectations and registers the expectation. Results hold counts and never a
token or a candidate; candidates stay in a file, because a suite is stored with its arguments.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from expectations.gx.class_metrics import MetricExpectation, TokenReversal
from expectations.measures.token_reversal import DictionaryAttack, FrequencyAttack


class ExpectColumnNotToBeReversedBy(MetricExpectation):
    """At most `max_share` of the rows with a token are turned back by a dictionary, or by counting.

    `dictionary` is the path of a text file in UTF-8 with one candidate a line, `frequencies` the
    public shares of the values, as published elsewhere; at least one of them. What is tried, and
    what is not, stands in `expectations/measures/token_reversal.py`. `observed_value` is the larger share
    that an attack turned back. One row is found, if `max_share` is 0.

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
