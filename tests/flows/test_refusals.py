"""Change one line of the example policy and watch it refuse: the tables, row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expectations.policy_file import read_policy
from ledgers.vault.digests import digest_in_run
from tasks.consent.permission import digest_people
from tasks.people.ingestion import PERSON, RECORD, read_people
from tests.flows.refusals import ROWS, SHOWN, WITHDRAWN, Refused, cut, render
from tests.runs import changed_policy, copy_place, passed, shared_place
from tests.tasks.sources.example_people import permitted

SLOW = "a model that remembers"
"""Attacked with its references and those of every way out: left to the night, since each day an
attack refuses a smaller model."""
REFUSED = [
    pytest.param(row, marks=pytest.mark.nightly if row.name == SLOW else ())
    for row in ROWS
    if row.status != 0
]
PASSED = [row for row in ROWS if row.status == 0]


def write(folder: Path, row: Refused) -> str:
    """Write the changed policy and the files beside it, and give the policy's path."""
    for name, text in row.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return str(changed_policy(folder, *((line.old, line.new) for line in row.lines)))


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_a_changed_line_is_refused_in_the_words_of_the_table(row: Refused, tmp_path: Path) -> None:
    """The command ends with the row's status and words; nothing is handed over or left behind."""
    place = shared_place()
    before, runs = place.handed_over, len(place.runs)
    said = place.tell(row.command, write(tmp_path, row))
    assert (said.status, row.is_said(said.out + said.err)) == (row.status, True), said
    assert (place.handed_over, place.waiting) == (before, [])
    assert len(place.runs) - runs == (row.command == "run")
    if row.command == "run":
        assert place.last.record.verdict == "refused"


def test_a_withdrawal_takes_exactly_that_person_out_of_the_next_run(tmp_path: Path) -> None:
    """The sealed counts fall by one, and the consent snapshot is that of the same people less one.

    Published counts would not tell: they are rounded.
    """
    (row,) = PASSED
    before = passed("diabetes")
    # In a home of its own, whose ledger keeps the withdrawal.
    place = copy_place(before.place, tmp_path / "home")
    said = place.tell(row.command, write(tmp_path, row))
    after = place.last
    assert said.status == 0, said.err
    for name, change in {
        "people.roster": 0,
        "people.permitted": -1,
        "people.excluded.withdrawn": 1,
        "people.selected": -1,
    }.items():
        assert after.exact(name) - before.exact(name) == change, name
    roster = read_people(read_policy("diabetes"), place.keys.derive("person"))
    keys = dict(zip(roster[PERSON].to_pylist(), roster[RECORD].to_pylist(), strict=True))
    rest = [keys[person] for person in permitted("diabetes") - {WITHDRAWN}]
    lasting = digest_people(np.array(rest, dtype=np.uint64), place.keys.derive("digest"))
    assert after.named("snapshot")["consent"] == digest_in_run(after.record.run_id, lasting)


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_the_documents_show_these_tables(page: Path) -> None:
    """Between two markers each page holds its table exactly as the tests run it."""
    assert cut(page)[1] == render(SHOWN[page])
