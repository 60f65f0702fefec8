"""A consent ledger in a home of its own, and short ways to write events and to read them back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.vocabulary import Article6, Category, ConsentStatus, Purpose
from ledgers.consent.events import BATCH
from ledgers.consent.ledger import Batch, ConsentLedger, RecordedEvent
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tests.ledgers.consent.paged_events import find_changed, lay_out

NOTICE = NoticeTerms("n", 1, "en", (Purpose.SCIENTIFIC_RESEARCH,), (Category.AGE,))
GIVEN = Terms(
    ConsentStatus.GIVEN, Purpose.SCIENTIFIC_RESEARCH, notice=NOTICE, article_6=Article6.CONSENT
)
WITHDRAWN = Terms(ConsentStatus.WITHDRAWN)
TERMS = (GIVEN, WITHDRAWN)
DAY = 86_400_000_000
START = 1_600_000_000_000_000

Value = int | str | None
Event = dict[str, Value]


def event(person: int, **stated: Value) -> Event:
    """Write one event, given and without an end unless something else is stated."""
    plain: Event = dict.fromkeys(BATCH.names)
    who = dict(zip(BATCH.names, token(person), strict=False))
    return plain | who | {"terms": 0, "valid_from": START} | stated


def token(person: int) -> tuple[int, int]:
    """Give the token that `event` writes for a person; the first halves are spread out."""
    return person * 0x9E37_79B9_7F4A_7C15 % 2**64 - 2**63, -person


def batch(events: Iterable[Event]) -> Batch:
    """Put events together for `append`."""
    return Batch(pa.Table.from_pylist(list(events), schema=BATCH), TERMS)


def open_ledger(root: Path) -> ConsentLedger:
    """Open the ledger of a home; dispose of its engine afterwards."""
    home = Home.open(root)
    return ConsentLedger(open_database(home), home, Keys.open(home))


def everything(ledger: ConsentLedger, people: Iterable[int]) -> list[RecordedEvent]:
    """Give the histories of some people, one after the other."""
    return [one for person in people for one in ledger.history(token(person))]


PAGES = "SELECT id, packed, evidence FROM consent_pages"


def edit(ledger: ConsentLedger, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Change the database as its owner can: past the triggers, with another program.

    `consent_events` stands for the events of all pages, a row each; what is changed there is put
    into its page again, whose code stays, since nobody without the key can make another.
    """
    with closing(sqlite3.connect(ledger.home.ledger)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        pages = connection.execute(PAGES).fetchall()
        lay_out(connection, pages)
        for statement in statements:
            connection.execute(statement, parameters)
        for number, page in find_changed(connection, pages):
            connection.execute(
                "UPDATE consent_pages SET low = ?, high = ?, events = ?, evidence = ?, packed = ? "
                "WHERE id = ?",
                (*page, number),
            )
        connection.commit()


def query(ledger: ConsentLedger, text: str, *parameters: object) -> list[tuple[object, ...]]:
    """Read from the database, in which `consent_events` is as for `edit`."""
    with closing(sqlite3.connect(ledger.home.ledger)) as connection:
        lay_out(connection, connection.execute(PAGES).fetchall())
        return connection.execute(text, parameters).fetchall()


def seq_of(ledger: ConsentLedger, person: int) -> int:
    """Give the number of a person's first event."""
    return ledger.history(token(person))[0].seq


def start_script(ledger: ConsentLedger, script: str) -> subprocess.Popen[str]:
    """Run code in another process in which `ledger` is the same one and `root` its home."""
    opening = (
        "import os, pathlib, signal, sys\nfrom tests.ledgers.consent.consent_events import *\n"
        "root = pathlib.Path(sys.argv[1])\nledger = open_ledger(root)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", opening + script, str(ledger.home.root)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
