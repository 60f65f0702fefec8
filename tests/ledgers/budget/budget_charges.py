"""A budget ledger in a home of its own, and short ways to charge people in it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np

from expectations.privacy_loss import Gaussian, Mechanism
from ledgers.budget.ledger import BudgetLedger, Ceiling, Charge
from ledgers.budget.tables import Composition, Records
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys

AT = "2026-03-01T00:00:00+00:00"
DELTA = 1e-5
FIXED, ADAPTIVE = Ceiling(8, DELTA, "fixed"), Ceiling(8, DELTA, "adaptive")
ONE: tuple[Mechanism, ...] = (Gaussian(3.7308757),)
"""What one run draws; at δ = 1e-5 it costs ε = 1."""


def records(*people: int) -> Records:
    """Give the record keys of numbered people: 64 bits without a pattern, as keyed ones are."""
    digests = (hashlib.blake2b(str(n).encode(), digest_size=8).digest() for n in people)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def charge(  # noqa: PLR0917 - as short as a test wants it
    run: str,
    people: Iterable[int],
    mechanisms: tuple[Mechanism, ...] = ONE,
    policy: str = "small",
    composition: Composition = "fixed",
    at: str = AT,
) -> Charge:
    """Write a charge as a run would."""
    purpose = "dpv:ScientificResearch"
    return Charge(run, policy, purpose, at, mechanisms, composition, records(*people))


def open_ledger(root: Path) -> BudgetLedger:
    """Open the ledger of a home; dispose of its engine afterwards."""
    home = Home.open(root)
    return BudgetLedger(open_database(home), Keys.open(home))


def edit(ledger: BudgetLedger, *statements: str) -> None:
    """Change the database as its owner can: past the triggers, with another program."""
    with closing(sqlite3.connect(ledger.keys.home.ledger)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def start_script(ledger: BudgetLedger, script: str, *words: str) -> subprocess.Popen[str]:
    """Run code in another process in which `ledger` is the same one; `words` are its arguments."""
    opening = (
        "import os, pathlib, signal, sys\nfrom tests.ledgers.budget.budget_charges import *\n"
        "ledger = open_ledger(pathlib.Path(sys.argv[1]))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", opening + script, str(ledger.keys.home.root), *words]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
