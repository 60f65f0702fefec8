"""Announcing runs that ended: the page of all runs, metrics, events, notifications, one by one.

What fails here fails alone: it is told as a sentence, and the run stays what its record says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from expectations.errors import TutelaError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import using_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import locked, owners_alone, write_private
from ledgers.key_ledger import KeyLedger
from tasks.account.findings import Found, read
from tasks.account.overview import RunRow, list_rows
from tasks.airlock.airlock import run_inside
from tasks.lineage.event_file import find_lineage, send_events
from tasks.pages.run_index import render_index
from tasks.watching.events import tell
from tasks.watching.metrics import look_around, render_metrics, write_metrics
from tasks.watching.news import News, list_due_keys, list_news, needs_somebody
from tasks.watching.notifications import Message, notify

INDEX: Final = "index.html"
ENDED: Final = ("passed", "refused", "failed")
"""The verdicts of runs whose lineage is whole."""


@owners_alone()
def announce(
    home: Home, keys: Keys, ended: Collection[str] = (), news: Sequence[News] = ()
) -> list[str]:
    """Tell of runs that ended, by their ids, and of other news; bring page and metrics up to date.

    Gives a sentence for each thing that did not work.
    """
    with using_database(home) as engine:
        return _announce(home, EvidenceLedger(engine, keys), ended, news)


def _announce(
    home: Home, ledger: EvidenceLedger, ended: Collection[str], news: Sequence[News]
) -> list[str]:
    keys = ledger.keys
    rows: list[RunRow] = []
    # One at a time: who listed the runs first must not write last.
    with locked(home.reports):
        failed = [
            *_attempt("the list of runs", lambda: rows.extend(list_rows(ledger)), keys),
            *_attempt(INDEX, lambda: write_index(home, rows), keys),
        ]
        if home.settings.metrics:
            failed += _attempt("metrics", lambda: refresh_metrics(home, ledger, rows), keys)
    if ended:
        failed += _attempt("events", lambda: tell(find_due_keys(ledger)), keys)
    failed += _attempt("events", lambda: tell(news), keys)
    for place, row in enumerate(rows):
        if row.run in ended:
            failed += _announce_run(home, keys, row, rows[:place])
    return failed


def _announce_run(home: Home, keys: Keys, row: RunRow, earlier: Sequence[RunRow]) -> Iterator[str]:
    yield from _attempt("events", lambda: tell([*list_news(row, earlier)]), keys)
    address, lineage = home.settings.lineage, find_lineage(home, row.run)
    if address and row.verdict in ENDED and lineage.is_file():
        yield from _attempt("lineage", lambda: send_events(address, lineage), keys)
    if needs_somebody(row, earlier):
        yield from notify(home, Message.of(row, home), keys.seal_incident)


def _attempt(what: str, work: Callable[[], None], keys: Keys) -> Iterator[str]:
    """Do something in the airlock; give why it did not work, if it did not."""
    try:
        run_inside(what, work, keys.seal_incident)
    except TutelaError as error:
        yield f"{what} could not be brought up to date: {error}"


def find_due_keys(ledger: EvidenceLedger) -> list[News]:
    """Give the keys of tokens that are due to be rotated."""
    history = KeyLedger(ledger.engine, ledger.keys).history()
    return [*list_due_keys(history, datetime.now(UTC))]


def write_index(home: Home, rows: Sequence[RunRow]) -> None:
    """Write the page of all runs into the home."""
    reports = {path.name for path in home.reports.glob("*.html")}
    page = render_index(rows, reports, datetime.now(UTC))
    write_private(home.root / INDEX, page.encode())


def refresh_metrics(home: Home, ledger: EvidenceLedger, rows: Sequence[RunRow]) -> None:
    """Write the metrics to where the settings say."""
    last = {row.policy: row.run for row in rows}
    seconds = {
        (policy, step): took
        for policy, run in last.items()
        for step, took in read(
            dict[str, float], Found(ledger.entries(run)).bodies("duration")
        ).items()
    }
    around = look_around(home.root, home.outbox, seconds)
    text = render_metrics(rows, around, datetime.now(UTC))
    write_metrics(Path(str(home.settings.metrics)), text)
