"""What advice on a policy's features comes to, on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.terminal import wrap

if TYPE_CHECKING:
    from tasks.account.published import Advice, Trial

LONGEST_NAME: Final = 16
"""Longer names of features would leave no room for two losses beside them."""


def advice_lines(advice: Advice, patch: Path) -> Iterator[str]:
    """Tell what was tried on whom, what each feature is worth, and where the patch is."""
    yield ""
    yield from wrap(f"Advice   {say_whom(advice)}", hanging="         ")
    yield f"         AUC {advice.auc:.3f} with all {len(advice.path) + 1} features"
    yield "         free: at most .005 is lost, at the upper end of the interval"
    yield ""
    yield from trial_lines(advice)
    yield ""
    yield from patch_lines(advice, patch)


def trial_lines(advice: Advice) -> Iterator[str]:
    """Tell what each feature is worth; a long name has a line of its own."""
    width = min(max(len(trial.column) for trial in advice.trials), LONGEST_NAME)
    yield f"  {'feature':<{width}}  {'AUC lost if dropped':<31}if halved"
    halved = {trial.column: trial for trial in advice.trials if trial.change == "coarsen"}
    for trial in advice.trials:
        if trial.change == "drop":
            coarser = say_loss(halved[trial.column]) if trial.column in halved else ""
            beside = len(trial.column) <= width
            if not beside:
                yield f"  {trial.column}"
            name = trial.column if beside else ""
            yield f"  {name:<{width}}  {say_loss(trial):<31}{coarser}".rstrip()


def say_whom(advice: Advice) -> str:
    """Say whose rows were tried on, and what that cost."""
    if advice.epsilon is None:
        return (
            "tried on folds of the training people; these figures are not private, as no private "
            "model was asked for"
        )
    return (
        f"tried on a made-up twin of the training people, which cost each ε = {advice.epsilon:g}, "
        "charged to the budget for good; all later runs of these people are held by the filter, "
        "since they may depend on this. What follows from the twin costs nothing more"
    )


def say_loss(trial: Trial) -> str:
    """Give a loss with its interval and what it comes to."""
    mean, low, high = (
        f"{value:+.3f}".replace("-", "−").replace("0.", ".")
        for value in (trial.mean, trial.low, trial.high)
    )
    said = {"needed": " needed", "not needed": " free", "cannot tell": ""}
    return f"{mean} ({low} to {high}){said[trial.verdict]}"


def patch_lines(advice: Advice, patch: Path) -> Iterator[str]:
    """Say where the patch is and what it leaves to a person."""
    if advice.patch:
        yield f"Patch    {patch}"
        yield "         look at it, then in the policy's folder: patch -p1 < it"
    else:
        yield "Patch    none: nothing could be left out without measurable loss"
    if advice.by_hand:
        names = ", ".join(advice.by_hand)
        yield from wrap(
            f"By hand  {names}: could go too, but the rest of the policy still needs them",
            hanging="         ",
        )
