"""Rows of runs that nobody ran, for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.account.overview import RunRow
from tasks.account.published import Figure

ROW = RunRow(
    run="20260102T030405-0a1b2c3d", policy="visits", at="2026-01-02T03:04:05.000006+00:00",
    verdict="passed", check=None, reason="", people=Figure("selected", "1,230", 1230),
    epsilon=1.0, k=10.0, auc=0.81, r2=None, prefect=None, mlflow=None, flow_run=None,
    permitted=Figure("with a legal basis", "1,300", 1300), runs_left=None, elsewhere=False,
)  # fmt: skip


def make_rows(*changes: dict[str, Any]) -> list[RunRow]:
    """Give a row for each of some changes, a day apart."""
    return [
        replace(
            ROW,
            **{
                "run": f"202601{day:02}T030405-0a1b2c3d",
                "at": f"2026-01-{day:02}T03:04:05.000006+00:00",
                **change,
            },
        )
        for day, change in enumerate(changes, start=1)
    ]
