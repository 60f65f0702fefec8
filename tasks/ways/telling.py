"""What is told of ways out, and of those whom a run left out before it refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from expectations.disclosure import Published
from tasks.account.published import Way
from tasks.airlock.run import Desk

MOST_FAILED: Final = 4
"""How many ways that do not hold are told, those nearest to holding."""


def keep_telling(ways: Iterable[Way]) -> tuple[Way, ...]:
    """Give every way that holds or could not be tried, and the first few that do not hold."""
    given = list(ways)
    good = [way for way in given if way.holds is not False]
    return (*good, *[way for way in given if way.holds is False][:MOST_FAILED])


def list_left_out(desk: Desk) -> dict[str, Published]:
    """Give, for each reason for which people were left out so far, their published count."""
    noted = {
        entry.name.removeprefix("people.excluded."): entry.body
        for entry in desk.run.ledger.entries(desk.run.id)
        if entry.kind == "count" and entry.name.startswith("people.excluded.")
    }
    return {
        reason: Published(cast("int | None", body["about"]), desk.run.disclosure.threshold)
        for reason, body in noted.items()
        if isinstance(body, dict)
    }
