"""A run that is on record, read back by those who tell of it afterwards."""

from __future__ import annotations

from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover.delivery import DecidedRun, decided_run


def read_run(home: Home, keys: Keys, prefix: str) -> DecidedRun:
    """Give the run whose id begins so, its evidence verified.

    Raises `UsageError` where none or several do, and what the ledger raises for a broken chain.
    """
    ledger = EvidenceLedger(open_database(home), keys)
    run_id = ledger.find(prefix)
    ledger.verify(run_id)
    record = next(record for record in ledger.runs() if record.run_id == run_id)
    return decided_run(home, keys, ledger, record)
