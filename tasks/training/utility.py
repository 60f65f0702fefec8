"""How good a model is on the test people, told by what it predicts: yes or no, classes, a number.

The one place that decides by the kind of outcome how a model is measured; what may be told of each
is in `quality`, `class_quality` and `number_quality`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from expectations.policy.outcome import Number
from tasks.training.class_quality import (
    ScoredClasses,
    audit_classes,
    note_classes,
    score_classes,
    tell_classes,
)
from tasks.training.fairness import audit
from tasks.training.number_quality import (
    Predicted,
    audit_numbers,
    note_number,
    predict_numbers,
    tell_number,
)
from tasks.training.quality import Scored, count_calls, score, seal_counts, tell_quality
from tasks.training.thresholds import note_thresholds

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from expectations.disclosure import Disclosure
    from expectations.policy.outcome import Outcome
    from expectations.policy.policy import Policy
    from tasks.airlock.run import Desk
    from tasks.training.quality import Weights

    Rows = tuple[pd.DataFrame, pd.Series, Weights | None]

Answers: TypeAlias = Scored | ScoredClasses | Predicted


def ask(pipeline: Pipeline, rows: Rows, outcome: Outcome) -> Answers:
    """Ask a fitted pipeline about people it was not trained on."""
    if isinstance(outcome, Number):
        return predict_numbers(pipeline, rows, outcome)
    if outcome.binary:
        return score(pipeline, *rows, positive=outcome.positive)
    return score_classes(pipeline, rows, outcome.labels)


def note_utility(desk: Desk, answers: Answers) -> None:
    """Note how good the model is overall."""
    match answers:
        case Scored():
            note_quality(desk, answers)
            note_thresholds(desk, answers)
        case ScoredClasses():
            note_classes(desk, answers)
        case Predicted():
            note_number(desk, answers, declared(desk))


def audit_groups(desk: Desk, answers: Answers, tested: pd.DataFrame) -> None:
    """Note how good it is for each group; `tested` holds the same people, row by row."""
    match answers:
        case Scored():
            audit(desk, answers, tested)
        case ScoredClasses():
            audit_classes(desk, answers, tested)
        case Predicted():
            audit_numbers(desk, answers, declared(desk), tested)


def tell_one(answers: Answers, policy: Policy, disclosure: Disclosure) -> tuple[str, float | None]:
    """Give the one figure by which models are compared, as it may be told, and its name."""
    match answers:
        case Scored():
            return "auc", tell_quality(answers, disclosure).auc
        case ScoredClasses():
            return "auc", tell_classes(answers, disclosure).auc
        case Predicted():
            assert isinstance(policy.outcome, Number)
            return "r2", tell_number(answers, policy.outcome, disclosure).r2


def declared(desk: Desk) -> Number:
    """Give the range of the policy's number."""
    outcome = desk.policy.outcome
    assert isinstance(outcome, Number)
    return outcome


def note_quality(desk: Desk, scored: Scored) -> None:
    """Note how good the model is on the test people, as it may be told; exact counts sealed."""
    found = tell_quality(scored, desk.run.disclosure)
    figures = {
        "auc": found.auc, "auc_low": found.auc_low, "auc_high": found.auc_high,
        "accuracy": found.calls.accuracy, "brier": found.brier,
    }  # fmt: skip
    if scored.weights is not None:
        plain = tell_quality(scored._replace(weights=None), desk.run.disclosure)
        figures["auc_unweighted"] = plain.auc
    for name, figure in figures.items():
        desk.measure(f"utility.{name}", None if figure is None else round(figure, 3))
    exact = seal_counts(count_calls(scored))
    desk.note("measure", "utility.base_rate", round(found.calls.base_rate, 3), sealed=exact)
