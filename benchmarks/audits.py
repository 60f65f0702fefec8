"""The audit of ε on private trainers that keep their claim, and on the same ones when broken.

Each is broken in its own code, while it goes on claiming the same: half the noise, none at all, or
people who count for more than the clipping allows them, so that the noise is half of what it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from statistics import median
from time import process_time
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.epsilon_audit import EpsilonAudit, judge_audit
from tasks.attack.model import audit_classifier
from tasks.training import private_boosting, private_logistic
from tasks.training.private_boosting import PrivateBoosting
from tasks.training.private_logistic import PrivateLogisticRegression

Numbers = NDArray[np.generic]

EPSILONS = (0.5, 1.0, 3.0, 8.0)
HONEST, UNCLIPPED = "honest", "clip ignored"
NOISE = {HONEST: 1.0, "half the noise": 0.5, "no noise": 0.0, UNCLIPPED: 1.0}
KINDS: dict[str, type[BaseEstimator]] = {
    "private-logistic-regression": PrivateLogisticRegression,
    "private-boosting": PrivateBoosting,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A trainer, how it is broken, the ε that it claims, and how often it is audited."""

    kind: str
    epsilon: float
    fault: str
    audits: int


def audit_trainers(audits: int) -> list[dict[str, float | str]]:
    """Audit every trainer at every ε, whole and broken; one row each."""
    cases = [Case(*case, audits) for case in product(KINDS, EPSILONS, NOISE)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(pool.map(audit_often, cases))


def audit_often(case: Case) -> dict[str, float | str]:
    """Audit one case some times: the shares of verdicts, and medians of what was found."""
    started = process_time()
    with break_trainer(case):
        found = list(audit(case))
    seconds = (process_time() - started) / case.audits
    verdicts = [judge_audit(one, case.epsilon).verdict for one in found]
    return {
        "trainer": case.kind,
        "claims ε": case.epsilon,
        "is": case.fault,
        "audits": case.audits,
        "refused": verdicts.count(CheckVerdict.REFUSED) / case.audits,
        "inconclusive": verdicts.count(CheckVerdict.INCONCLUSIVE) / case.audits,
        "ε at least": round(median(one.lower_epsilon for one in found), 2),
        "detectable noise": round(median(one.detectable_noise for one in found), 2),
        "CPU s": round(seconds, 1),
    }


def audit(case: Case) -> Iterator[EpsilonAudit]:
    """Audit twins of the classifier as a run would."""
    for _ in range(case.audits):
        yield audit_classifier(KINDS[case.kind](epsilon=case.epsilon), case.kind)


def break_trainer(case: Case) -> AbstractContextManager[object]:
    """Put the fault into the trainer's module, for as long as the context lasts."""
    boosting = case.kind == "private-boosting"
    if case.fault == UNCLIPPED:
        return ignore_residual_bound() if boosting else double_gradients()
    module, name = (
        (private_boosting, "add_noise") if boosting else (private_logistic, "add_noise_to_sums")
    )
    true, factor = getattr(module, name), NOISE[case.fault]

    def add(exact: Numbers, deviation: float) -> Numbers:
        return true(exact, deviation * factor) if factor else exact.astype(np.float64)

    return patch.object(module, name, add)


def double_gradients() -> AbstractContextManager[object]:
    """Let gradients be twice as long as the noise was made for."""
    true = private_logistic.sum_gradients

    def sum_long(*given: Numbers) -> Numbers:
        *rest, clip_norm = given
        return true(*rest, 2 * clip_norm)

    return patch.object(private_logistic, "sum_gradients", sum_long)


def ignore_residual_bound() -> AbstractContextManager[object]:
    """Let residuals be as long as they are: up to 1, where the noise was made for a half."""
    grid = private_boosting.GRID
    return patch.object(
        private_boosting, "shorten_residuals", lambda gaps: np.trunc(gaps * grid) / grid
    )
