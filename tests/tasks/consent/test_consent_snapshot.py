"""A consent decision of the past is made again from the ledger alone, and comes out the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.disclosure import Disclosure
from expectations.errors import UsageError
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.vault.digests import digest_in_run
from tasks.consent.events import import_events
from tasks.consent.judgement import Moment
from tasks.consent.meaning import Standing
from tasks.consent.permission import filter_consent
from tasks.consent.snapshot import (
    Snapshot,
    find_history,
    history_body,
    read_moment,
    take_snapshot,
    write_moment,
)
from tasks.consent.standing import decide
from tasks.people.ingestion import read_people, read_roster
from tests.conftest import Folder, Runner, opened, small_policy

OPEN = Disclosure(b"k" * 32, threshold=1)
"""So that small numbers can be told apart here."""


@pytest.fixture
def ledger(home: Home) -> ConsentLedger:
    """The consent ledger of a home in which nothing was run."""
    return ConsentLedger(open_database(home), home, Keys.open(home))


def take_in(ledger: ConsentLedger, folder: Folder, *changes: tuple[str, str]) -> PolicyFile:
    """Write a folder's files and take its events into the ledger; give its policy."""
    path = folder.write(*changes)
    file = PolicyFile(parse_policy(small_policy(*changes)), small_policy(*changes), path)
    import_events(file, ledger, ledger.keys, datetime.now(UTC))
    return file


def snap(
    ledger: ConsentLedger, file: PolicyFile, valid_at: str, known_at: str = "2099-01-01"
) -> Snapshot:
    """Take a snapshot at two days."""
    moment = Moment(*(read_moment(f"{day}T00:00:00+00:00") for day in (valid_at, known_at)))
    return take_snapshot(file.policy, ledger, ledger.keys, OPEN, moment)


def test_a_snapshot_is_as_of_its_moment(ledger: ConsentLedger, folder: Folder) -> None:
    """What began later is not in it; nobody's source is opened for it."""
    folder.say("p05", "withdrawn", "2024-06-01T00:00:00Z")
    file = take_in(ledger, folder)
    for name in ("people.csv", "consent.csv"):
        (folder.path / name).unlink()
    before, after = snap(ledger, file, "2024-05-01"), snap(ledger, file, "2024-07-01")
    assert set(before.standings) == {"permitted"}
    assert set(after.standings) == {"permitted", "withdrawn"}
    assert before.history.digest != after.history.digest
    assert snap(ledger, file, "2023-01-01").standings.keys() == {"permitted"}
    assert snap(ledger, file, "2024-05-01") == before


def test_a_snapshot_knows_what_was_recorded_by_then(ledger: ConsentLedger, folder: Folder) -> None:
    """A withdrawal that was written down late is not known before."""
    for event in folder.events:
        event["recorded_at"] = "2024-01-02T00:00:00Z"
    folder.say("p05", "withdrawn", "2024-02-01T00:00:00Z", recorded_at="2024-09-01T00:00:00Z")
    file = take_in(ledger, folder)
    early = snap(ledger, file, "2024-06-01", "2024-06-01")
    late = snap(ledger, file, "2024-06-01", "2024-10-01")
    assert ("withdrawn" in early.standings, "withdrawn" in late.standings) == (False, True)


def test_a_run_notes_the_history_that_reproduces_its_decision(
    home: Home, folder: Folder, ledger: ConsentLedger
) -> None:
    """Also after later events; by the moment alone too, as none of them claims to be older."""
    assert home.root.is_dir()
    with opened(folder.write()) as run:
        filter_consent(read_roster())
        history = find_history(run.ledger.entries(run.id))
    folder.say("p05", "withdrawn", "2024-06-01T00:00:00Z")
    file = take_in(ledger, folder)
    again = take_snapshot(file.policy, ledger, ledger.keys, OPEN, history.moment, ledger.head())
    assert digest_in_run(run.id, again.history.digest) == history.digest
    now = snap(ledger, file, "2099-01-01")
    assert digest_in_run(run.id, now.history.digest) != history.digest
    assert history_body(history)["link"] == history.link


def test_the_order_and_number_of_imports_leave_no_mark_on_the_digest(
    ledger: ConsentLedger, folder: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The events are a set."""
    for event in folder.events:
        event["recorded_at"] = "2024-01-02T00:00:00Z"
    file = take_in(ledger, folder)
    first = snap(ledger, file, "2024-06-01")
    folder.events.reverse()
    take_in(ledger, folder)
    assert snap(ledger, file, "2024-06-01").history.digest == first.history.digest
    other_home = create_home(tmp_path_factory.mktemp("other") / "home")
    other = ConsentLedger(open_database(other_home), other_home, Keys.open(other_home))
    take_in(other, folder)
    assert snap(other, file, "2024-06-01").history.digest != first.history.digest


def test_a_decision_sees_one_state_of_the_ledger(
    ledger: ConsentLedger, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that arrive while it is made are of the next."""
    file = take_in(ledger, folder)
    roster = read_people(file, ledger.keys.derive("person"))
    scan = ConsentLedger.scan

    def arrive_first(self: ConsentLedger, *, upto: int | None = None) -> object:
        monkeypatch.setattr(ConsentLedger, "scan", scan)
        folder.say("p05", "withdrawn", "2024-06-01T00:00:00Z")
        take_in(ledger, folder)
        return scan(self, upto=upto)

    monkeypatch.setattr(ConsentLedger, "scan", arrive_first)
    standings = [decide(file, roster, ledger, datetime.now(UTC)).standing[5] for _ in range(2)]
    assert standings == [Standing.BY_SELF, Standing.WITHDRAWN]


def test_categories_are_counted_apart(ledger: ConsentLedger, folder: Folder) -> None:
    """Of those who are permitted, how many for each."""
    blank = ("  events:\n", "  on_partial: blank\n  events:\n")
    every = "dpv-pd:Age dpv-pd:Gender dpv-pd:Health"
    for event in folder.events:
        event["categories"] = every
    folder.events[:20] = [event | {"categories": "dpv-pd:Age"} for event in folder.events[:20]]
    found = snap(ledger, take_in(ledger, folder, blank), "2024-06-01")
    numbers = {name: published.about or 0 for name, published in found.categories.items()}
    assert numbers["dpv-pd:Health"] == numbers["dpv-pd:Gender"]
    assert abs(numbers["dpv-pd:Age"] - 478) < 10
    assert abs(numbers["dpv-pd:Health"] - 458) < 10


def test_a_run_that_decided_nothing_has_no_history(folder: Folder, run_direct: Runner) -> None:
    """It says so."""
    path = folder.write()
    (Path(folder.path) / "people.csv").unlink()
    _, error = run_direct(path)
    assert error is not None
    with pytest.raises(UsageError, match="ended before it decided on consent"):
        find_history([])


def test_moments_are_written_and_read_alike() -> None:
    """To the microsecond."""
    for moment in (0, -1, 1_750_000_000_000_001):
        assert read_moment(write_moment(moment)) == moment
