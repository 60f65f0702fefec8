"""Judging data against the policy: value rules after de-identification, k before a table leaves.

What is measured here shares no code with the steps that it judges. A check that did not pass ends
the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expectations.checks import Check, refuse_failed
from expectations.policy import Rule
from expectations.suites import build_suite, judge_k, reach_k, run_suite
from ledgers.stages import Checked, Deidentified, Generalized, Reached, Validated
from tasks.run import Desk
from tasks.step import Opened, step

if TYPE_CHECKING:
    import pandas as pd


def check_values(frame: pd.DataFrame, rules: Sequence[Rule], threshold: int) -> list[Check]:
    """Judge a frame by value rules; without rules GX is not even imported.

    `threshold` is the fewest people that a told range of shares spans.
    """
    return run_suite(frame, build_suite(rules), threshold) if rules else []


@step("Check the values", gives=Validated)
def validate(desk: Desk, deidentified: Opened[Deidentified]) -> Opened[Reached]:
    """Judge the columns that the policy's rules name; the data goes on as it is, or not at all."""
    rules = desk.policy.expectations
    frame = deidentified.frame(list(dict.fromkeys(rule.column for rule in rules)))
    checks = check_values(frame, rules, desk.run.disclosure.threshold)
    for check in checks:
        desk.check(check)
    refuse_failed(checks)
    return deidentified


@step("Check the table", gives=Checked)
def check_table(desk: Desk, table: Opened[Generalized], outlet: str) -> Opened[Reached]:
    """Measure the k of a table that is to leave; the table goes on as it is, or not at all."""
    declared = desk.policy.table_outlets[outlet]
    columns = list(declared.linkable)
    reached = reach_k(table.frame(columns), columns, declared.k)
    desk.measure(f"privacy.{outlet}.k", reached.k)
    check = judge_k(reached, columns, declared.k, outlet)
    desk.check(check)
    refuse_failed([check])
    return table
