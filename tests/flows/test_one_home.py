"""One home that serves every example policy and refuses every row of the tables, one by one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.refusals import ROWS
from tests.flows.test_refusals import write
from tests.runs import make_place

POLICIES = ("diabetes", "notes", "prevalence", "registry")


@pytest.mark.nightly
def test_all_that_is_shown_goes_on_in_one_home(tmp_path: Path) -> None:
    """Each policy passes, twice, and each changed line is answered as its row says.

    But for its figures: a plan that has to hide people beside earlier tables gives others.
    """
    place = make_place(tmp_path / "home")
    for policy in POLICIES * 2:
        said = place.tell("run", policy)
        assert said.status == 0, (policy, said)
    for number, row in enumerate(ROWS):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = place.tell(row.command, write(folder, row))
        assert said.status == row.status, (row.name, said)
        words = [part for part in row.words.split(" … ") if not re.search(r"\d", part)]
        same = replace(row, words=" … ".join(words))
        assert not row.status or same.is_said(said.out + said.err), (row.name, said)
