"""Ways out know which columns are made of one table's rows: they go together, strongest last."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from expectations.disclosure import Disclosure
from expectations.errors import Refusal
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Use
from expectations.policy_file import parse_policy
from tasks.account.published import WaysOut
from tasks.anonymization.generalize import generalize_table
from tasks.attack.model import Aim
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST
from tasks.training.train import Rows, fit_model
from tasks.ways import model_ways
from tasks.ways.model_ways import Attacked, list_changes, try_model
from tasks.ways.table_ways import find_table_ways
from tests.conftest import small_policy

TABLES = """\
  person: pid
  index: {date: "2025-06-30"}
  tables:
    visits:
      location: {kind: csv, path: visits.csv}
      at: start
      fields: {days: {type: number}}
"""
MADE = """\
  NAME:
    rows: {take: count, of: visits, where: "days > AT", days_before: 365}
    type: integer
    identifiability: quasi
    category: dpv-pd:Health
    use: [feature, release]
    treatment: {kind: bin, edges: [1, 2, 3], labels: [none, one, two, more]}
"""
NAMES = ("stays", "nights", "urgent")
LABELS = ("none", "one", "two", "more")


def policy() -> Policy:
    """Give the small policy with three columns made of visits, all kept in its table."""
    made = "".join(
        MADE.replace("NAME", name).replace("AT", str(at)) for at, name in enumerate(NAMES)
    )
    columns = "{age: generalize, sex: generalize, sick: generalize}"
    return parse_policy(
        small_policy(
            ("  person: pid\n", TABLES),
            ("derived:\n", f"{made}derived:\n"),
            (columns, "{stays: keep, nights: keep, urgent: keep}"),
            ("use: [feature, eligibility, release]", "use: [feature, eligibility]"),
            ("use: [feature, release, audit]", "use: [feature, audit]"),
            ("use: [target, release]", "use: [target]"),
            ("k: 3", "k: 20"),
        )
    )


@cache
def find() -> WaysOut:
    """Give the ways out for two people of each combination, and twelve alike but for stays."""
    combinations = [*product(LABELS, repeat=3)] * 2
    combinations += [(LABELS[n % 4], "none", "none") for n in range(12)]
    frame = pd.DataFrame(combinations, columns=[*NAMES])
    frame[RECORD] = np.arange(len(frame), dtype=np.uint64)
    frame[TEST] = False
    asked = policy()
    with pytest.raises(Refusal) as refused:
        generalize_table(frame, asked, asked.table_outlets["partner"])
    (found,) = find_table_ways(refused.value, frame, asked, "partner", 1)
    return found


def test_columns_of_one_table_are_coarsened_or_left_out_together() -> None:
    """No single one suffices; two do, and no third is taken. Who comes nearest goes first."""
    ways = find().ways
    held = {way.change for way in ways if way.holds}
    assert {"stays, nights: generalize", "of visits, leave out all but urgent"} <= held
    assert "stays, nights, urgent: generalize" not in {way.change for way in ways}


def test_a_shorter_window_is_proposed_and_not_said_to_hold() -> None:
    """Of the column that splits people most, since rows are not read again to try it."""
    (idea,) = (way for way in find().ways if way.holds is None)
    assert idea.change == "stays: rows: days_before: 182"
    assert idea.cost == {}


def test_a_model_is_tried_on_the_strongest_columns_of_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others of that table are no features any more, and neither read by the model."""
    asked, draw = policy(), np.random.default_rng(5)
    names = [*asked.used_as(Use.FEATURE)]
    words = {"age": ("18-34", "65+"), "sex": ("f", "m")}

    def draw_rows() -> Rows:
        frame = pd.DataFrame({n: draw.choice(words.get(n, LABELS), 200) for n in names})
        sick = (frame["urgent"] == "more") | ((frame["nights"] == "one") & (draw.random(200) < 0.5))
        return Rows(frame, pd.Series(np.where(sick, "yes", "no")))

    rows, others = draw_rows(), draw_rows()
    aim = Aim(fit_model(rows, asked), rows, others, None)
    changes = dict(list_changes(aim, asked))
    assert [words for words in changes if words.startswith("of ")] == [
        "of visits, train on urgent, nights alone",
        "of visits, train on urgent alone",
    ]
    changed = changes["of visits, train on urgent alone"]
    features = {"age", "sex", "urgent"}
    assert {*changed.used_as(Use.FEATURE)} == features

    def attack(narrowed: Aim, *_: object) -> Attacked:
        assert {*narrowed.members.features} == {*narrowed.others.features} == features
        assert len(narrowed.pipeline.predict(narrowed.others.features)) == 200
        return Attacked({"auc": 0.7}, (0.5, 0.4, 0.6), ())

    monkeypatch.setattr(model_ways, "attack_fast", attack)
    (way,) = try_model(aim, changed, "fewer", Disclosure(bytes(32)))
    assert way.cost == {"auc": 0.7, "membership_auc": 0.5}
