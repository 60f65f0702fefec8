"""On GX's own pages our expectations are sentences, with what was observed beside them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Any, Final

import pandas as pd

from expectations.gx.quiet_validation import quiet
from tests.expectations.gx.expectation_batches import open_batch

ROWS: Final = pd.DataFrame(
    {"age": ["30-39"] * 4 + ["40-49"] * 4, "ill": ["flu", "flu", "cold", "cold"] * 2}
)
ASKED: Final[dict[str, Any]] = {
    "column": "ill",
    "columns": ["age"],
    "value": "flu",
    "frequencies": [0.5, 0.3],
    "min_value": 0.1,
    "max_value": 0.9,
    "at_most": 0.4,
    "max_share": 0.1,
    "k": 3,
    "l": 2,
    "c": 2.0,
    "t": 0.2,
    "beta": 0.5,
    "delta": 0.5,
    "alpha": 0.6,
}


def show(page: str) -> str:
    """Give the words of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def test_a_page_says_in_words_what_is_expected_and_what_was_observed(tmp_path: Path) -> None:
    """Of every expectation of ours, with its fields filled in; GX's own way prints the call."""
    with quiet():
        import great_expectations as gx
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        from expectations import custom_expectations

        batch = open_batch(ROWS, "pandas", tmp_path)
        for name in custom_expectations.__all__:
            kind = getattr(custom_expectations, name)
            fields = {field: ASKED[field] for field in kind.__fields__ if field in ASKED}
            suite = gx.ExpectationSuite(name, [kind(**fields)])
            result = batch.validate(suite, result_format="BASIC")
            page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result))
            usual = {field: each.default for field, each in kind.__fields__.items()}
            told = {**usual, **fields, "columns": "age"}
            assert Template(kind.words).substitute(told) in show(page)
            observed = result.results[0].result["observed_value"]
            assert re.search(rf"\b{float(observed):.3g}", show(page)), name
