"""What an attack that could not tell does to a run, where the policy does not say.

It refuses where nobody else can vouch for the model. The code of a class of one's own is not known
here, and of a small cohort the attacks could miss a model that holds a tenth of its people. Of
the models that come with the project, on more people, it is reported, but for membership inference.

What attacks cannot tell, a proof may: a promise of differential privacy bounds what any of them
could find. It says enough where what it bounds is within the policy's limits, and the audit found
the noise that the promise rests on. So a private model may be trained on few people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import exp, sqrt
from statistics import NormalDist
from typing import Final

from expectations.checks import Check
from expectations.measures.recognition import find_enough, is_small
from expectations.policy.outcome import Number
from expectations.policy.outlets import DifferentialPrivacy
from expectations.policy.policy import Policy
from expectations.policy.training import MODEL_KINDS, PRIVATE_KINDS, Attacks, find_kind
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.epsilon_audit import separate_epsilon
from tasks.attack.held_people import NAME as SEARCH
from tasks.attack.surest import FEW

AVERAGES: Final = ("membership inference", "memorization")
MEMBERSHIP: Final = (AVERAGES[0], FEW)
AUDIT: Final = "audit of ε"
STRICT: Final = (*AVERAGES, FEW, AUDIT, SEARCH)
"""Checks that refuse by themselves where nobody else vouches for the model.

Not the groups, of which most policies have some that are too small to be attacked, nor the guessing
of features, which sees little of a feature of few labels on any number of people.
"""


EPSILONS: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Promises that are advised, the largest first; under the last a model learns little."""


@dataclass(frozen=True)
class Cohort:
    """What decides over attacks that could not tell."""

    own_code: bool
    small: bool
    proved: bool


def find_cohort(policy: Policy, people: tuple[int, int], checks: Iterable[Check]) -> Cohort:
    """Say whose code the model is, whether its people are few, and whether a proof says enough."""
    assert policy.training is not None
    promises = [outlet.promise for outlet in policy.model_outlets.values() if outlet.promise]
    audited = any(c.name == AUDIT and c.verdict is CheckVerdict.PASSED for c in checks)
    return Cohort(
        own_code=find_kind(policy.training.model) is None,
        small=is_small(*people),
        proved=audited and all(keeps_limits(each, policy) for each in promises),
    )


def keeps_limits(promise: DifferentialPrivacy, policy: Policy) -> bool:
    """Whether what a promise bounds is within the limits of membership inference.

    At (ε, δ) members are found at most e^ε times as often as others, but for δ. The AUC is that of
    the Gaussian noise which is exactly so private (Dong, Roth and Su 2022): that of the audited
    kinds is Gaussian.
    """
    assert policy.attacks is not None
    asked = policy.attacks.membership
    auc = NormalDist().cdf(separate_epsilon(promise.epsilon, promise.delta) / sqrt(2))
    return exp(promise.epsilon) <= asked.found_at_most and auc <= asked.auc_at_most


def find_intolerable(checks: Iterable[Check], asked: Attacks, cohort: Cohort) -> Iterator[Check]:
    """Give the checks that end a run, inconclusive ones where they are not tolerated."""
    for check in checks:
        if check.verdict is not CheckVerdict.INCONCLUSIVE or is_strict(check.name, asked, cohort):
            yield check


def is_strict(name: str, asked: Attacks, cohort: Cohort) -> bool:
    """Whether a check that could not tell refuses: as the policy says, or by default."""
    said = {
        **dict.fromkeys(MEMBERSHIP, asked.membership.when_inconclusive),
        AUDIT: asked.audit.when_inconclusive,
        "memorization": asked.memorization.when_inconclusive,
        "attribute inference": asked.attribute_inference.when_inconclusive,
        SEARCH: asked.search.when_inconclusive,
    }.get(name)
    if said is not None:
        return said == "refuse"
    alone = cohort.own_code or cohort.small
    return not cohort.proved and (name in MEMBERSHIP or (alone and name in STRICT))


def advise(check: Check, policy: Policy, cohort: Cohort) -> Check:
    """Say of a check that could not tell, and refuses, what would be enough."""
    assert policy.attacks is not None
    open_one = check.verdict is CheckVerdict.INCONCLUSIVE
    if not (open_one and is_strict(check.name, policy.attacks, cohort)) or check.name == AUDIT:
        return check
    enough = f", and at least {find_enough(policy.population.test_share):,} in all"
    ways = [check.remedy + enough * (cohort.small and check.name in AVERAGES)]
    if cohort.own_code and not cohort.small and check.name not in MEMBERSHIP:
        ways.append(f"train a model that comes with tutela, such as {MODEL_KINDS[0]}")
    return replace(check, remedy="; or ".join([*ways, *advise_promise(policy)]))


def advise_promise(policy: Policy) -> Iterator[str]:
    """Name the largest promise that would say enough, if the audit finds its noise."""
    for epsilon in EPSILONS:
        promise = DifferentialPrivacy(kind="differential-privacy", epsilon=epsilon, delta=1e-5)
        if keeps_limits(promise, policy):
            number = isinstance(policy.outcome, Number)
            kind = "private-linear-regression" if number else PRIVATE_KINDS[0]
            yield f"train {kind}, with a promise of ε = {epsilon:g}"
            return
