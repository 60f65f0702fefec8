"""The audit of a private trainer, made once for all runs of all workers that declare it alike.

It trains eighty twins on made-up rows and knows nothing of a run's people, so that a run
whose audit is not what a test is about can be told what another's found. What an audit finds is
tested in `test_epsilon_audit`.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Final

from tasks.attack.epsilon_audit import EpsilonAudit
from tasks.attack.model import audit_classifier
from tests.shared_folder import make_once

if TYPE_CHECKING:
    from pathlib import Path

    from sklearn.base import BaseEstimator

ROWS_ALONE: Final = {"row_bound", "features"}
"""What follows from a policy's columns: of others an audit of the same trainer says as much."""


def audit_once(classifier: BaseEstimator, kind: str) -> EpsilonAudit:
    """Audit a trainer's twins, or give what was found of one with the same declaration."""
    declared = sorted((k, v) for k, v in classifier.get_params().items() if k not in ROWS_ALONE)
    name = hashlib.sha256(f"{kind} {declared}".encode()).hexdigest()[:12]

    def audit(folder: Path) -> None:
        (folder / "audit").write_bytes(pickle.dumps(audit_classifier(classifier, kind)))

    found = pickle.loads((make_once(f"audit-{name}", audit) / "audit").read_bytes())  # noqa: S301 - ours
    assert isinstance(found, EpsilonAudit)
    return found
