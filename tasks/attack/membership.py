"""Membership inference: whether a model's holder can tell who was in its training data.

Three attacks score people so that a higher score says "member"; the strongest decides, and every
interval is widened so that those of all attacks hold together at 95 %. Whom they are surest of is
judged apart (`surest`), for an average hides few. They use reference models
of the same kind, through the encoding that the model is served with.

- loss (Yeom et al. 2018, "Privacy Risk in Machine Learning"): the model's confidence alone.
- RMIA (Zarifzadeh, Liu & Shokri 2024, "Low-Cost High-Power Membership Inference Attacks", online):
  the confidence divided by its mean under reference models, half of which saw the person. RMIA
  then ranks that ratio among the ratios of a population; the rank rises with the ratio, so that
  AUC and true-positive rates are those of the ratio itself.
- LiRA (Carlini et al. 2022, "Membership Inference Attacks From First Principles", online): the
  likelihood ratio of the logit of the confidence under two normal distributions, fitted for each
  person to the references that saw them and to those that did not.

Which is the strongest depends on the model: none is known to be best. What was tried on top and
gained nothing on Adult (boosting, 16 references, AUC of RMIA .588): an attack learned on the
references (.585), sharing noise among neighbours (.583), ranks within each label (.585), LiRA with
shrunk variances (.562).

A model can keep most people's secret and not a group's: see `membership_groups`.

A model of a number is as sure of a person as the density of its error says (`Confidence`).

Shares no code with training: it knows a fitted model with `predict_proba`, or `predict` where it
gives a number, and a factory of fresh ones. The attacker knows the outcome, the method of training
and people of the same kind; one who has more (white-box access, planted rows) is not simulated.
"Passed" says that these attacks had the power to see a leak of the limit's size and saw none, not
that no attack works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isinf
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.errors import Refusal, UsageError
from expectations.policy.training import MembershipCheck
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import FEWEST, Confidence, explain_undecided, say_enough
from tasks.attack.membership_groups import AttackedGroups, describe_group, separate_groups
from tasks.attack.reference_models import (
    LEAST_CONFIDENCE,
    Learner,
    People,
    References,
    train_references,
)
from tasks.attack.separation import (
    FEWEST_FALSE,
    Separation,
    TruePositives,
    count_found,
    describe_found,
    separate,
    supports,
)
from tasks.attack.surest import OFFLINE, Surest, find_logit, find_surest, measure_surprise

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tasks.attack.contrast import Records


FEWEST_FOR_LIRA: Final = 8
"""References on each side under which no normal distribution is fitted to a person."""
FEWEST_FOR_OWN_SPREAD: Final = 32
"""References on each side under which all people share one variance (Carlini et al., VI-B)."""
LEAST_SPREAD: Final = 1e-3
"""In log-odds: references that all say the same must not make one person's ratio infinite."""
RATES: Final = (0.1, 0.01, 0.001)
"""False-positive rates at which the share of members found is reported, where it can be."""
FOR_GROUPS: Final = "RMIA"
"""The attack on groups, chosen beforehand: the strongest on most models that were measured."""
REMEDY = "train a private or simpler model, on fewer features or more people"


def score_people(
    confidence: NDArray[np.float64], references: References
) -> dict[str, NDArray[np.float64]]:
    """Score each person by each attack that the number of references allows, by name."""
    scores = {
        "loss": confidence,
        "RMIA": confidence / references.confidence.mean(axis=0),
        OFFLINE: measure_surprise(confidence, references),
    }
    # Each person is in half of the references, so so many are on either side.
    if len(references.inside) // 2 >= FEWEST_FOR_LIRA:
        scores["LiRA"] = score_by_likelihood(confidence, references)
    return scores


def score_by_likelihood(
    confidence: NDArray[np.float64], references: References
) -> NDArray[np.float64]:
    """Give each person's log likelihood ratio of being a member (see LiRA above)."""
    # Of logits a normal distribution is a fair model; confidences pile up near 1.
    seen, logits = find_logit(confidence), find_logit(references.confidence)
    return _log_density(seen, logits, references.inside) - _log_density(
        seen, logits, ~references.inside
    )


def _log_density(
    seen: NDArray[np.float64], logits: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Give the normal log density of what was seen, fitted to each person's chosen references."""
    count = chosen.sum(axis=0)
    mean = np.where(chosen, logits, 0.0).sum(axis=0) / count
    squares = np.where(chosen, (logits - mean) ** 2, 0.0).sum(axis=0)
    if count.min() < FEWEST_FOR_OWN_SPREAD:
        # as large as the mean of all people's: their own would be mostly chance
        squares, count = squares.sum(), count.sum()
    deviation = np.maximum(np.sqrt(squares / count), LEAST_SPREAD)
    density: NDArray[np.float64] = -np.log(deviation) - ((seen - mean) / deviation) ** 2 / 2
    return density


@dataclass(frozen=True, slots=True)
class MembershipAttack:
    """How well each attack told members from non-members, by the attack's name.

    `surest` is about the few whom an attack is surest of, `attacks` about everybody. `found_at`
    holds the best attack's share of members found at each false-positive rate that the non-members
    support; `unreported` says what could not be tried, and why.
    """

    attacks: Mapping[str, Separation]
    members: int
    nonmembers: int
    references: int
    surest: Surest
    found_at: tuple[tuple[str, TruePositives], ...] = ()
    unreported: tuple[str, ...] = ()
    groups: AttackedGroups = field(default_factory=AttackedGroups)
    drawn: bool = False
    """Whether the people were drawn by lot from more."""

    @property
    def strongest(self) -> str:
        """The attack whose interval reaches highest: if it is within a limit, all are."""
        return max(self.attacks, key=lambda name: self.attacks[name].high)

    @property
    def fewest(self) -> int:
        """How many people are on the smaller side."""
        return min(self.members, self.nonmembers)

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

    def tell(self, limit: float) -> tuple[float, float, float]:
        """Give the strongest attack's AUC and its interval as they may be told."""
        return self.attacks[self.strongest].tell(limit)

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
        # Any attack, not the strongest alone: that is chosen by how high its interval reaches.
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


@dataclass(frozen=True, slots=True)
class Lot:
    """Whom of either side the figures of everybody are of; the rest were drawn for their group."""

    members: NDArray[np.bool_]
    nonmembers: NDArray[np.bool_]


def attack_membership(  # noqa: PLR0913  # the model, how it was trained, and on whom
    model: Learner,
    make_model: Callable[[], Learner],
    members: tuple[pd.DataFrame, pd.Series],
    nonmembers: tuple[pd.DataFrame, pd.Series],
    references: int = 16,
    *,
    weights: Weights | None = None,
    audited: Audited | None = None,
    lot: Lot | None = None,
    records: Records | None = None,
) -> MembershipAttack:
    """Attack a fitted model, given the people it was trained on and people it never saw.

    Both are (features, labels); non-members must come from the same population, by a random
    split, or the attack detects the difference of the populations. `make_model` gives a fresh,
    unfitted model of the same kind, which is trained with the people's weights if the model was.
    `references` is even and at least 8. `lot` is given where the people were drawn from more;
    `records` are their own numbers, by which references draw them.
    Raises Refusal when either side has fewer than two people.
    """
    import pandas as pd

    _check_sizes(len(members[0]), len(nonmembers[0]), references)
    people = _join(members, nonmembers, weights, records)
    how = Confidence.of(model, nonmembers)
    confidence = np.maximum(how.read(model, (people.features, people.labels)), LEAST_CONFIDENCE)
    trained = train_references(make_model, people, references, confidence=how)
    scores = score_people(confidence, trained)
    # `_join` put the members first.
    member = np.arange(len(confidence)) < len(members[0])
    groups = AttackedGroups()
    if audited:
        columns = pd.concat([audited.members, audited.nonmembers], ignore_index=True)
        groups = separate_groups(scores[FOR_GROUPS], member, columns, audited.smallest)
    if lot is None:
        return summarize_attacks(scores, member, references, groups)
    common = np.concatenate([lot.members, lot.nonmembers])
    scores = {name: score[common] for name, score in scores.items()}
    return replace(summarize_attacks(scores, member[common], references, groups), drawn=True)


def summarize_attacks(
    scores: Mapping[str, NDArray[np.float64]],
    member: NDArray[np.bool_],
    references: int,
    groups: AttackedGroups | None = None,
) -> MembershipAttack:
    """Turn each attack's scores of all people into AUC, intervals and power."""
    sides = {
        name: (score[member], score[~member]) for name, score in scores.items() if name != OFFLINE
    }
    rates = [rate for rate in RATES if supports(rate, int((~member).sum()))]
    return MembershipAttack(
        attacks={name: separate(*side, len(sides)) for name, side in sides.items()},
        members=int(member.sum()),
        nonmembers=int((~member).sum()),
        references=references,
        surest=find_surest(scores, member),
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
    records: Records | None,
) -> People:
    """Put members first, then non-members, with their weights and numbers if there are any."""
    import pandas as pd

    features = pd.concat([members[0], nonmembers[0]], ignore_index=True)
    labels = pd.concat([members[1], nonmembers[1]], ignore_index=True)
    own = None if records is None else np.concatenate(records)
    if weights is None:
        return People(features, labels, records=own)
    joined = np.concatenate([weights.members, weights.nonmembers])
    return People(features, labels, joined, weights.argument, own)


def judge_membership(found: MembershipAttack, asked: MembershipCheck, outlet: str) -> Check:
    """Compare the strongest attack's success with what the policy allows."""
    verdict, limit = found.verdict(asked.auc_at_most), asked.auc_at_most
    auc, low, high = found.tell(limit)
    measured = f"AUC {auc:.2f} ({low:.2f} to {high:.2f}; {found.strongest})"
    remedy = REMEDY
    if verdict is CheckVerdict.REFUSED and found.auc < limit:
        # Its interval alone is too wide, which narrows with the root of the number of people.
        factor = ((found.high - found.auc) / (limit - found.auc)) ** 2
        remedy = f"{say_enough(factor)}; or {REMEDY}"
    if verdict is CheckVerdict.INCONCLUSIVE:
        remedy = say_enough(((found.detectable - 0.5) / (limit - 0.5)) ** 2)
        measured += explain_undecided(found.low, found.high, limit)
    return Check(
        name="membership inference",
        asked=f"AUC at most {asked.auc_at_most:.2f} (upper end of the 95 % interval)",
        measured="; ".join(
            [measured, *(describe_found(each, found.fewest) for _, each in found.found_at)]
        ),
        verdict=verdict,
        power="; ".join(
            [f"{describe_power(found.detectable)}, {found.references} references{say_drawn(found)}"]
            + ([f"not tried: {', '.join(found.unreported)}"] if found.unreported else [])
        ),
        remedy=remedy,
        outlet=outlet,
    )


def judge_groups(found: MembershipAttack, asked: MembershipCheck, outlet: str) -> Check | None:
    """Compare the worst group's AUC with the same limit; None where there are no groups at all.

    Inconclusive as soon as one group is, and none refused: most policies have groups that are too
    small for an attack to say anything of them.
    """
    groups, limit = found.groups, asked.auc_at_most
    if not (groups.attacked or groups.too_small):
        return None
    worst, verdict = groups.find_worst(limit), groups.verdict(limit)
    measured = describe_group(worst, limit) if worst else "no group was attacked"
    if worst and verdict is CheckVerdict.INCONCLUSIVE:
        found_there = worst.separation
        measured += explain_undecided(found_there.low, found_there.high, limit)
    return Check(
        name="membership inference within groups",
        asked=f"AUC at most {limit:.2f} in each group of an audit column",
        measured=measured,
        verdict=verdict,
        power=describe_group_power(found, limit),
        remedy=REMEDY,
        outlet=outlet,
    )


def describe_power(detectable: float) -> str:
    """Say which AUC the attack would have found."""
    if isinf(detectable):
        return "nothing: too few people for any AUC to be found"
    return f"an AUC of {detectable:.2f} or more would be found with 80 % power"


def say_drawn(found: MembershipAttack) -> str:
    """Say how many people were drawn by lot; a round number on a side that had more."""
    if not found.drawn:
        return ""
    if found.members == found.nonmembers:
        return f", {found.members:,} people on each side drawn by lot"
    most = max(found.members, found.nonmembers)
    side = "trained on" if found.members == most else "not trained on"
    return f", {most:,} of those {side} drawn by lot"


def describe_group_power(found: MembershipAttack, limit: float) -> str:
    """Say how many groups were attacked, how many of them without an answer or left out."""
    groups = found.groups
    unclear = [
        group.separation.detectable
        for group in groups.attacked
        if group.verdict(limit) is CheckVerdict.INCONCLUSIVE
    ]
    words = [f"{len(groups.attacked)} groups attacked"]
    words += [f"{len(unclear)} inconclusive ({_hide(max(unclear))})"] if unclear else []
    words += [f"{groups.too_small} groups too small to be attacked"] if groups.too_small else []
    return "; ".join(words)


def _hide(detectable: float) -> str:
    return (
        "any AUC could go unseen"
        if isinf(detectable)
        else f"an AUC under {detectable:.2f} could go unseen"
    )
