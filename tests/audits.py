"""The audit of a private trainer, made once for all runs of a process that declare it alike.

It trains eighty twins on made-up rows and knows nothing of a run's people, so that a run
whose audit is not what a test is about can be told what another's found. What an audit finds is
tested in `test_epsilon_audit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tasks.attack.epsilon_audit import EpsilonAudit
from tasks.attack.model import audit_classifier

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

ROWS_ALONE: Final = {"row_bound", "features"}
"""What follows from a policy's columns: of others an audit of the same trainer says as much."""

_made: dict[str, EpsilonAudit] = {}


def audit_once(classifier: BaseEstimator, kind: str) -> EpsilonAudit:
    """Audit a trainer's twins, or give what was found of one with the same declaration."""
    declared = sorted((k, v) for k, v in classifier.get_params().items() if k not in ROWS_ALONE)
    key = f"{kind} {declared}"
    if key not in _made:
        _made[key] = audit_classifier(classifier, kind)
    return _made[key]
