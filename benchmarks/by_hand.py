"""What most would write by hand: private gradients and private moments, and a library's regression.

Floating point and numpy's generator, so none keeps its ε as ours do; their quality is what counts.
Each gives weights of rows with a constant 1 appended, of numbers on [-1, 1] or of classes, one
column each.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from expectations.privacy_loss import Gaussian, Mechanism, calibrate

Floats = NDArray[np.float64]

ALONE: Final = """
import json, sys, warnings
import numpy as np
from diffprivlib.models import LinearRegression, LogisticRegression
warnings.simplefilter("ignore")
told = json.loads(sys.argv[1])
held = np.load(told["file"])
if told["range"]:
    model = LinearRegression(epsilon=told["epsilon"], bounds_X=(-1.0, 1.0),
                             bounds_y=tuple(told["range"]))
    given = model.fit(held["rows"], held["outcomes"]).predict(held["test"])
else:
    model = LogisticRegression(epsilon=told["epsilon"], data_norm=told["bound"], max_iter=300)
    given = model.fit(held["rows"], held["outcomes"]).predict_proba(held["test"])
np.save(told["file"] + ".given.npy", given)
"""
"""Run by the interpreter of an environment that has diffprivlib, which scikit-learn 1.9 breaks."""


def descend_by_hand(  # noqa: PLR0913, PLR0917  # one for each thing that is chosen by hand
    rows: Floats, outcomes: Floats, epsilon: float, delta: float, clip: float, rate: float,
    steps: int,
) -> Floats:  # fmt: skip
    """Descend by clipped gradients of all people with Gaussian noise; momentum .9, no average.

    Outcomes are of shape (people,), numbers, or (people, classes), 1 where somebody is of one.
    """
    whole = np.column_stack([rows, np.ones(len(rows))])
    noise = calibrate(_repeat(steps), epsilon, delta)
    draw, weights = np.random.default_rng(), np.zeros((whole.shape[1], *outcomes.shape[1:]))
    velocity, lengths = np.zeros_like(weights), np.linalg.norm(whole, axis=1)
    for _ in range(steps):
        gaps = whole @ weights - outcomes if outcomes.ndim == 1 else _gap(whole @ weights, outcomes)
        size = np.abs(gaps) if gaps.ndim == 1 else np.linalg.norm(gaps, axis=1)
        scale = np.minimum(1, clip / np.maximum(size * lengths, 1e-12))
        summed = ((gaps.T * scale) @ whole).T + draw.normal(0, noise * clip, weights.shape)
        velocity = 0.9 * velocity + summed / len(rows)
        weights = weights - rate * velocity
    return weights


def solve_moments(  # noqa: PLR0913, PLR0917  # as above
    rows: Floats, outcomes: Floats, epsilon: float, delta: float, bound: float, ridge: float
) -> Floats:
    """Regress on second moments of rows, a constant and the outcome, with Gaussian noise at once.

    The ridge is in multiples of the largest eigenvalue that noise alone would show.
    """
    whole = np.column_stack([rows, np.ones(len(rows)), outcomes])
    deviation = calibrate(_repeat(1), epsilon, delta) * (bound**2 + 2)
    noise = np.triu(np.random.default_rng().normal(0, deviation, (whole.shape[1],) * 2))
    moments = whole.T @ whole + noise + np.triu(noise, 1).T
    values, vectors = np.linalg.eigh(moments[:-1, :-1])
    raised = np.maximum(values, 0) + ridge * 2 * math.sqrt(len(moments)) * deviation
    return np.asarray(vectors @ (vectors.T @ moments[:-1, -1] / raised))


def ask_library(  # noqa: PLR0913, PLR0917  # what another interpreter has to be told
    python: str, rows: Floats, outcomes: NDArray[np.generic], test: Floats, epsilon: float,
    bound: float, ends: tuple[float, float] | None,
) -> Floats:  # fmt: skip
    """Give diffprivlib's numbers or probabilities of test rows, by another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "held.npz")
        np.savez(file, rows=rows, outcomes=outcomes, test=test)
        told = json.dumps({"file": file, "epsilon": epsilon, "bound": bound, "range": ends})
        subprocess.run([python, "-c", ALONE, told], check=True, capture_output=True)
        return np.asarray(np.load(f"{file}.given.npy"))


@cache
def _repeat(steps: int) -> Callable[[float], tuple[Mechanism, ...]]:
    """Give what noise makes the draws of; the same function each time, for `calibrate`."""

    def plan(noise: float) -> tuple[Mechanism, ...]:
        return (Gaussian(noise, steps),)

    return plan


def _gap(scores: Floats, outcomes: Floats) -> Floats:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True) - outcomes)
