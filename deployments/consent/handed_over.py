"""Which runs handed over before a change of consent could reach them, for whoever made the change.

Asked in the turn that runs hand over in (`ledgers.consent.turn`): in it, no run is doing so. Who
the people of a run are is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ledgers.evidence import EvidenceLedger


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Runs under way when a command began: which handed over since, and which died doing so."""

    whole: tuple[str, ...] = ()
    in_part: tuple[str, ...] = ()


NOTHING: Final = HandedOver()
"""No run was under way."""


def find_handed_over(evidence: EvidenceLedger, runs: Sequence[str]) -> HandedOver:
    """Tell which of some runs handed over all or, since their process was killed, a part."""
    whole: list[str] = []
    in_part: list[str] = []
    for run in runs:
        entries = evidence.entries(run)
        decided = [entry.name for entry in entries if entry.kind == "decision"][-1:]
        kinds = {entry.kind for entry in entries}
        if decided != ["passed"] or "pending" in kinds:
            continue
        (whole if "mlflow" in kinds else in_part).append(run)
    return HandedOver(tuple(whole), tuple(in_part))
