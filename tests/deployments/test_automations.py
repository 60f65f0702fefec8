"""`tutela automations`: Prefect tells a webhook of tutela's events."""

from __future__ import annotations

from uuid import uuid4

import pytest

from deployments.runs.prefect_automations import WANTED, _write, load
from expectations.errors import UsageError
from ledgers.home.home import Home
from tasks.watching.news import list_news
from tests.overview_rows import make_rows
from tests.runs import Place


def test_what_is_waited_for_is_what_is_told() -> None:
    """Every event of a run that did not pass has an automation, once for each run."""
    waited = {event for wanted in WANTED for event in wanted.events}
    for verdict in ("refused", "failed", "pending"):
        (row,) = make_rows({"verdict": verdict, "check": "fresh consent", "runs_left": 1.0})
        assert {one.name for one in list_news(row, [])} <= waited
    made = _write(WANTED[0], uuid4())
    assert made.trigger.expect == set(WANTED[0].events)
    assert made.trigger.for_each == {"prefect.resource.id"}


@pytest.mark.parametrize("address", ["mailto://a@b", "json://host", "https://", "hook"])
def test_what_is_no_webhook_is_refused(address: str) -> None:
    """The other addresses go into the settings."""
    with pytest.raises(UsageError, match=r"settings\.toml"):
        load(address)


@pytest.mark.nightly
def test_automations_are_made_once_and_changed_afterwards(home: Home) -> None:
    """In the home's own server, which is started for it; the address is not shown."""
    import sqlite3
    from contextlib import closing

    for path in ("one", "two"):
        said = Place(home).tell("automations", f"https://hooks.example/{path}-secret")
        assert (said.status, said.out.splitlines()) == (0, [wanted.name for wanted in WANTED])
    with closing(sqlite3.connect(home.prefect / "prefect.db")) as database:
        assert database.execute("SELECT count(*) FROM automation").fetchone() == (2,)
    assert b"two-secret" not in (home.prefect / "prefect.db").read_bytes()
