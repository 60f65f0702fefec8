"""The people of the examples as plain Python, and who of them may be read."""

from __future__ import annotations

from datetime import datetime

from expectations.locations import ExampleData
from expectations.policy_file import PACKAGED
from tasks.sources import Part, open_source

SOURCE = {"diabetes": "nhanes", "notes": "notes", "registry": "registry"}


def rows(name: str, *columns: str, part: Part = "people") -> list[dict[str, str]]:
    """Read columns of an example policy's data as plain Python."""
    location = ExampleData.model_validate({"kind": "example", "name": SOURCE[name]})
    found: list[dict[str, str]] = open_source(location, PACKAGED, part).read(columns).to_pylist()
    return found


def permitted(name: str) -> set[str]:
    """Say who may be read, from the example's data alone: no code of the product decides."""
    if name == "notes":
        answers = rows("notes", "patient_id", "consent")
        return {row["patient_id"] for row in answers if row["consent"] in {"yes", "Yes"}}
    if name == "registry":
        objected = {row["patient_id"] for row in rows("registry", "patient_id", part="objections")}
        return {row["patient_id"] for row in rows("registry", "patient_id")} - objected
    events = rows("diabetes", "person", "purpose", "status", "at", "expires_at", part="consent")
    latest: dict[str, dict[str, str]] = {}
    for event in sorted(events, key=lambda event: datetime.fromisoformat(event["at"])):
        if event["purpose"] == "dpv:ScientificResearch":
            latest[event["person"]] = event
    # Among the made-up consents that ended, the last end lies in 2025, before any run.
    return {
        person
        for person, event in latest.items()
        if event["status"] in {"given", "renewed"}
        and not (event["expires_at"] or "9999").startswith("2025")
    }
