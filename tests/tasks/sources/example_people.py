"""The people of the examples as plain Python, and who of them may be read.

Nothing here is decided by the product: standings are found by a loop over one person's events.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from functools import cache

from tasks.sources import Part
from tasks.sources.examples import open_example

SOURCE = {
    "diabetes": "nhanes", "notes": "notes", "pressure": "nhanes", "prevalence": "nhanes",
    "readmission": "hospital", "registry": "registry",
}  # fmt: skip
CATEGORIES = (
    *("dpv-pd:Age", "dpv-pd:Behavioral", "dpv-pd:EthnicOrigin", "dpv-pd:Gender", "dpv-pd:Health"),
)
"""What the two policies over the survey read, and its notice enumerates."""
ALL_TOLD = datetime(2026, 1, 1, tzinfo=UTC)
"""After the last event, and after it was recorded."""
RESEARCH = "dpv:ScientificResearch"
GIFTS = {"given", "renewed"}
SILENT = {"requested", "deferred"}
RIGHTS = {"objected": "objection-ended", "restricted": "restriction-ended"}

Event = dict[str, str | None]


def rows(name: str, *columns: str, part: Part = "people") -> list[dict[str, str]]:
    """Read columns of an example policy's data as plain Python; all if none is named."""
    source = open_example(SOURCE.get(name, name), part)
    found: list[dict[str, str]] = source.read(columns or source.columns()).to_pylist()
    return found


def permitted(name: str) -> set[str]:
    """Say who may be read, from the example's data alone: no code of the product decides."""
    if name == "notes":
        answers = rows("notes", "patient_id", "consent")
        return {row["patient_id"] for row in answers if row["consent"] in {"yes", "Yes"}}
    if name == "registry":
        objected = {row["patient_id"] for row in rows("registry", "patient_id", part="objections")}
        return {row["patient_id"] for row in rows("registry", "patient_id")} - objected
    if name == "readmission":
        read = ("dpv-pd:Age", "dpv-pd:Behavioral", "dpv-pd:Gender", "dpv-pd:Health")
        found = standings(categories=read, data="hospital")
        return {person for person, why in found.items() if why == "permitted"}
    return consenting()


def consenting(at: datetime = ALL_TOLD, data: str = "nhanes") -> set[str]:
    """Name the survey's people whose consent to research is valid and whole at a moment."""
    return {person for person, why in standings(at, data=data).items() if why == "permitted"}


def standings(
    at: datetime = ALL_TOLD,
    known: datetime | None = None,
    purpose: str = RESEARCH,
    categories: tuple[str, ...] = CATEGORIES,
    data: str = "nhanes",
) -> dict[str, str]:
    """Say of each person with events how they stand at a moment, as known at another."""
    known = known or at
    return {
        person: stand([e for e in events if moment(e["recorded_at"]) <= known], categories)
        for person, events in histories(data, purpose, at).items()
    }


@cache
def histories(data: str, purpose: str, until: datetime) -> dict[str, list[Event]]:
    """Give each person's events for a purpose up to a moment, the earliest first."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for event in sorted(rows(data, part="consent"), key=lambda event: moment(event["at"])):
        if event["purpose"] == purpose and moment(event["at"]) <= until:
            found[event["person"]].append({**event, "now": until.isoformat()})
    return dict(found)


def stand(events: list[Event], categories: tuple[str, ...]) -> str:
    """Say how one person stands by their events for one purpose, the earliest first."""
    said = {answer(events, category) for category in categories}
    gift = max((n for n, event in enumerate(events) if event["status"] in GIFTS), default=-1)
    for begun, ended in RIGHTS.items():
        last = max((n for n, e in enumerate(events) if e["status"] in {begun, ended}), default=-1)
        if last > gift and events[last]["status"] == begun:
            return begun
    if len(said) == 1:
        return said.pop()
    return "only in part" if "permitted" in said else min(said)


def answer(events: list[Event], category: str) -> str:
    """Say what the last event that answers on a category comes to."""
    found = "never asked"
    for event in events:
        status, end = str(event["status"]), event["expires_at"]
        if category not in (event["categories"] or category):
            continue
        if status in GIFTS:
            found = "permitted" if not end or moment(end) > moment(event["now"]) else "expired"
        elif status in SILENT:
            found = "no answer" if found == "never asked" else found
        elif status not in {*RIGHTS, *RIGHTS.values()}:
            found = status
    return found


def moment(text: str | None) -> datetime:
    """Read a time with its zone."""
    return datetime.fromisoformat(str(text))
