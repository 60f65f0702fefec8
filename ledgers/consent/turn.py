"""The turn of one who asks for consent the last time and hands over, or of one who changes it.

What is recorded before a run's turn, the run sees; what is recorded after it comes too late for
what that run handed over, and whoever records it can say so. A turn ends with its process, however
that ends. It holds for all who write by hand or hand over; a run that takes in events from its
sources on the way needs none, for it promises nobody anything about other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from expectations.errors import ServiceError
from ledgers.home.private_files import locked

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger

PATIENCE: Final = 1.0
"""Seconds until somebody who waits is told so."""
NUMBER: Final = 7846107
"""Postgres's number of the lock, which no other lock has; the others lock single transactions."""


@contextmanager
def turn(ledger: ConsentLedger, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait for the turn and hold it; `waiting` is called where that takes longer than a second.

    Not to be taken twice by one process at a time: it would wait for itself.
    """
    told = Timer(PATIENCE, waiting)
    told.daemon = True
    with ExitStack() as held:
        told.start()
        try:
            held.enter_context(locked(ledger.home.releases))
            if ledger.engine.dialect.name == "postgresql":
                held.enter_context(_locked_database(ledger.engine))
        finally:
            told.cancel()
        yield


@contextmanager
def _locked_database(engine: sa.Engine) -> Iterator[None]:
    """Hold a lock that the homes of several machines share, on a connection of its own."""
    # Without a transaction, which would keep dead rows from being removed meanwhile.
    apart = sa.create_engine(engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    try:
        connection = apart.connect()
        connection.execute(sa.text(f"SELECT pg_advisory_lock({NUMBER})"))
    except sa.exc.SQLAlchemyError as error:
        raise ServiceError(
            f"the ledger database failed with {type(error).__name__}: is its server away? Nothing "
            "was written; run again"
        ) from None
    try:
        yield
    finally:
        # Said, for a server learns late that a session ended.
        with suppress(sa.exc.SQLAlchemyError):
            connection.execute(sa.text(f"SELECT pg_advisory_unlock({NUMBER})"))
        connection.close()
