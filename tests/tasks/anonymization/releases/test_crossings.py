"""Tables that one recipient gets about the same people: no two or three single out a few."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.consent.person import erase
from expectations.errors import Refusal
from expectations.policy.outlets import TableOutlet
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.releases import ReleaseLedger
from ledgers.vault.stages import Generalized
from tasks.airlock.run import Desk
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.fitting import Unreachable
from tasks.anonymization.generalize import generalize
from tasks.anonymization.recoding import k_anonymize
from tasks.anonymization.releases.crossings import (
    EarlierClasses,
    list_pins,
    name_pin,
    pin_classes,
)
from tasks.anonymization.releases.held_people import HeldPeople
from tasks.anonymization.releases.release import Past, choose_rows
from tasks.anonymization.releases.successive_releases import record_release
from tasks.anonymization.table_plan import TablePlan
from tasks.consent.permission import filter_consent
from tasks.handover.readiness import table_content
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import select_population
from tasks.validation.validation import validate
from tests.conftest import Folder, opened
from tests.tasks.anonymization.releases.release_waves import AGES, TOWNS, K, Person, people

Labels = tuple[str, ...]
Table = dict[int, Labels]
"""What a table shows of each person, by the person."""
HIERARCHIES: Final = {"age": AGES, "town": TOWNS}


def count_singled_out(tables: list[Table], k: int) -> int:
    """Count who is in a crossing of two or three tables with fewer than k people."""
    found = 0
    for some in [*combinations(tables, 2), *combinations(tables, 3)]:
        shared = set.intersection(*(set(table) for table in some))
        cells = Counter(tuple(table[person] for table in some) for person in shared)
        found += sum(people for people in cells.values() if people < k)
    return found


@dataclass
class Recipient:
    """Somebody who gets one table after the other, and what a home remembers of that."""

    held: dict[str, HeldPeople] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    plan: TablePlan | None = None

    def get(self, frame: pd.DataFrame, columns: tuple[str, ...], *, again: bool) -> None:
        """Release some columns, by the last plan again if it has them; nothing if none can be."""
        outlet = TableOutlet(
            kind="table", recipient="R", k=K, max_suppressed=0.5,
            columns=dict.fromkeys(columns, "generalize"),
        )  # fmt: skip
        numbers = frame[RECORD].to_numpy()
        earlier = [
            EarlierClasses(name, held.find(numbers), held.k) for name, held in self.held.items()
        ]
        plan = self.plan
        if not again or plan is None or not {*columns} <= plan.columns:
            names = list(self.held)
            pinned, pin = pin_classes(frame, earlier, names), name_pin(names)
            asked = {column: HIERARCHIES[column] for column in columns}
            asked |= {pin: list_pins(pin, pinned[pin])} if names else {}
            try:
                made = k_anonymize(pinned, list(asked), K, hierarchies=asked, max_suppressed=0.5)
            except Unreachable:
                return
            plan = TablePlan(made.plan, {})
        for column in plan.columns:
            if column.startswith("_in "):
                frame = pin_classes(frame, earlier, column.removeprefix("_in ").split(" "))
        choice = choose_rows(frame, outlet, plan, Past(crossed=tuple(earlier)), b"the home's")
        made_of = choice.frame
        held = HeldPeople.from_table(made_of, made_of[RECORD].to_numpy(), outlet, frozenset({"r"}))
        self.held[f"p/o/{len(self.held) + 1}"] = HeldPeople.from_bytes(held.to_bytes())
        labels = made_of[list(columns)].astype(str).itertuples(index=False, name=None)
        self.tables.append(dict(zip(made_of[RECORD].tolist(), labels, strict=True)))
        self.plan = plan


START: Final = [(n, n % 4, n // 4 % 2, n % 2) for n in range(48)]
one_release = st.tuples(
    st.sampled_from([("age",), ("town",), ("age", "town")]),
    st.booleans(),
    st.sets(st.integers(0, 47), max_size=8),
    st.dictionaries(
        st.integers(0, 60), st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=20
    ),
)
"""Which columns, by which plan, who left since the start, and who came or changed."""


def put(gone: set[int], changed: dict[int, tuple[int, int]]) -> list[Person]:
    """Give the people of one release."""
    there = {one[0]: one for one in START if one[0] not in gone}
    there |= {n: (n, age, town, 0) for n, (age, town) in changed.items()}
    return [there[number] for number in sorted(there)]


@settings(max_examples=40)
@given(st.lists(one_release, min_size=2, max_size=4))
def test_whatever_a_recipient_gets_singles_nobody_out(
    releases: list[tuple[tuple[str, ...], bool, set[int], dict[int, tuple[int, int]]]],
) -> None:
    """Any columns, new plans and old ones, people who come, leave and change."""
    recipient = Recipient()
    for columns, again, gone, changed in releases:
        recipient.get(people(put(gone, changed)), columns, again=again)
    assert count_singled_out(recipient.tables, K) == 0


def test_a_new_plan_loses_nobody_where_nobody_moved() -> None:
    """The same people under a new plan of other columns all leave again."""
    recipient = Recipient()
    for columns in (("age",), ("age", "town"), ("town",)):
        recipient.get(people(START), columns, again=False)
    assert [len(table) for table in recipient.tables] == [48, 48, 48]
    assert len(set(recipient.tables[1].values())) == 8


def test_a_plan_beside_a_larger_k_asks_for_that(folder: Folder, home: Home) -> None:
    """Else all whom it tells apart would be too few in their crossing."""
    assert home.root.is_dir()
    first, _ = release(folder.write(("k: 3", "k: 20")), "partner")
    second, verdicts = release(folder.write(*OTHER_NAME), "partner")
    assert count_singled_out([first["partner"], second["partner"]], 20) == 0
    assert verdicts == {"crossings of partner": "passed"}


def test_who_was_in_a_release_is_remembered_without_one_who_is_erased() -> None:
    """The others keep their classes."""
    outlet = TableOutlet(kind="table", recipient="R", k=2, columns={"age": "keep"})
    frame = pd.DataFrame({"age": ["b", "a", "b"]})
    held = HeldPeople.from_table(frame, np.array([7, 3, 5], np.uint64), outlet, frozenset({"r"}))
    assert held.find(np.array([3, 5, 7, 9], np.uint64)).tolist() == [0, 1, 1, -1]
    assert held.without(5).find(np.array([3, 5, 7], np.uint64)).tolist() == [0, -1, 1]


SECOND: Final = """  second:
    kind: table
    recipient: RECIPIENT
    k: 3
    max_suppressed: 0.1
    columns: {years: generalize, sex: generalize}
expectations:
"""
YEARS: Final = """  years:
    from: age
    type: integer
    identifiability: quasi
    category: dpv-pd:Age
    use: [release]
    treatment:
      {kind: bin, edges: [22, 26, 30, 33, 37, 41, 45, 49, 52, 57, 61, 64, 68, 72, 77],
       labels: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]}
  sex:
    type"""
FINE: Final = ("  sex:\n    type", YEARS)
OTHER_NAME: Final = (
    ("name: small", "name: other"),
    FINE,
    ("use: [feature, eligibility, release]", "use: [feature, eligibility]"),
    ("{age: generalize, sex: generalize,", "{years: generalize, sex: generalize,"),
)


def second_for(recipient: str) -> tuple[tuple[str, str], ...]:
    """Give the changes by which the small policy has a second table."""
    return ("expectations:\n", SECOND.replace("RECIPIENT", recipient)), FINE


def release(policy: Path, *outlets: str) -> tuple[dict[str, Table], dict[str, object]]:
    """Release tables in one run; give what each shows of whom, and the checks of crossings."""
    tables: dict[str, Table] = {}
    with opened(policy) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        for outlet in outlets:
            made = run.vault.load(generalize(rows, outlet), Generalized).to_table()
            frame = made.to_pandas()
            shown = frame[[name for name in frame if not name.startswith("_")]].astype(str)
            labels = shown.itertuples(index=False, name=None)
            tables[outlet] = dict(zip(frame[RECORD], labels, strict=True))
            record_release(Desk(run, "confirm_consent"), outlet, table_content(made))
        run.ledger.append(run.id, "run", "decision", "passed", {})
        run.ledger.intend(run.id, "record")
        entries = run.ledger.entries(run.id)
    found = {e.name: e.body for e in entries if e.kind == "check" and "crossings" in e.name}
    return tables, {name: body["verdict"] for name, body in found.items() if isinstance(body, dict)}


def test_two_outlets_for_one_recipient_single_nobody_out(folder: Folder, home: Home) -> None:
    """However the recipient's name is spelled, one plan serves both, and k holds over both."""
    assert home.root.is_dir()
    tables, verdicts = release(folder.write(*second_for(" partner")), "partner", "second")
    assert count_singled_out(list(tables.values()), 3) == 0
    assert len(set(tables["second"].values())) > 4
    assert verdicts == {"crossings of second": "passed"}


def test_another_policy_for_one_recipient_singles_nobody_out(folder: Folder, home: Home) -> None:
    """Under another name, with another column of the same people."""
    assert home.root.is_dir()
    first, _ = release(folder.write(), "partner")
    second, verdicts = release(folder.write(*OTHER_NAME), "partner")
    assert count_singled_out([first["partner"], second["partner"]], 3) == 0
    assert len(set(second["partner"].values())) > len(set(first["partner"].values()))
    assert verdicts == {"crossings of partner": "passed"}


@pytest.mark.parametrize("combined", [False, True])
def test_tables_of_two_recipients_are_crossed(folder: Folder, home: Home, combined: bool) -> None:
    """It warns, and where the policy says that they combine, it holds."""
    assert home.root.is_dir()
    word = "combine: [Partner, Bureau]\n" if combined else ""
    (old, new), fine = second_for("Bureau")
    changed = (old, new.replace(old, f"{word}{old}"))
    tables, verdicts = release(folder.write(changed, fine), "partner", "second")
    assert (count_singled_out(list(tables.values()), 3) == 0) is combined
    assert verdicts == {"crossings of second": "passed" if combined else "warned"}


def test_an_erased_person_is_no_longer_remembered(folder: Folder, home: Home) -> None:
    """`consent erase` takes them out of who was in releases; the others stay."""
    tables, _ = release(folder.write(), "partner")
    engine, keys = open_database(home), Keys.open(home)

    def remember() -> int:
        (one,) = ReleaseLedger(engine, keys).standing()[0]
        assert one.people is not None
        return len(HeldPeople.from_bytes(one.people).people)

    assert remember() == len(tables["partner"])
    said = erase(ConsentLedger(engine, home, keys), "p05", lambda _: True)
    assert said.found["forgotten"] == 1
    assert remember() == len(tables["partner"]) - 1


def test_a_table_that_singles_somebody_out_is_refused_before_it_is_on_record(
    folder: Folder, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a judge that asks nothing of who chose the rows."""
    assert home.root.is_dir()
    release(folder.write(), "partner")
    way = "tasks.anonymization.releases.successive_releases.Outgoing"
    monkeypatch.setattr(f"{way}.cross", lambda *_: ())
    with pytest.raises(Refusal, match="some smaller crossings with 1 table of its recipient"):
        release(folder.write(*OTHER_NAME), "partner")
