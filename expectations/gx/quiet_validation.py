"""Running a suite of Great Expectations (GX) on people's rows: in memory, silently, and no trace.

GX is imported late (seconds). Its results are never handed on: they hold exact counts, errors that
quote values, and an unkeyed MD5 of the table. Whoever judges by a suite turns them into a `Check`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from expectations.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult


def refuse_unknown(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise `UsageError` that names the columns which the table lacks."""
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        raise UsageError(
            f"a check asks for {', '.join(lacking)}, which the table does not have; it has "
            f"{', '.join(map(str, frame.columns))}"
        )


def validate(frame: pd.DataFrame, suite: ExpectationSuite) -> list[ExpectationValidationResult]:
    """Run a suite in a context that lives in memory; results hold counts and no value.

    GX sorts by column. An error stands in a result, quotes values there, and leaves out its counts.
    """
    with quiet():
        import great_expectations as gx
        from great_expectations.data_context.types import base

        # Without a site for documents, which GX would give a temporary folder on the disk.
        stores = base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        bars = base.ProgressBarsConfig(globally=False)
        config = base.DataContextConfig(store_backend_defaults=stores, progress_bars=bars)
        context = gx.get_context(mode="ephemeral", project_config=config)
        source = context.data_sources.add_pandas("memory")
        try:
            batch = (
                source.add_dataframe_asset("table")
                .add_batch_definition_whole_dataframe("whole")
                .get_batch(batch_parameters={"dataframe": frame})
            )
            counts_only = {"result_format": "BASIC", "partial_unexpected_count": 0}
            return list(batch.validate(suite, result_format=counts_only).results)
        finally:
            # GX keeps its last context for the process's life, and with it the people's rows.
            context.data_sources.delete("memory")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence GX: its log may quote an error's values, its warnings are about its own code.

    Its loggers set levels of their own, so that only a switch for the whole process holds.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
