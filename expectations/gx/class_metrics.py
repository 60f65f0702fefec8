"""Metrics for Great Expectations (GX), and what our expectations on them share, on pandas and SQL.

The engine groups and counts; what it sends back is a histogram, never the table, and the measures
are those of `expectations/measures/measures.py` on any engine. A metric is counts only: labels and
tokens do not outlive the call. A row condition narrows the table first, also the one that t, beta
and delta compare with.

Equal is what the engine groups as equal: a database whose collation ignores case or blanks finds
larger classes than a reader of the exported table would. Values are ordered as Python orders them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.model_field_types import ConditionParser
from great_expectations.expectations.row_conditions import RowConditionType
from great_expectations.render.components import (
    LegacyRendererType,
    RenderedStringTemplateContent,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import MetricConfiguration

from expectations.errors import ServiceError, UsageError
from expectations.measures.class_counts import Integers, ValueCounts, classify, count_values
from expectations.measures.token_reversal import (
    DictionaryAttack,
    FrequencyAttack,
    attack_by_dictionary,
    attack_by_frequency,
    count_tokens,
)

ROWS: Final = "tutela_rows"
"""What an engine calls the count of a group."""
ENGINES: Final = (PandasExecutionEngine, SqlAlchemyExecutionEngine)

Arguments = dict[str, Any]


class _Grouped(TableMetricProvider):
    """A metric of columns that must be there; SQLite would take an unknown one for a constant."""

    @classmethod
    def _get_evaluation_dependencies(
        cls,
        metric: MetricConfiguration,
        configuration: ExpectationConfiguration | None = None,  # noqa: ARG003  # GX hands it over
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG003  # the same
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG003  # the same
    ) -> dict[str, MetricConfiguration]:
        """Ask which columns there are."""
        columns = MetricConfiguration("table.columns", metric.metric_domain_kwargs)
        return {"table.columns": columns}


def _on_engines(
    compute: Callable[[ExecutionEngine[Any], Arguments, Arguments], object],
) -> list[Callable[..., object]]:
    """Make a metric's function for each engine, as GX calls it."""

    def resolve(  # noqa: PLR0913  # GX hands all of them over by name
        *,
        cls: type,  # noqa: ARG001
        execution_engine: ExecutionEngine[Any],
        metric_domain_kwargs: Arguments,
        metric_value_kwargs: Arguments,
        metrics: Arguments,
        runtime_configuration: Arguments,  # noqa: ARG001
    ) -> object:
        named = [metric_value_kwargs.get("column"), *(metric_value_kwargs.get("columns") or ())]
        there = {str(name) for name in metrics["table.columns"]}
        lacking = {name for name in named if name is not None} - there
        if lacking:
            raise UsageError(
                f"the table has no column {', '.join(sorted(lacking))}; correct the names"
            )
        return compute(execution_engine, metric_domain_kwargs, metric_value_kwargs)

    return [metric_value(engine=engine)(resolve) for engine in ENGINES]


def _measure_sizes(engine: ExecutionEngine[Any], domain: Arguments, asked: Arguments) -> Integers:
    """Count the rows of each class."""
    if isinstance(engine, PandasExecutionEngine):
        return classify(engine.get_domain_records(domain), asked["columns"]).size
    # As few rows as there are sizes: the engine counts how many classes have each.
    found = group(engine, domain, asked["columns"], sizes_only=True)
    return np.repeat(found.frame["size"].to_numpy(dtype=np.int64), found.weights)


def _measure_counts(
    engine: ExecutionEngine[Any], domain: Arguments, asked: Arguments
) -> ValueCounts:
    """Count a column's values in each class."""
    columns: list[str] = asked["columns"]
    column: str = asked["column"]
    found = group(engine, domain, [*columns, column])
    classes = classify(found.frame, columns, found.weights)
    return count_values(classes, found.frame[column], found.weights)


def _measure_share(
    engine: ExecutionEngine[Any], domain: Arguments, asked: Arguments
) -> tuple[int, int]:
    """Count all rows, missing ones included, and those that hold a value."""
    column: str = asked["column"]
    found = group(engine, domain, [column])
    held = (found.frame[column] == asked["value"]).to_numpy(dtype=bool, na_value=False)
    return int(found.weights.sum()), int(found.weights[held].sum())


def _attack_tokens(
    engine: ExecutionEngine[Any], domain: Arguments, asked: Arguments
) -> tuple[DictionaryAttack | None, FrequencyAttack | None]:
    """Attack a column of tokens in the ways that are asked for."""
    column: str = asked["column"]
    found = group(engine, domain, [column])
    tokens = count_tokens(found.frame[column], found.weights)
    by_dictionary = by_frequency = None
    if asked["dictionary"] is not None:
        by_dictionary = attack_by_dictionary(tokens, _read_lines(asked["dictionary"]))
    if asked["frequencies"] is not None:
        counts = np.array(list(tokens.values()), dtype=np.int64)
        by_frequency = attack_by_frequency(counts, asked["frequencies"])
    return by_dictionary, by_frequency


class ClassSizes(_Grouped):
    """The rows of each class: an array of integers."""

    metric_name = "tutela.class_sizes"
    value_keys = ("columns",)
    on_pandas, on_sql = _on_engines(_measure_sizes)


class ClassValueCounts(_Grouped):
    """How often each value of a column occurs in each class: `ValueCounts`."""

    metric_name = "tutela.class_value_counts"
    value_keys = ("columns", "column")
    on_pandas, on_sql = _on_engines(_measure_counts)


class ValueRows(_Grouped):
    """How many rows there are, and how many hold one value."""

    metric_name = "tutela.value_rows"
    value_keys = ("column", "value")
    on_pandas, on_sql = _on_engines(_measure_share)


class TokenReversal(_Grouped):
    """What a dictionary, and public frequencies, turn back of a column of tokens."""

    metric_name = "tutela.token_reversal"
    value_keys = ("column", "dictionary", "frequencies")
    on_pandas, on_sql = _on_engines(_attack_tokens)


class MetricExpectation(BatchExpectation, ABC):
    """An expectation on one of these metrics; row conditions narrow the table first.

    `words` say what is expected on GX's pages (Data Docs), with `$name` for a field.
    """

    row_condition: RowConditionType = None
    condition_parser: ConditionParser | None = None

    words: ClassVar[str]
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "row_condition", "condition_parser")

    @abstractmethod
    def judge(self, found: Any) -> tuple[bool, dict[str, Any]]:  # noqa: ANN401  # the metric's own
        """Say whether the metric meets the expectation, and what its result tells."""

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: Arguments | None = None,
    ) -> list[RenderedStringTemplateContent]:
        """Say on a page of GX what is expected; what was observed stands beside it."""
        given = configuration or (result.expectation_config if result else None)
        told = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in (given.kwargs if given else {}).items()
        }
        usual = {name: field.default for name, field in cls.__fields__.items()}
        template = {
            "template": cls.words,
            "params": {**usual, **told},
            "styling": (runtime_configuration or {}).get("styling", {}),
        }
        return [
            RenderedStringTemplateContent(
                content_block_type="string_template", string_template=template
            )
        ]

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002  # GX hands it over
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002  # the same
    ) -> dict[str, object]:
        """Judge the one metric that the expectation depends on."""
        met, result = self.judge(metrics[self.metric_dependencies[0]])
        return {"success": met, "result": result}


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct tuples, each with how many rows of the table it stands for."""

    frame: pd.DataFrame
    weights: Integers


def group(
    engine: ExecutionEngine[Any],
    domain: Arguments,
    columns: Sequence[str],
    *,
    sizes_only: bool = False,
) -> Histogram:
    """Count the rows of each tuple of columns on the engine; on pandas each row is its own tuple.

    With `sizes_only` the tuples are the counts themselves, in a column `size`.
    """
    named = list(dict.fromkeys(columns))
    records = engine.get_domain_records(domain)
    if isinstance(engine, PandasExecutionEngine):
        return Histogram(records, np.ones(len(records), dtype=np.int64))
    assert isinstance(engine, SqlAlchemyExecutionEngine), "metrics are registered for no other"
    rows = _group_by_sql(engine, records, named, sizes_only=sizes_only)
    frame = pd.DataFrame([row[:-1] for row in rows], columns=["size"] if sizes_only else named)
    return Histogram(frame, np.array([row[-1] for row in rows], dtype=np.int64))


def _group_by_sql(
    engine: SqlAlchemyExecutionEngine,
    records: sa.FromClause | sa.Select[Any],
    columns: list[str],
    *,
    sizes_only: bool,
) -> list[tuple[Any, ...]]:
    """Group in the database, the count last; its own errors may quote a value and stay there."""
    table = records.subquery() if isinstance(records, sa.Select) else records
    names: list[sa.ColumnClause[Any]] = [sa.column(name) for name in columns]
    rows = sa.func.count().label(ROWS)
    query: sa.Select[Any] = sa.select(*names, rows).select_from(table).group_by(*names)
    if sizes_only:
        sizes = sa.select(rows).select_from(table).group_by(*names).subquery()
        query = sa.select(sizes.c[ROWS], sa.func.count()).group_by(sizes.c[ROWS])
    # GX's own `execute_query` gives its connection back first, and with it DuckDB's rows.
    with engine.get_connection() as connection:
        try:
            return [tuple(row) for row in connection.execute(query)]
        except sa.exc.SQLAlchemyError as error:
            raise ServiceError(
                f"the database could not group by {', '.join(columns)} ({type(error).__name__}); "
                "its message may quote people's data and is not shown: see its log"
            ) from None


def _read_lines(path: str) -> list[str]:
    """Read a dictionary, a candidate a line; raises `UsageError` if it can't be read."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  # GX keeps a path as text
            return file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the dictionary {path} cannot be read ({type(error).__name__}); give a text file in "
            "UTF-8 with one candidate per line"
        ) from None
