"""The steps of `tutela advise`: what it costs, what was tried, and what it comes to.

Where the policy counts privacy loss, the trials are made on a twin whose ε is charged to the
budget; what follows from it costs nothing more. Elsewhere they are made on folds of the training
people themselves, and the figures are protected by nothing but that they are few and rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.disclosure import in_steps
from expectations.errors import Refusal, UsageError
from expectations.policy.outcome import Classes
from expectations.policy.policy import Policy
from expectations.privacy_loss import Mechanism
from ledgers.vault.stages import Charged, Permitted, Reached, Recorded, Validated
from tasks.account.advised import AtEpsilon
from tasks.advice.advice import FOLDS, Advice, Codebook, Loss, People, advise, encode_target
from tasks.advice.patch import Patch, write_patch
from tasks.advice.twin import draw_people, measure_twin, plan_noise
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.training.charge import commit, reserve
from tasks.training.models import ModelDeclaration, build_estimator, declare_encoding, declare_model
from tasks.training.train import Rows, split_rows

if TYPE_CHECKING:
    from ledgers.evidence import JSON

REDRAWN: Final = 6
"""How many twins are drawn: one as it was released, the others with as much noise again."""
EPSILONS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
DRAWS: Final = 3
HELD_OUT: Final = 4
"""One row in so many judges the models at each ε."""
SEED: Final = 20261126
"""Of folds and twins, neither of which protects anybody; the noise in a twin has none."""


def plan_advice(desk: Desk) -> tuple[Mechanism, ...]:
    """Say what the advice will draw, from the policy and the ε that was asked for alone."""
    policy, epsilon = desk.policy, desk.run.epsilon
    assert policy.budget is not None
    if epsilon is None:
        raise UsageError("advise: give the ε that it may cost each person, such as --epsilon 1")
    return plan_noise(len(Codebook.of(policy).labels), epsilon, policy.budget.delta)


def measure_epsilons(people: People, book: Codebook, policy: Policy) -> Iterator[AtEpsilon]:
    """Train a private model on three rows of four at each ε, and judge it on the others.

    Gives nothing where either part lacks a class, as in a twin that noise left with few people.
    """
    codes, target = people
    frame, labels = book.decode(codes), np.array(read_words(policy), dtype=object)[target]
    held = np.arange(len(target)) % HELD_OUT == 0
    if any(len(np.unique(target[part])) < 2 for part in (held, ~held)):
        return
    encoding = declare_encoding(policy)
    from sklearn.metrics import roc_auc_score

    for epsilon in EPSILONS:
        found = []
        for _ in range(DRAWS):
            pipeline = build_estimator(declare_private(policy, epsilon), encoding)
            pipeline.fit(frame[~held], labels[~held])
            place = list(pipeline.classes_).index(read_words(policy)[1])
            scores = pipeline.predict_proba(frame[held])[:, place]
            found.append(float(roc_auc_score(target[held], scores)))
        yield AtEpsilon(epsilon, float(np.mean(found)), min(found), max(found))


def declare_private(policy: Policy, epsilon: float) -> ModelDeclaration:
    """Give the policy's own private model at another ε, or the usual one where it has none."""
    declared = declare_model(policy)
    if declared.epsilon is not None:
        return replace(declared, epsilon=epsilon)
    kind = "private-logistic-regression"
    return ModelDeclaration(kind, {"classes": list(read_words(policy))}, epsilon, 1e-5)


def read_words(policy: Policy) -> tuple[str, ...]:
    """Give the two words of the target, the one that is looked for last."""
    outcome = policy.outcome
    assert isinstance(outcome, Classes)
    assert outcome.binary, "no advice is asked for on other targets"
    return outcome.labels


def see_people(desk: Desk, rows: Rows, book: Codebook) -> list[People]:
    """Give the people on whom variants are tried: a twin drawn several times, or themselves."""
    codes, target = (
        book.encode(rows.features),
        encode_target(rows.labels, read_words(desk.policy)[1]),
    )
    draw = np.random.default_rng(SEED)
    if not desk.policy.private:
        order = draw.permutation(len(target))
        return [(codes[order], target[order])]
    twin = measure_twin(codes, target, book, plan_advice(desk))
    return [draw_people(twin if not n else twin.again(draw), draw) for n in range(REDRAWN)]


def note_advice(desk: Desk, found: Advice, curve: list[AtEpsilon], rarer: int) -> None:
    """Note for the report what was tried and the patch that it comes to.

    Figures of a twin follow from what was charged; those of people are told in steps of ten of
    the `rarer` people who have one outcome.
    """

    def tell(figure: float) -> float:
        private = desk.policy.private
        return round(figure if private else in_steps(figure, rarer), 3) + 0.0

    patch = write_patch(desk.run.file, found.drop, found.coarsen)
    trials: list[JSON] = [
        {"column": trial.column, "change": trial.change, **_tell(trial.loss, tell)}
        for trial in found.trials
    ]
    path: list[JSON] = [
        {"columns": one.columns, "dropped": one.dropped, "auc": tell(one.auc)} for one in found.path
    ]
    epsilons: list[JSON] = [
        {
            "epsilon": point.epsilon,
            "auc": tell(point.auc),
            "low": tell(point.low),
            "high": tell(point.high),
        }
        for point in curve
    ]
    body: dict[str, JSON] = {
        "epsilon": desk.run.epsilon,
        "auc": tell(found.auc),
        "trials": trials,
        "path": path,
        "epsilons": epsilons,
        "patch": patch.text,
        "left_in": [
            {"column": name, "why": why} for name, why in find_left_in(found, patch).items()
        ],
    }
    desk.note("advice", "columns", body)


def find_left_in(found: Advice, patch: Patch) -> dict[str, str]:
    """Say why the patch leaves a column as it is that the table of all columns calls free."""
    free = {(trial.column, trial.change) for trial in found.trials
            if trial.loss.verdict == "not needed"}  # fmt: skip
    left = dict(patch.left_in)
    gone, less = ", ".join(found.drop), ", ".join((*found.drop, *found.coarsen))
    for name in dict.fromkeys(trial.column for trial in found.trials):
        if name in found.drop or name in left:
            continue
        if (name, "drop") in free:
            left[name] = (
                f"alone it is free; once {gone} went too, a loss could not be ruled out"
                if gone
                else "it is free, but columns go in the order of what they cost on average, and "
                "the first of them is not"
            )
        elif (name, "coarsen") in free and name not in found.coarsen:
            left[name] = f"halved alone it is free, and not beside the changes to {less}"
    return left


def _tell(loss: Loss, tell: Callable[[float], float]) -> dict[str, JSON]:
    figures: dict[str, JSON] = {name: tell(value) for name, value in asdict(loss).items()}
    return {**figures, "verdict": loss.verdict}


@step("Reserve the budget for advice", gives=Charged)
def reserve_advice(desk: Desk, permitted: Opened[Permitted]) -> Opened[Reached]:
    """Charge people for the twin before any of their columns is read.

    As an adaptive choice, whatever the policy says of its runs: advice is there to be followed,
    and so are its figures at each ε.
    """
    reserve(desk, permitted, plan_advice(desk), "adaptive")
    return permitted


@step("Measure what each column is worth", gives=Recorded)
def weigh_columns(desk: Desk, validated: Opened[Validated]) -> None:
    """Find what the model could do without, and note it with the resulting patch.

    Refuses too few people by their exact number, which no ε covers; so the charge is committed
    before, and whoever tries again pays again.
    """
    if desk.policy.private:
        commit(desk)
    rows, _ = split_rows(validated.frame(), desk.policy)
    if rows.labels.value_counts().min() < FOLDS or rows.labels.nunique() < 2:
        raise Refusal("advice", "too few training people of one class; widen the population")
    book = Codebook.of(desk.policy)
    worlds = see_people(desk, rows, book)
    found = advise(worlds, book)
    curve = list(measure_epsilons(worlds[0], book, desk.policy))
    note_advice(desk, found, curve, int(rows.labels.value_counts().min()))
