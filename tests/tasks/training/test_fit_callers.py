"""A private model says so where what surrounds its `fit` voids its promise."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags

from expectations.policy_file import read_policy
from tasks.training.fit_callers import PromiseVoidedWarning
from tasks.training.models import build_estimator, declare_encoding, declare_model
from tasks.training.private_boosting import PrivateBoosting
from tasks.training.private_logistic import PrivateLogisticRegression

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tasks.training.private_classifier import PrivateClassifier

ROWS = np.random.default_rng(5).uniform(size=(600, 2))
ANSWERS = (ROWS[:, 0] > 0.5).astype(int)
LOGISTIC = PrivateLogisticRegression(epsilon=1.0, delta=1e-6, steps=3)


def clip(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put rows into public bounds."""
    return np.clip(rows, 0, 1)


@pytest.mark.parametrize(
    "model",
    [LOGISTIC, PrivateBoosting(epsilon=1.0, delta=1e-6, edges=(-9.0, 0.0, 9.0), rounds=3)],
)
def test_a_step_before_it_that_learns_is_warned_of(model: PrivateClassifier) -> None:
    """By its name; in cross-validation too, where folds are besides."""
    learned = make_pipeline(StandardScaler(), model)
    with pytest.warns(PromiseVoidedWarning, match="step “standardscaler” before it.*one person"):
        learned.fit(ROWS, ANSWERS)
    with pytest.warns(PromiseVoidedWarning, match="standardscaler.*cross-validation fits one"):
        cross_val_score(learned, ROWS, ANSWERS, cv=2)


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        pytest.param(
            lambda: GridSearchCV(LOGISTIC, {"steps": [2, 3]}, cv=2).fit(ROWS, ANSWERS),
            "GridSearchCV fits it",
            id="search",
        ),
        pytest.param(
            lambda: CalibratedClassifierCV(LOGISTIC, cv=2, n_jobs=1).fit(ROWS, ANSWERS),
            "CalibratedClassifierCV fits it",
            id="calibration",
        ),
        pytest.param(
            lambda: cross_val_score(LOGISTIC, ROWS, ANSWERS, cv=2), "for each fold", id="folds"
        ),
    ],
)
def test_whoever_fits_it_more_than_once_is_warned_of(fit: Callable[[], object], said: str) -> None:
    """ε is of one fit alone."""
    with pytest.warns(PromiseVoidedWarning, match=said):
        fit()


def test_alone_and_behind_what_learns_nothing_there_is_no_warning() -> None:
    """So also in the pipeline of a policy."""
    policy = read_policy("diabetes").policy
    ours = build_estimator(declare_model(policy), declare_encoding(policy))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LOGISTIC.fit(ROWS, ANSWERS)
        make_pipeline(FunctionTransformer(clip), LOGISTIC).fit(ROWS, ANSWERS)

    assert not any(get_tags(step).requires_fit for _, step in ours.steps[:-1])
