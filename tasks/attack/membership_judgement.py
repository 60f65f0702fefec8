"""From what the membership attacks found to checks that a report can print."""

from __future__ import annotations

from math import isinf

from expectations.checks import Check
from expectations.policy.training import MembershipCheck
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.membership import MembershipAttack
from tasks.attack.membership_groups import GroupSeparation
from tasks.attack.separation import TruePositives

REMEDY = "train a private or simpler model, on fewer features or more people"


def judge_membership(found: MembershipAttack, asked: MembershipCheck, outlet: str) -> Check:
    """Compare the strongest attack's success with what the policy allows."""
    measured = f"AUC {found.auc:.3f} ({found.low:.3f} to {found.high:.3f}; {found.strongest})"
    return Check(
        name="membership inference",
        asked=f"AUC at most {asked.auc_at_most:.2f} (upper end of the 95 % interval)",
        measured="; ".join([measured, *(describe_found(each) for _, each in found.found_at)]),
        verdict=found.verdict(asked.auc_at_most),
        power="; ".join(
            [f"{describe_power(found.detectable)}, {found.references} references"]
            + ([f"not tried: {', '.join(found.unreported)}"] if found.unreported else [])
        ),
        remedy=REMEDY,
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
    worst = groups.find_worst(limit)
    return Check(
        name="membership inference within groups",
        asked=f"no group of an audit column over an AUC of {limit:.2f}",
        measured=describe_group(worst) if worst else "no group was attacked",
        verdict=groups.verdict(limit),
        power=describe_group_power(found, limit),
        remedy=REMEDY,
        outlet=outlet,
    )


def describe_power(detectable: float) -> str:
    """Say which AUC the attack would have found."""
    if isinf(detectable):
        return "no AUC would be found among so few people"
    return f"an AUC of {detectable:.2f} or more would be found with 80 % power"


def describe_found(found: TruePositives) -> str:
    """Say which share of members is found at a false-positive rate.

    To two digits: with more, it would count those who are found.
    """
    return (
        f"finds {100 * found.found:.0f} % of the members at {100 * found.rate:g} % false positives"
    )


def describe_group(worst: GroupSeparation) -> str:
    """Name the worst group and its figures, to two digits: of few people more would count them."""
    found = worst.separation
    return (
        f"worst: {worst.column} {worst.group}, AUC {found.auc:.2f} "
        f"({found.low:.2f} to {found.high:.2f})"
    )


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
        "any AUC could hide" if isinf(detectable) else f"an AUC under {detectable:.2f} could hide"
    )
