"""Which runs handed over before a change of consent could reach them, for whoever made the change.

Asked in the turn that runs hand over in (`ledgers.consent.turn`): in it, no run is doing so. Who
the people of a run are is not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledgers.evidence import OPEN

if TYPE_CHECKING:
    from ledgers.evidence import EvidenceLedger


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Runs that were open when a command began, or since: which handed over, and which half."""

    whole: tuple[str, ...] = ()
    in_part: tuple[str, ...] = ()


NOTHING: Final = HandedOver()
"""No run was under way."""


def list_open(evidence: EvidenceLedger) -> frozenset[str]:
    """Give the runs that may still hand over; ask it before the turn is waited for."""
    return frozenset(run.run_id for run in evidence.runs() if run.verdict in OPEN)


def find_handed_over(
    evidence: EvidenceLedger, were_open: Collection[str], since: str
) -> HandedOver:
    """Say which runs handed over all, or a part; of those open then or now, or begun `since`.

    A part is what a process that was killed, or that MLflow left waiting, may have handed over.
    """
    whole: list[str] = []
    in_part: list[str] = []
    for run in evidence.runs():
        if run.run_id not in were_open and run.verdict not in OPEN and run.started_at < since:
            continue
        entries = evidence.entries(run.run_id)
        decided = [entry.name for entry in entries if entry.kind == "decision"][-1:]
        kinds = {entry.kind for entry in entries}
        if decided == ["passed"] and kinds & {"approved", "release", "mlflow"}:
            (whole if "mlflow" in kinds else in_part).append(run.run_id)
    return HandedOver(tuple(whole), tuple(in_part))
