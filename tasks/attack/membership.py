"""Membership inference: whether a model's holder can tell who was in its training data.

Several attacks are made (see `membership_scores`), with reference models of the same kind, through
the encoding that the model is served with. The strongest decides, and every interval is widened so
that those of all attacks hold together at 95 %.

Shares no code with training: it knows a fitted model with `predict_proba` and a factory of fresh
ones. The attacker here knows the target label, the method of training and people of the same
kind; one who has more (white-box access, planted rows) is not simulated. "Passed" says that these
attacks had the power to see a leak of the limit's size and saw none, not that no attack works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.errors import Refusal, UsageError
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import FEWEST, read_confidence
from tasks.attack.membership_groups import AttackedGroups, separate_groups
from tasks.attack.membership_scores import FEWEST_FOR_LIRA, score_people
from tasks.attack.reference_models import LEAST_CONFIDENCE, Classifier, People, train_references
from tasks.attack.separation import (
    FEWEST_FALSE,
    Separation,
    TruePositives,
    count_found,
    separate,
    supports,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

RATES: Final = (0.1, 0.01, 0.001)
"""False-positive rates at which the share of members found is reported, where it can be."""
FOR_GROUPS: Final = "RMIA"
"""The attack on groups, chosen beforehand: the strongest on most models that were measured."""


@dataclass(frozen=True, slots=True)
class MembershipAttack:
    """How well each attack told members from non-members, by the attack's name.

    `found_at` holds the best attack's share of members found at each false-positive rate that the
    non-members support; `unreported` says what could not be tried, and why.
    """

    attacks: Mapping[str, Separation]
    members: int
    nonmembers: int
    references: int
    found_at: tuple[tuple[str, TruePositives], ...] = ()
    unreported: tuple[str, ...] = ()
    groups: AttackedGroups = field(default_factory=AttackedGroups)

    @property
    def strongest(self) -> str:
        """The attack whose interval reaches highest: if it is within a limit, all are."""
        return max(self.attacks, key=lambda name: self.attacks[name].high)

    @property
    def auc(self) -> float:
        """The strongest attack's AUC."""
        return self.attacks[self.strongest].auc

    @property
    def low(self) -> float:
        """The lower end of its interval."""
        return self.attacks[self.strongest].low

    @property
    def high(self) -> float:
        """The upper end of its interval."""
        return self.attacks[self.strongest].high

    @property
    def detectable(self) -> float:
        """The smallest AUC that would have been found; the same for each attack."""
        return self.attacks[self.strongest].detectable

    def verdict(self, limit: float) -> CheckVerdict:
        """Judge the attacks against the largest AUC that is allowed; `limit` in (0.5, 1].

        Refused with the whole interval of an attack over it, of 30 people or more on either side:
        there the normal interval holds, and what is certain needs no power. Else power is asked
        for first: without it a low AUC is luck. Passed only when the whole interval of every
        attack is at or under the limit.
        """
        if not 0.5 < limit <= 1:
            raise UsageError(f"membership attack: the limit {limit} is not above 0.5 and up to 1")
        certain = any(one.low > limit for one in self.attacks.values())
        if certain and min(self.members, self.nonmembers) >= FEWEST:
            return CheckVerdict.REFUSED
        if self.detectable > limit:
            return CheckVerdict.INCONCLUSIVE
        return CheckVerdict.PASSED if self.high <= limit else CheckVerdict.REFUSED


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights with which a model was trained: of its members, and as non-members have them.

    `argument` is the name under which `fit` takes them.
    """

    members: NDArray[np.float64]
    nonmembers: NDArray[np.float64]
    argument: str = "sample_weight"


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit columns of members and of non-members, and the smallest cohort to be told of."""

    members: pd.DataFrame
    nonmembers: pd.DataFrame
    smallest: int


def attack_membership(  # noqa: PLR0913  # the model, how it was trained, and on whom
    model: Classifier,
    make_model: Callable[[], Classifier],
    members: tuple[pd.DataFrame, pd.Series],
    nonmembers: tuple[pd.DataFrame, pd.Series],
    references: int = 16,
    *,
    weights: Weights | None = None,
    audited: Audited | None = None,
) -> MembershipAttack:
    """Attack a fitted model, given the people it was trained on and people it never saw.

    Both are (features, labels); non-members must come from the same population, by a random
    split, or the attack detects the difference of the populations. `make_model` gives a fresh,
    unfitted model of the same kind, which is trained with the people's weights if the model was.
    `references` is even and at least 8. Raises Refusal when either side has fewer than two people.
    """
    import pandas as pd

    _check_sizes(len(members[0]), len(nonmembers[0]), references)
    people = _join(members, nonmembers, weights)
    confidence = np.maximum(
        read_confidence(model, (people.features, people.labels)), LEAST_CONFIDENCE
    )
    scores = score_people(confidence, train_references(make_model, people, references))
    member = np.arange(len(confidence)) < len(members[0])
    groups = AttackedGroups()
    if audited:
        columns = pd.concat([audited.members, audited.nonmembers], ignore_index=True)
        groups = separate_groups(scores[FOR_GROUPS], member, columns, audited.smallest)
    return summarize_attacks(scores, member, references, groups)


def summarize_attacks(
    scores: Mapping[str, NDArray[np.float64]],
    member: NDArray[np.bool_],
    references: int,
    groups: AttackedGroups | None = None,
) -> MembershipAttack:
    """Turn each attack's scores of all people into AUC, intervals and power."""
    sides = {name: (score[member], score[~member]) for name, score in scores.items()}
    rates = [rate for rate in RATES if supports(rate, int((~member).sum()))]
    return MembershipAttack(
        attacks={name: separate(*side, len(scores)) for name, side in sides.items()},
        members=int(member.sum()),
        nonmembers=int((~member).sum()),
        references=references,
        found_at=tuple(_find_most(sides, rate, len(rates)) for rate in rates),
        unreported=tuple(_explain_gaps(scores, int((~member).sum()))),
        groups=groups or AttackedGroups(),
    )


def _find_most(
    sides: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], rate: float, rates: int
) -> tuple[str, TruePositives]:
    """Give the attack that finds most members at a rate; its interval is one of all of them."""
    found = {name: count_found(*side, rate, len(sides) * rates) for name, side in sides.items()}
    return max(found.items(), key=lambda item: (item[1].found, item[1].high))


def _explain_gaps(scores: Mapping[str, object], nonmembers: int) -> list[str]:
    """Say which attack and which rates are not reported, and why."""
    reasons = [
        f"{100 * rate:g} % false positives (needs {FEWEST_FALSE / rate:,.0f} others)"
        for rate in RATES
        if not supports(rate, nonmembers)
    ]
    if "LiRA" not in scores:
        reasons.append(f"LiRA (needs {2 * FEWEST_FOR_LIRA} references)")
    return reasons


def _check_sizes(members: int, nonmembers: int, references: int) -> None:
    if references < 8 or references % 2:
        raise UsageError("membership attack: give an even number of references, at least 8")
    if min(members, nonmembers) < 2:
        raise Refusal("membership attack", "needs at least 2 members and 2 non-members")


def _join(
    members: tuple[pd.DataFrame, pd.Series],
    nonmembers: tuple[pd.DataFrame, pd.Series],
    weights: Weights | None,
) -> People:
    """Put members first, then non-members, with their weights if there are any."""
    import pandas as pd

    features = pd.concat([members[0], nonmembers[0]], ignore_index=True)
    labels = pd.concat([members[1], nonmembers[1]], ignore_index=True)
    if weights is None:
        return People(features, labels)
    joined = np.concatenate([weights.members, weights.nonmembers])
    return People(features, labels, joined, weights.argument)
