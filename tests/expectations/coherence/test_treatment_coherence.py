"""Treatments that cannot be carried out as declared are told before a person is read."""

from __future__ import annotations

import json

import pytest

from expectations.coherence.treatments import RULES
from expectations.policy.plain_yaml import read_yaml
from expectations.policy.policy import Policy
from tests.conftest import small_policy

COLUMN = """\
  {name}:
    {{type: {kind}, identifiability: none, category: dpv-pd:Health, use: [audit],
     treatment: {treatment}}}
"""
NOISE = "{{kind: noise, epsilon: 1, low: {}, high: {}}}"
SHIFT = "{{kind: shift, days: {}}}"
LEVEL = "{{kind: hierarchy, of: {}, level: {}}}"


def problems(*columns: tuple[str, str]) -> list[str]:
    """Give what the rules say of columns a, b, … by their types and treatments."""
    added = "".join(
        COLUMN.format(name="abc"[n], kind=kind, treatment=treatment)
        for n, (kind, treatment) in enumerate(columns)
    )
    _, plain = read_yaml(small_policy(("derived:\n", f"{added}derived:\n")), "p.yaml")
    policy = Policy.model_validate_json(json.dumps(plain))
    return [f"{p.path}: {p.what}; {p.fix}" for rule in RULES for p in rule(policy)]


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [("date", LEVEL.format("dates", 4)), ("integer", LEVEL.format("ages", 3))],
        [("text", LEVEL.format("postcodes", 9)), ("number", LEVEL.format("ages", 1))],
        [("integer", NOISE.format(0.5, 2)), ("number", NOISE.format(0.1, 0.2))],
        [("date", SHIFT.format(30)), ("date", SHIFT.format(30))],
    ],
    ids=["none", "levels", "more levels", "noise", "shifts"],
)
def test_what_can_be_carried_out_is_no_problem(columns: list[tuple[str, str]]) -> None:
    """No rule minds another's column."""
    assert problems(*columns) == []


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            [("text", LEVEL.format("dates", 1))],
            "columns.a.treatment.of: dates are in columns of type date; choose another",
        ),
        (
            [("date", LEVEL.format("ages", 1))],
            "columns.a.treatment.of: ages are in columns of type integer or number; choose another",
        ),
        (
            [("date", LEVEL.format("dates", 5))],
            "columns.a.treatment.level: dates have no level 5 below the root; choose 1 to 4",
        ),
        (
            [("integer", NOISE.format(0.5, 1.5))],
            "columns.a.treatment.low: the bounds hold fewer than two whole numbers; widen them",
        ),
        (
            [("date", SHIFT.format(30)), ("date", SHIFT.format(31)), ("date", SHIFT.format(30))],
            "columns.b.treatment.days: another column is moved by up to 30 days; use the same",
        ),
    ],
    ids=["dates in text", "ages in dates", "no such level", "no room", "apart"],
)
def test_what_cannot_is_told_with_its_place(columns: list[tuple[str, str]], said: str) -> None:
    """Once, and how to mend it."""
    assert problems(*columns) == [said]
