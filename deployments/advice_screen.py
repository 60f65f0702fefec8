"""What advice on a policy's features comes to, on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.screen import wrap

if TYPE_CHECKING:
    from tasks.published import Advice, Trial


def advice_lines(advice: Advice, patch: Path) -> Iterator[str]:
    """Tell what was tried on whom, what each feature is worth, and where the patch is."""
    yield ""
    yield from wrap(f"Advice   {say_whom(advice)}", hanging="         ")
    yield f"         AUC {advice.auc:.3f} with all {len(advice.path) + 1} features"
    width = max(len(trial.column) for trial in advice.trials)
    yield "         free: at most .005 is lost, at the upper end of the interval"
    yield ""
    yield f"  {'feature':<{width}}  {'AUC lost if dropped':<31}if halved"
    halved = {trial.column: trial for trial in advice.trials if trial.change == "coarsen"}
    for trial in advice.trials:
        if trial.change == "drop":
            coarser = say_loss(halved[trial.column]) if trial.column in halved else ""
            yield f"  {trial.column:<{width}}  {say_loss(trial):<31}{coarser}".rstrip()
    yield ""
    yield from patch_lines(advice, patch)


def say_whom(advice: Advice) -> str:
    """Say whose rows were tried on, and what that cost."""
    if advice.epsilon is None:
        return (
            "tried on folds of the training people; these figures are not private, as no private "
            "model was asked for"
        )
    return (
        f"tried on a made-up twin of the training people, which cost each ε = {advice.epsilon:g}, "
        "charged to the budget; what follows from it costs nothing more"
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
