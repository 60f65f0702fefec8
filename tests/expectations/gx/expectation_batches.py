"""Batches of Great Expectations of one small table, on the engines that tests can have."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from expectations.gx.quiet_validation import quiet

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch

ENGINES = ("pandas", "a table in SQLite", "a query in SQLite")
FORMATS = ("BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE")


def open_batch(frame: pd.DataFrame, engine: str, folder: Path) -> Batch:
    """Give a frame to an engine."""
    import great_expectations as gx
    from great_expectations.data_context.types import base

    stores = base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    bars = base.ProgressBarsConfig(globally=False)
    config = base.DataContextConfig(store_backend_defaults=stores, progress_bars=bars)
    sources = gx.get_context(mode="ephemeral", project_config=config).data_sources
    if engine == "pandas":
        whole = sources.add_pandas("source").add_dataframe_asset("people")
        definition = whole.add_batch_definition_whole_dataframe("whole")
        return definition.get_batch(batch_parameters={"dataframe": frame})
    address = f"sqlite:///{folder / 'people.db'}"
    database = sa.create_engine(address)
    frame.to_sql("people", database, index=False, if_exists="replace")
    database.dispose()
    source = sources.add_sqlite("source", connection_string=address)
    if engine == "a query in SQLite":
        asked = source.add_query_asset("people", query="SELECT * FROM people")
        return asked.add_batch_definition_whole_table("whole").get_batch()
    table = source.add_table_asset("people", table_name="people")
    return table.add_batch_definition_whole_table("whole").get_batch()


def run(
    frame: pd.DataFrame,
    expectations: Sequence[Any],
    folder: Path,
    engine: str = "pandas",
    result_format: str = "BASIC",
) -> list[dict[str, Any]]:
    """Run expectations as anybody would, and give each one's result as JSON, in their order."""
    with quiet():
        batch = open_batch(frame, engine, folder)
        found = [batch.validate(each, result_format=result_format) for each in expectations]
        return [result.to_json_dict() for result in found]


def render(frame: pd.DataFrame, expectations: Sequence[Any], folder: Path, engine: str) -> str:
    """Give all that GX makes of a suite's results: the results, their page, and its log."""
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        with quiet():
            import great_expectations as gx
            from great_expectations.render.renderer import ValidationResultsPageRenderer

            # The log is what is looked at here: `quiet` would hide it.
            logging.disable(logging.NOTSET)
            suite = gx.ExpectationSuite("theirs", expectations=list(expectations))
            batch = open_batch(frame, engine, folder)
            results = batch.validate(suite, result_format="COMPLETE")
            for result in results.results:
                result.render()
            page = ValidationResultsPageRenderer().render(results)
    finally:
        logging.getLogger().removeHandler(handler)
    made = [results.to_json_dict(), page.to_json_dict(), results.describe_dict()]
    return json.dumps(made, default=str) + "\n".join(kept)
