"""The command `tutela doctor`: what is typed, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployments.terminal import Answer, JsonOption, tell, wrap

if TYPE_CHECKING:
    from deployments.doctor.examinations import Fault
    from ledgers.evidence import JSON


def doctor(as_json: JsonOption = False) -> None:
    """Examine this home and what it needs; say what to fix and how. Exit 0, or 2 for a fault."""
    tell(diagnose(), as_json=as_json)


def diagnose() -> Answer:
    """Make all examinations, and give what they found."""
    from deployments.doctor.examinations import EXAMINATIONS, Patient, examine
    from expectations.errors import HomeError
    from ledgers.home.home import home_path

    patient = Patient(home_path())
    findings = {title: examine(patient, look) for title, look in EXAMINATIONS.items()}
    faults = [fault for found in findings.values() for fault in found]
    lines = [line for title, found in findings.items() for line in _lines(title, found)]
    told: JSON = {
        title: [{"fault": fault.what, "fix": fault.fix or None} for fault in found]
        for title, found in findings.items()
    }
    refused = None
    if faults:
        number = len(faults)
        refused = HomeError(f"{number} thing{'s' * (number > 1)} to fix in {patient.root}")
    return Answer({"well": not faults, "examinations": told}, lines, (), refused)


def _lines(title: str, found: list[Fault]) -> Iterator[str]:
    if not found:
        yield f"ok   {title}"
    for fault in found:
        yield from wrap(f"FIX  {title}: {fault.what}", "", "     ")
        yield from wrap(fault.fix, "     ")
