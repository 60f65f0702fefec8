"""How a step that refuses leaves ways out on record, before its refusal leaves it.

What is noted is an output of the run like every other measure: under the disclosure rule, and
covered by no ε. So nothing is measured here of which the run would not publish the like anyway
(see `table_ways` and `model_ways`). A way that could not be measured is left out, or stands
without figures; that there is none does not mean that none exists.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Final, TypeAlias, cast

from expectations.disclosure import Published
from expectations.errors import Refusal
from tasks.airlock import attempt
from tasks.published_ways import Way, WaysOut
from tasks.run import Desk
from tasks.vouching import is_vouched

Find: TypeAlias = Callable[[Refusal], Iterable[WaysOut]]
MOST_FAILED: Final = 4
"""How many ways that do not hold are told, those nearest to holding."""


@contextlib.contextmanager
def teaching(desk: Desk, find: Find) -> Iterator[None]:
    """Note the ways out of a refusal that leaves the block; the refusal leaves it as it was.

    Whatever goes wrong in finding them leaves the refusal without further ways. Of a refusal in
    which own code had a part nothing is noted, since its text may be a person's.
    """
    try:
        yield
    except Refusal as refusal:
        if is_vouched(refusal):
            kept = refusal
            attempt(lambda: note_all(desk, find(kept)), desk.run.keys.seal_incident)
        raise


def note_all(desk: Desk, ways: Iterable[WaysOut]) -> None:
    """Note ways as they are found, so that those before an error stay."""
    for found in ways:
        note_ways(desk, found)


def note_ways(desk: Desk, found: WaysOut) -> None:
    """Note one refusal's ways, if there are any, under its check and outlet."""
    if found.ways:
        name = ": ".join(filter(None, (found.check, found.outlet)))
        desk.note("ways", name, {**asdict(found), "ways": [asdict(way) for way in found.ways]})


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
