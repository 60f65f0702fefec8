"""A feed of consent that stopped arriving refuses the run, whatever its newest event says."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from deployments.request import missing_event_fields
from expectations.errors import Refusal, SourceError
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.consent.deliveries import StaleConsent, find_deliveries, judge_deliveries
from tasks.consent.permission import filter_consent
from tasks.handover.readiness import USED, refuse_withdrawn
from tasks.people.ingestion import read_roster
from tasks.ways.rule_ways import find_delivery_ways
from tests.conftest import BASIS, Folder, opened, small_policy

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
PLACE = "    - location: {kind: csv, path: consent.csv}\n"
assert PLACE in BASIS


def policy(folder: Path, *lines: str, place: str = PLACE) -> PolicyFile:
    """Give the small policy whose events must be fresh, as lying in a folder."""
    change = (PLACE, place + "".join(f"      {line}\n" for line in lines))
    text = small_policy(change)
    return PolicyFile(parse_policy(text), text, folder / "small.yaml")


def age(path: Path, hours: float, now: datetime = NOW) -> None:
    """Let a file have been changed so long before `now`; what it holds may be older or newer."""
    moment = (now - timedelta(hours=hours)).timestamp()
    os.utime(path, (moment, moment))


def judge(file: PolicyFile) -> tuple[CheckVerdict, str]:
    """Judge the one source of a policy as of `NOW`."""
    (check,) = judge_deliveries(find_deliveries(file), NOW)
    return check.verdict, check.measured


@pytest.mark.parametrize(
    ("hours", "verdict", "said"),
    [
        (0, "passed", "the last delivery was under 1 hour ago"),
        (24, "passed", "the last delivery was under 25 hours ago"),
        (24.01, "refused", "the last delivery was over 24 hours ago"),
        (-0.05, "passed", "the last delivery was under 1 hour ago"),
        (-1, "refused", "the last delivery lies in the future, so a clock is wrong"),
    ],
)
def test_a_file_is_as_fresh_as_its_last_change(
    tmp_path: Path, hours: float, verdict: str, said: str
) -> None:
    """It must be within the limit, and not ahead of the clock; no event of it is looked at."""
    (tmp_path / "consent.csv").write_text("")
    age(tmp_path / "consent.csv", hours)
    assert judge(policy(tmp_path, "not_older_than: 24 hours")) == (verdict, said)


def test_of_several_files_the_newest_counts(tmp_path: Path) -> None:
    """A feed that adds a file a day need not touch those of yesterday."""
    for name, hours in (("a", 90), ("b", 3)):
        (tmp_path / f"{name}.parquet").write_bytes(b"")
        age(tmp_path / f"{name}.parquet", hours)
    file = policy(
        tmp_path, "not_older_than: 1 day",
        place="    - location: {kind: parquet, path: '*.parquet'}\n",
    )  # fmt: skip
    assert judge(file) == ("passed", "the last delivery was under 4 hours ago")


SQL = "    - location: {kind: sql, url: 'sqlite:///c.db', table: consents}\n"
LOADS = "delivery: {location: {kind: sql-query, url: 'sqlite:///c.db', query: %s}, column: done}"
WHOLE = "SELECT done FROM loads WHERE whole = 1"


def test_a_table_is_as_fresh_as_its_last_load_on_record(tmp_path: Path) -> None:
    """A load that broke off does not count, and without any the run is refused."""
    with sqlite3.connect(tmp_path / "c.db") as database:
        database.execute("CREATE TABLE loads (done TEXT, whole INTEGER)")
        rows = [("2026-02-28T23:00:00Z", 1), ("2026-03-02T04:00:00Z", 0)]
        database.executemany("INSERT INTO loads VALUES (?, ?)", rows)
    file = policy(tmp_path, "not_older_than: 24 hours", LOADS % WHOLE, place=SQL)
    assert judge(file) == ("refused", "the last delivery was over 30 hours ago")
    with sqlite3.connect(tmp_path / "c.db") as database:
        database.execute("DELETE FROM loads")
    assert judge(file) == ("refused", "no complete delivery is on record")


def test_a_delivery_without_a_zone_or_column_is_no_delivery(tmp_path: Path) -> None:
    """What cannot be read is told as such, without what it says."""
    (tmp_path / "done.csv").write_text("done\n2026-03-02 04:00\n")
    (tmp_path / "consent.csv").write_text("")
    where = "delivery: {location: {kind: csv, path: done.csv}, column: %s}"
    for column, said in (("done", "its `done` is not a time with a zone"), ("sent", "no column")):
        file = policy(tmp_path, "not_older_than: 24 hours", where % column)
        with pytest.raises(SourceError, match=said) as raised:
            find_deliveries(file)
        assert "04:00" not in str(raised.value)
    zoned = policy(tmp_path, "not_older_than: 24 hours", where % "done", "zone: Europe/Vienna")
    assert judge(zoned) == ("passed", "the last delivery was under 3 hours ago")


def test_who_asks_for_no_freshness_is_not_judged(tmp_path: Path) -> None:
    """Policies of before are as they were."""
    assert judge_deliveries(find_deliveries(policy(tmp_path)), NOW) == []


@pytest.fixture
def stale(folder: Folder) -> PolicyFile:
    """Give a policy whose events stopped arriving, the newest of them of an hour ago."""
    folder.say("p00", "given", f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    folder.write()
    age(folder.path / "consent.csv", 30, datetime.now(UTC))
    return policy(folder.path, "not_older_than: 24 hours")


def test_a_feed_that_stopped_refuses_the_run_and_its_withdrawals_count_all_the_same(
    stale: PolicyFile, home: Home
) -> None:
    """The newest event is an hour old, and that says nothing; what did arrive is on record."""
    assert home.root.is_dir()
    stale.path.write_text(stale.text)
    with opened(stale.path) as run:
        with pytest.raises(Refusal, match="the last delivery was over 30 hours ago") as raised:
            filter_consent(read_roster())
        noted = [(e.kind, e.name) for e in run.ledger.entries(run.id)]
        assert run.consent.head().seq > 0
    assert raised.value.check == "fresh consent"
    assert {("check", "fresh consent"), ("ways", "fresh consent")} <= {*noted}


def test_nothing_waiting_is_handed_over_on_stale_consent(stale: PolicyFile, home: Home) -> None:
    """Consent is asked again before a handover, and so is whether it still arrives."""
    ledger = ConsentLedger(open_database(home), home, Keys.open(home))
    with pytest.raises(Refusal, match="fresh consent") as raised:
        refuse_withdrawn(np.empty(0, USED), stale, ledger, None)  # type: ignore[arg-type]
    assert isinstance(raised.value.refused, StaleConsent)
    (found,) = find_delivery_ways(raised.value.refused.checks)
    assert [way.change for way in found.ways] == ["deliver basis.events.0 again"]


def test_check_reads_the_header_of_a_delivery_and_none_of_its_moments(folder: Folder) -> None:
    """A column that is lacking is told before any run; what does not parse is not looked at."""
    folder.write()
    (folder.path / "done.csv").write_text("done\nnever\n")
    where = "delivery: {location: {kind: csv, path: done.csv}, column: %s}"
    found = {
        column: list(
            missing_event_fields(policy(folder.path, "not_older_than: 1 day", where % column))
        )
        for column in ("done", "sent")
    }
    assert found["done"] == []
    (problem,) = found["sent"]
    assert (problem.path, problem.what) == (
        "basis.events.0.delivery.column", "the source has no column `sent`",
    )  # fmt: skip
