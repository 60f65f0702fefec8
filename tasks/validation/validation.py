"""Judging data against the policy: value rules after de-identification, a table before it leaves.

What is measured here shares no code with the steps that it judges. A check that did not pass ends
the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.checks import Check, refuse_failed
from expectations.errors import carrying
from expectations.gx.suites import build_suite, run_suite
from expectations.gx.table_promises import Judged, judge_table, order_labels
from expectations.measures.measures import class_sizes, tell_risks
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy, Rule
from expectations.policy.treatments import public_labels
from expectations.policy.vocabulary import MISSING
from ledgers.vault.stages import Checked, Deidentified, Generalized, Reached, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class BrokenRules:
    """Values that break a rule: their rows, and a check for each of the policy's rules."""

    frame: pd.DataFrame
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """A made table that keeps less than its outlet promises, and how it was judged."""

    outlet: str
    judged: Sequence[Judged]


def check_values(frame: pd.DataFrame, rules: Sequence[Rule], threshold: int) -> list[Check]:
    """Judge a frame by value rules; without rules GX is not even imported.

    `threshold` is the fewest people that a told range of shares spans.
    """
    return run_suite(frame, build_suite(rules), threshold) if rules else []


@step("Validate values", gives=Validated)
def validate(desk: Desk, deidentified: Opened[Deidentified]) -> Opened[Reached]:
    """Check the policy's rules about values; the data goes on unchanged, or not at all."""
    rules = desk.policy.expectations
    frame = deidentified.frame(list(dict.fromkeys(rule.column for rule in rules)))
    checks = check_values(frame, rules, desk.run.disclosure.threshold)
    for check in checks:
        desk.check(check)
    with carrying(BrokenRules(frame, checks)):
        refuse_failed(checks)
    return deidentified


def order_sensitive(frame: pd.DataFrame, policy: Policy, promised: TableOutlet) -> pd.DataFrame:
    """Put sensitive columns into the order of their declared labels, where they have some.

    A missing word is the word that it leaves as, which may be a value too.
    """
    labels = {
        column: public_labels(policy.treated[column].treatment, policy.column_type(column))
        for column in promised.sensitive
    }
    words = {
        column: frame[column].astype(object).where(frame[column].notna(), MISSING)
        for column, declared in labels.items()
        if declared or frame[column].dtype in ("object", "str")
    }
    ordered = {
        column: order_labels(values, declared) if (declared := labels[column]) else values
        for column, values in words.items()
    }
    return frame.assign(**ordered)


@step("Check the table", gives=Checked)
def check_table(desk: Desk, table: Opened[Generalized], outlet: str) -> Opened[Reached]:
    """Check k and every privacy model of a table before the handover; note its risks.

    The table goes on as it is, or not at all. Nothing is said of a journalist, who knows a whole
    population: a run knows the people whom it may use, and published margins at most.
    """
    promised = desk.policy.table_outlets[outlet]
    frame = table.frame(list(promised.columns))
    judged = judge_table(order_sensitive(frame, desk.policy, promised), promised, outlet)
    risks = tell_risks(class_sizes(frame, promised.linkable), desk.run.disclosure.threshold)
    for each in judged:
        desk.measure(f"privacy.{outlet}.{each.measure}", each.value)
        desk.check(each.check)
    for name, value in risks.items():
        desk.measure(f"privacy.{outlet}.risk.{name}", value)
    with carrying(BrokenPromise(outlet, judged)):
        refuse_failed(each.check for each in judged)
    return table
