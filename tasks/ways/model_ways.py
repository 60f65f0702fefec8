"""The ways out of a refused attack: other plain models, trained and attacked on the same people.

Each is a model that comes with the project, or the policy's own on fewer columns made of many rows,
trained as the run would train it, measured on the test people and attacked fast: the same attacks
with the fewest references that they allow. So that a way holds here makes it likely, and not
certain, that it holds in a run, which attacks in full.

Each such figure is one more look at the people that no ε covers. Of a model that promises nothing
the run publishes the like anyway. Where differential privacy is promised, the promise is what the
recipients and the people were told, and a table of other models measured on exact data would be an
output beside it that nobody was promised: nothing is trained or measured there, and what is said
follows from the accounting alone (`find_private_ways`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.disclosure import Disclosure, roughly
from expectations.errors import Refusal, TutelaError
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict, Use
from ledgers.budget.accounts import History
from tasks.account.published import Way, WaysOut
from tasks.account.subjects import list_names
from tasks.attack.held_people import judge_search
from tasks.attack.membership import (
    attack_membership,
    judge_groups,
    judge_membership,
)
from tasks.attack.model import (
    Aim,
    contrast_others,
    judge_others,
    share_weights,
)
from tasks.attack.model_file import search_rows
from tasks.attack.surest import judge_surest
from tasks.attack.tolerance import find_cohort, find_intolerable
from tasks.training.charge import read_ceiling, round_up
from tasks.training.models import declare_encoding, declare_loss
from tasks.training.train import Rows, fit_model, save_model
from tasks.training.utility import ask, tell_one
from tasks.ways.budget_ways import promise
from tasks.ways.table_changes import end_use, find_faults, list_of_rows
from tasks.ways.telling import keep_telling

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Parameters = Mapping[str, int | float | str | bool]
OTHERS: Final[tuple[tuple[str, Parameters], ...]] = (
    ("logistic-regression", {}),
    ("logistic-regression", {"C": 0.1}),
    ("logistic-regression", {"C": 0.01}),
    ("gradient-boosting", {"max_leaf_nodes": 8, "max_iter": 50}),
    ("gradient-boosting", {"max_leaf_nodes": 4, "max_iter": 25, "min_samples_leaf": 100}),
)
"""Plain models with ever fewer means to hold single people."""
STRONGEST: Final = 2
"""How many columns of one table of many rows are kept, and one fewer, while its others go."""
STEPS: Final = 10
"""Into how many equal steps a number is cut where it is weighed."""
REFERENCES: Final = 8
"""The fewest that the membership attack allows."""
SECONDS: Final = 20.0
"""Of computing, after which no further model is trained."""
MOST_PEOPLE: Final = 50_000
"""Of more, nothing is tried: a model of part of them would be another one."""


@dataclass(frozen=True)
class Attacked:
    """A model that was trained and attacked fast: what is told of it, and what was judged."""

    worth: dict[str, float | None]
    """The one figure of how good it is, by its measure."""
    membership: tuple[float, float, float]
    """The AUC of the attack, and its interval."""
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check that may end a run passed."""
        return all(check.verdict is CheckVerdict.PASSED for check in self.checks)

    @property
    def worst(self) -> str:
        """What the first check that failed came to; else how far the attack's AUC may reach."""
        failed = [check for check in self.checks if check.verdict is not CheckVerdict.PASSED]
        if not failed:
            return f"attack of at most {self.membership[2]:.2f}"
        told = failed[0].measured.partition(";")[0]
        whole = told + ")" * (told.count("(") - told.count(")"))
        return f"{failed[0].name}: {whole}"


def find_model_ways(
    refusal: Refusal, aim: Aim, policy: Policy, disclosure: Disclosure
) -> Iterator[WaysOut]:
    """Try other plain models where the policy's own told too much; nothing for a private one."""
    outlet = next(iter(policy.model_outlets))
    if policy.private:
        yield from find_private_ways(refusal, policy, outlet)
        return
    if len(aim.members.labels) + len(aim.others.labels) > MOST_PEOPLE:
        return
    assert policy.attacks is not None
    started, tried = time.process_time(), list[Way]()
    changes = dict(list_changes(aim, policy))
    untried = list(changes)
    for words, changed in changes.items():
        if time.process_time() - started > SECONDS:
            break
        tried += try_model(aim, changed, words, disclosure)
        untried.remove(words)
    cut = f"; {len(untried)} more were not, after {SECONDS:g} s" if untried else ""
    ways = sorted(tried, key=lambda way: (not way.holds, -(next(iter(way.cost.values())) or 0.0)))
    yield WaysOut(
        refusal.check, outlet,
        "attacks within the policy's limits, membership inference with an AUC of at most "
        f"{policy.attacks.membership.auc_at_most:g}",
        say_reached(refusal),
        f"{say_cured(refusal)}{len(tried)} other models were trained on the same people and "
        f"attacked briefly, with {REFERENCES} references{cut}; a run attacks in full and may find "
        "more",
        tell_worth(aim, policy, disclosure),
        keep_telling(ways),
    )  # fmt: skip


def find_private_ways(refusal: Refusal, policy: Policy, outlet: str) -> Iterator[WaysOut]:
    """Say which smaller ε would draw more noise; what that does to the attack is not measured.

    The accounting is of one model for people who were not used before.
    """
    promised = [one.promise for one in policy.model_outlets.values() if one.promise]
    ways = [
        Way(
            f"promise: epsilon: {epsilon:g}",
            None,
            "unknown: under differential privacy nothing else may be measured",
            {"lifetime_epsilon": round_up(cost_alone(policy, epsilon))},
        )
        for epsilon in (round(promised[0].epsilon / 2, 3), round(promised[0].epsilon / 4, 3))
    ]
    yield WaysOut(
        refusal.check, outlet, "attacks within the policy's limits", say_reached(refusal),
        "More noise reveals less about people. Whether it suffices shows only once it is drawn, "
        "and each draw is charged. The lifetime ε is what one such model costs somebody not used "
        "before", {}, tuple(ways),
    )  # fmt: skip


def cost_alone(policy: Policy, epsilon: float) -> float:
    """Give the lifetime ε of one model of a private policy, promised at another ε."""
    ceiling = read_ceiling(policy)
    history = History.of(
        declare_loss(promise(policy, epsilon)), adaptive=ceiling.composition == "adaptive"
    )
    return history.cost(ceiling)


def say_reached(refusal: Refusal) -> str:
    """Give what the first check came to and which others failed, without what is advised."""
    first, *others = str(refusal).removeprefix(f"{refusal.check}: ").split("\n")
    told = first.partition(", where the policy asks for ")[0].split(": ", 2)[-1]
    names = list_refused("\n".join(others))
    return told + (f"; not passed either: {', '.join(names)}" if names else "")


def list_refused(text: str) -> list[str]:
    """Name the checks that a refusal's lines are about."""
    return [line.split(": ")[1] for line in text.split("\n") if line.count(": ") > 1]


def say_cured(refusal: Refusal) -> str:
    """Say which checks a model that holds passes, where several refused."""
    names = list_refused(str(refusal).removeprefix(f"{refusal.check}: "))
    return f"A yes passes {list_names(names)}. " if len(names) > 1 else ""


def list_changes(aim: Aim, policy: Policy) -> Iterator[tuple[str, Policy]]:
    """Give other models, and then the policy's own on less; only what `check` would take."""
    assert policy.training is not None
    faults = find_faults(policy)
    for kind, parameters in OTHERS:
        training = policy.training.model_copy(
            update={"model": kind, "parameters": dict(parameters)}
        )
        changed = policy.model_copy(update={"training": training})
        if training != policy.training and not find_faults(changed) - faults:
            yield name_model(kind, parameters), changed
    for table, columns in list_of_rows(policy, policy.used_as(Use.FEATURE)).items():
        strongest = rank_features(aim.members, columns)
        for count in range(min(STRONGEST, len(columns) - 1), 0, -1):
            changed = end_use(policy, strongest[count:], Use.FEATURE)
            if not find_faults(changed) - faults:
                yield f"of {table}, train on {', '.join(strongest[:count])} alone", changed


def rank_features(rows: Rows, columns: Iterable[str]) -> list[str]:
    """Sort features by how much of the outcome's variance each explains alone, the most first."""
    import pandas as pd

    words = not pd.api.types.is_numeric_dtype(rows.labels)
    outcome = pd.get_dummies(rows.labels, dtype=float) if words else rows.labels.to_frame()

    def explain(name: str) -> float:
        values = rows.features[name]
        many = pd.api.types.is_float_dtype(values)
        groups = (pd.cut(values, STEPS) if many else values).astype(str).to_numpy()
        return float(outcome.groupby(groups).transform("mean").var(ddof=0).sum())

    return sorted(columns, key=explain, reverse=True)


def try_model(aim: Aim, changed: Policy, words: str, disclosure: Disclosure) -> Iterator[Way]:
    """Train and attack the model of a changed policy; nothing where that is not possible."""
    features = list(changed.used_as(Use.FEATURE))
    members, others = (
        rows._replace(features=rows.features[features]) for rows in (aim.members, aim.others)
    )
    try:
        fitted = fit_model(members, changed)
        narrowed = replace(aim, pipeline=fitted, members=members, others=others)
        found = attack_fast(narrowed, changed, disclosure)
    except TutelaError:
        return
    cost: dict[str, float | None] = {
        **found.worth,
        "membership_auc": round(found.membership[0], 2),
    }
    yield Way(words, found.holds, found.worst, cost)


def name_model(kind: str, parameters: Parameters) -> str:
    """Name a model as the policy would between the braces of `training: {…}`."""
    told = ", ".join(f"{name}: {value}" for name, value in parameters.items())
    return f"model: {kind}" + (f", parameters: {{{told}}}" if told else "")


def tell_worth(aim: Aim, policy: Policy, disclosure: Disclosure) -> dict[str, float | None]:
    """Give how good a model is on people it was not trained on, as it may be told, by measure."""
    name, figure = tell_one(ask(aim.pipeline, aim.others, policy.outcome), policy, disclosure)
    return {name: None if figure is None else round(figure, 3)}


def attack_fast(aim: Aim, policy: Policy, disclosure: Disclosure) -> Attacked:
    """Measure a fitted model, and attack it with few references; judged at the policy's limits."""
    from sklearn.base import clone

    asked, outlet = policy.attacks, next(iter(policy.model_outlets))
    assert asked is not None
    pipeline: Pipeline = aim.pipeline
    found = attack_membership(
        pipeline,
        lambda: clone(pipeline),
        aim.members[:2],
        aim.others[:2],
        REFERENCES,
        weights=share_weights(aim.members, aim.others),
        audited=aim.audited,
        records=aim.records,
    )
    groups = judge_groups(found, asked.membership, outlet)
    labels = declare_encoding(policy).categories
    held = search_rows(save_model(pipeline), pipeline, aim.members, policy, labels)
    checks = [
        judge_membership(found, asked.membership, outlet),
        judge_surest(found.surest, asked.membership, outlet),
        *([groups] if groups else []),
        *judge_others(contrast_others(aim, policy), asked, outlet),
        judge_search(held, roughly, outlet),
    ]
    kept = tuple(find_intolerable(checks, asked, find_cohort(policy, aim.sizes, checks)))
    told = found.tell(asked.membership.auc_at_most)
    return Attacked(tell_worth(aim, policy, disclosure), told, kept)
