"""Who calls a private classifier's `fit`, and what that does to its promise.

ε is of one `fit` on rows that are each a function of one person. A step before it that learned from
the people (a scaler's means, selected features), or a search that fits many models and keeps the
best, voids that, and scikit-learn says nothing. So each `fit` looks at who is calling, and warns.
What was done to the rows before a pipeline, or by hand, is not seen.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

CROSS_VALIDATION: Final = "sklearn.model_selection._validation"
"""Where scikit-learn fits the folds of a cross-validation or of a search."""
RECIPE: Final = "docs/training.md has a recipe that keeps it"


class PromiseVoidedWarning(UserWarning):
    """A private model's ε does not cover what its `fit` is part of."""


def warn_of_callers(classifier: BaseEstimator) -> None:
    """Warn of whatever around this call of `fit` makes ε too small a number, all at once."""
    faults = list(dict.fromkeys(find_faults(classifier, sys._getframe(1))))  # noqa: SLF001
    if faults:
        warnings.warn(
            f"{type(classifier).__name__}: its ε = {classifier.epsilon:g} does not hold here: "
            f"{'; '.join(faults)}; {RECIPE}",
            PromiseVoidedWarning,
            stacklevel=3,
        )


def find_faults(classifier: BaseEstimator, frame: FrameType | None) -> Iterator[str]:
    """Say of each caller that is scikit-learn's, from the nearest on, what it does to ε."""
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Pipeline):
            yield from find_learned(caller)
        elif isinstance(caller, BaseEstimator) and caller is not classifier:
            yield (
                f"{type(caller).__name__} fits it as a part of its own training on the same "
                "people, and ε is of one fit alone"
            )
        elif frame.f_globals.get("__name__") == CROSS_VALIDATION:
            yield (
                "cross-validation fits one model for each fold, and a person is in most of them: "
                "their ε add up, and what is chosen by their scores is not covered"
            )
        frame = frame.f_back


def find_learned(pipeline: Pipeline) -> Iterator[str]:
    """Name the steps before the last that learn from the rows that they are fitted on."""
    from sklearn.utils import get_tags

    for name, step in pipeline.steps[:-1]:
        if hasattr(step, "fit") and get_tags(step).requires_fit:
            yield (
                f"the step “{name}” before it ({type(step).__name__}) learns from the same people, "
                "so that one person changes everybody's row"
            )
