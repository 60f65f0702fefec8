"""The published form of how good a model is: of a yes or no, of several classes, of a number.

Part of `published`, and so of the version of that form.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.account.part import Part


@dataclass(frozen=True, slots=True)
class AtThreshold(Part):
    """The shares of each class called positive above a predicted risk, with 95 % intervals."""

    threshold: float
    true_positive_rate: float
    true_positive_low: float
    true_positive_high: float
    false_positive_rate: float
    false_positive_low: float
    false_positive_high: float


@dataclass(frozen=True, slots=True)
class Calibration(Part):
    """People with a predicted risk above `low`, up to `high`: how many have the outcome (95 %)."""

    low: float
    high: float
    share: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True, slots=True)
class Confusion(Part):
    """The share of the people of a class whom the model takes for another one."""

    label: str
    share: float


@dataclass(frozen=True, slots=True)
class ClassQuality(Part):
    """One class of several, against the rest; see `class_quality.py` of training."""

    label: str
    people: str
    share: float
    """Of all test people."""
    predicted: float
    """The mean probability that the model gave it."""
    found: float
    """The share of its people whom the model calls so."""
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    confused: tuple[Confusion, ...] = ()
    """The other classes of which it may be told; never all of them."""


@dataclass(frozen=True, slots=True)
class Quality(Part):
    """How good the model is on the test people; see `quality.py`, `thresholds.py` of training.

    Of several classes the AUC is the mean of each against the rest.
    """

    auc: float
    auc_low: float | None
    auc_high: float | None
    accuracy: float | None
    brier: float | None
    base_rate: float | None
    auc_unweighted: float | None
    """Where people are weighted, and so are the other figures; else None."""
    thresholds: tuple[AtThreshold, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    log_loss: float | None = None
    """Of several classes, and so is the rest; the mean of -ln of the own class's probability."""
    classes: tuple[ClassQuality, ...] = ()
    few: tuple[str, ...] = ()
    """The classes of too few test people to be told of, which are in no average over classes."""


@dataclass(frozen=True, slots=True)
class Difference(Part):
    """The largest difference between two shown groups; see `tasks/training/fairness.py`.

    In shares, or of a number's errors in its unit.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Within(Part):
    """The share of people of whom the model's number is off by so much at most (95 %)."""

    error: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PredictedRange(Part):
    """People of whom a number between two public ones is predicted, and how far off it is.

    `bias` is by how much the prediction is too high on average, with its 95 % interval.
    """

    low: float
    high: float
    share: float
    predicted: float
    bias: float
    bias_low: float
    bias_high: float


@dataclass(frozen=True, slots=True)
class GroupErrors(Part):
    """One group of an audit: by how much predictions are too high on average, and off (95 %)."""

    group: str
    people: str
    bias: float
    bias_low: float
    bias_high: float
    error: float
    error_low: float
    error_high: float


@dataclass(frozen=True, slots=True)
class NumberAudit(Part):
    """The errors in each group of one column, and how far apart the groups are."""

    column: str
    groups: tuple[GroupErrors, ...]
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberQuality(Part):
    """How good a model of a number is on the test people; see `number_quality.py` of training."""

    range_low: float
    range_high: float
    """The declared range, in whose unit all errors are."""
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    mae: float
    mae_low: float
    mae_high: float
    rmse: float
    error_at_most: float
    """What a single error counts at most, where fewer than ten people are farther off."""
    within: tuple[Within, ...] = ()
    ranges: tuple[PredictedRange, ...] = ()
    audits: tuple[NumberAudit, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupQuality(Part):
    """One group of an audit; figures by outcome are None where one outcome is too rare in it."""

    group: str
    auc: float | None
    selection_rate: float | None
    people: str = ""
    auc_low: float | None = None
    auc_high: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None
    accuracy: float | None = None
    """Of several classes, where the other figures are None."""


@dataclass(frozen=True, slots=True)
class Audit(Part):
    """The model's quality for each group of one column, and how far apart the groups are."""

    column: str
    groups: tuple[GroupQuality, ...]
    differences: tuple[Difference, ...] = ()
