"""A second machine joins a home by an invitation, and neither accepts less than both have seen.

Needs what `tests.postgres` needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from expectations.errors import HomeError, Refusal, UsageError
from ledgers import invitation
from ledgers.consent.ledger import ConsentLedger
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.invitation import invite, join
from ledgers.signed_heads import SHARED
from tests.ledgers.consent.consent_events import batch, event, token
from tests.postgres import Postgres, closed_connections, server
from tests.runs import say

__all__ = ["closed_connections", "server"]


@dataclass(frozen=True)
class Machine:
    """A home, with its record and its events as this machine reads them."""

    home: Home

    @property
    def evidence(self) -> EvidenceLedger:
        """The record."""
        return EvidenceLedger(open_database(self.home), Keys.open(self.home))

    @property
    def consent(self) -> ConsentLedger:
        """The events."""
        return ConsentLedger(open_database(self.home), self.home, Keys.open(self.home))

    def invite(self) -> tuple[bytes, str]:
        """Make an invitation and its code."""
        return invite(open_database(self.home), self.home, Keys.open(self.home))

    def edit(self, *statements: str) -> None:
        """Change the database as its owner can: with the triggers off."""
        url = sa.make_url(str(self.home.settings.database_url))
        host, name = str(url.query["host"]), url.database
        opened = psycopg.connect(host=host, user="tutela", dbname=name, autocommit=True)
        with contextlib.closing(opened) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]  # our own


@pytest.fixture
def first(server: Postgres, template_home: Path, tmp_path: Path) -> Iterator[Machine]:
    """The machine that was there first."""
    return Machine(server.make_home(template_home, tmp_path / "first"))


@pytest.fixture
def second(first: Machine, tmp_path: Path) -> Machine:
    """One that joined it."""
    return Machine(join(*first.invite(), tmp_path / "second"))


def test_machines_that_share_a_home_read_and_write_one_record(
    first: Machine, second: Machine
) -> None:
    """With the same keys, from the same settings, and each goes on where the other stopped."""
    first.evidence.begin("run-1", "small", {})
    second.evidence.begin("run-2", "small", {})
    first.consent.append(batch([event(1)]), "csv")
    second.consent.append(batch([event(2)]), "csv")
    for machine in (first, second):
        assert [run.run_id for run in machine.evidence.runs()] == ["run-1", "run-2"]
        assert machine.consent.verify().seq == 2


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (("DELETE FROM journal WHERE seq > 2", "DELETE FROM runs"), "lines 3 to 3 of its journal"),
        (
            ("DELETE FROM consent_blocks", "DELETE FROM consent_pages"),
            "events 1 to 1 were signed and are gone",
        ),
    ],
    ids=["record", "events"],
)
def test_what_one_machine_saw_of_the_other_cannot_be_cut_off(
    cut: tuple[str, ...], said: str, first: Machine, second: Machine
) -> None:
    """Though nothing of it stands in its own heads but what came through the database."""
    first.evidence.begin("run-1", "small", {})
    first.consent.append(batch([event(1)]), "csv")
    assert len(second.evidence.runs()) == second.consent.verify().seq == 1
    first.edit(*cut, "DELETE FROM shared_heads")
    looking = second.evidence.runs if "run" in cut[-1] else second.consent.verify
    with pytest.raises(Refusal, match=said):
        looking()


def test_an_erasure_on_one_machine_cannot_be_undone_behind_the_other(
    first: Machine, second: Machine
) -> None:
    """Its number comes through the database, whatever was signed after it."""
    first.consent.append(batch([event(1), event(2)]), "csv")
    first.consent.erase(token(1))
    first.consent.append(batch([event(3)]), "csv")
    second.consent.verify()
    erased = [head.erased for head in second.consent._heads.read() if head.erased]
    second.consent.verify()
    assert erased in ([(1,)], [(2,)])
    assert [head.erased for head in second.consent._heads.read() if head.erased] == erased


def test_a_database_that_goes_on_from_another_history_is_refused(
    first: Machine, second: Machine
) -> None:
    """What the home had seen stands there no more, or as another entry."""
    second.evidence.begin("run-1", "small", {})
    first.evidence.begin("run-2", "small", {})
    seen = "UPDATE journal SET link = repeat('0', 64) WHERE seq = 3"
    first.edit(seen)
    with pytest.raises(Refusal, match="entry 3, which this home has seen, is another one"):
        second.evidence.runs()


def test_a_head_that_nobody_of_the_home_signed_is_refused(first: Machine, second: Machine) -> None:
    """Whoever writes to the database has no key."""
    row = {"signature": "0" * 128, "name": "evidence-heads", "seq": 99, "link": "0" * 64}
    with open_database(first.home).begin() as connection:
        connection.execute(sa.insert(SHARED), {**row, "at": "2026", "erased": "[]"})
    with pytest.raises(Refusal, match="a head in the database was not signed by this home"):
        second.evidence.runs()


def test_a_home_that_lost_its_heads_is_told_none(first: Machine) -> None:
    """It is refused as before: what stands in the database may be what somebody left of it."""
    first.evidence.begin("run-1", "small", {})
    (first.home.root / "evidence-heads.jsonl").unlink()
    with pytest.raises(Refusal, match=r"evidence-heads.jsonl is missing"):
        first.evidence.runs()


def test_an_invitation_is_used_once(first: Machine, tmp_path: Path) -> None:
    """And only with its code; a failed joining leaves nothing."""
    sealed, code = first.invite()
    with pytest.raises(UsageError, match="does not open this file"):
        join(sealed, code[:-1] + ("A" if code[-1] != "A" else "B"), tmp_path / "second")
    join(sealed, code.lower().replace("-", " "), tmp_path / "second")
    with pytest.raises(UsageError, match="was used before"):
        join(sealed, code, tmp_path / "third")
    with pytest.raises(HomeError, match="there is something at"):
        join(*first.invite(), tmp_path / "second")
    assert not (tmp_path / "third").exists()
    assert not list(tmp_path.glob(".*.making"))


def test_an_invitation_is_refused_after_a_day(
    first: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of the database, which both machines have."""
    invited = first.invite()
    monkeypatch.setattr(invitation, "NOW", f"{invitation.NOW} + {invitation.LASTS + 1}")
    with pytest.raises(UsageError, match="older than a day"):
        join(*invited, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_the_commands_carry_a_home_to_another_machine(first: Machine, tmp_path: Path) -> None:
    """The code is said once, beside the answer; no key and no address stands in the file."""
    file, there = tmp_path / "home.invitation", tmp_path / "there"
    invited = say("home", "invite", str(file), "--json", TUTELA_HOME=str(first.home.root))
    assert invited.status == 0, invited.err
    code = invited.err.split()[-1]
    assert code not in invited.out
    content = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (first.home.keys / "root.key").read_bytes() not in content
    assert b"postgresql" not in content
    again = say("home", "invite", str(file), TUTELA_HOME=str(first.home.root))
    assert (again.status, "name a new file" in again.err) == (2, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deployments.home.commands.read_code", lambda: code)
        patch.setattr("deployments.home.screen.prepare", lambda _home: None)
        joined = say("home", "join", str(file), TUTELA_HOME=str(there))
    assert joined.status == 0, joined.err
    assert Machine(Home.open(there)).evidence.runs() == []
