"""From what the membership attacks found to checks that a report can print."""

from __future__ import annotations

from math import isinf

from expectations.checks import Check
from expectations.training import MembershipCheck
from expectations.vocabulary import CheckVerdict
from tasks.attack.membership import MembershipAttack
from tasks.attack.membership_groups import GroupSeparation
from tasks.attack.separation import TruePositives

REMEDY = "train a private or simpler model, on fewer features or more people"


def judge_membership(found: MembershipAttack, asked: MembershipCheck, outlet: str) -> Check:
    """Compare the strongest attack's success with what the policy allows."""
    several = f" by {found.strongest}, the strongest of {len(found.attacks)} attacks"
    joint = ", jointly over them"
    if len(found.attacks) == 1:
        several = joint = ""
    measured = (
        f"AUC {found.auc:.3f}{several}, 95 % interval {found.low:.3f} to {found.high:.3f}{joint}"
    )
    return Check(
        name="membership inference",
        asked=f"AUC at most {asked.auc_at_most:.2f} at the upper end of its 95 % interval",
        measured="; ".join([measured, *(describe_found(*each) for each in found.found_at)]),
        verdict=CheckVerdict(found.verdict(asked.auc_at_most)),
        power="; ".join(
            [
                f"{found.references} reference models",
                describe_power(found.detectable),
                *(f"not reported: {reason}" for reason in found.unreported),
            ]
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
    worst = groups.worst
    return Check(
        name="membership inference within groups",
        asked=f"no group of an audit column over an AUC of {limit:.2f}",
        measured=describe_group(worst) if worst else "no group was attacked",
        verdict=CheckVerdict(groups.verdict(limit)),
        power=describe_group_power(found, limit),
        remedy=REMEDY,
        outlet=outlet,
    )


def describe_power(detectable: float) -> str:
    """Say which AUC the attack would have found."""
    if isinf(detectable):
        return "with so few people, no AUC would have been detected with 80 % power"
    return f"an AUC of {detectable:.2f} or more would have been detected with 80 % power"


def describe_found(attack: str, found: TruePositives) -> str:
    """Say which share of members an attack finds at a false-positive rate.

    To two digits: with more, it would count those who are found.
    """
    least = "none" if isinf(found.detectable) else f"{found.detectable:.0%} or more"
    return (
        f"{attack} finds {found.found:.0%} of the members at {found.rate:.1%} false positives "
        f"({found.low:.0%} to {found.high:.0%}; detectable: {least})"
    )


def describe_group(worst: GroupSeparation) -> str:
    """Name the worst group and its figures."""
    found = worst.separation
    return (
        f"worst: {worst.column} {worst.group}, AUC {found.auc:.3f}, 95 % interval {found.low:.3f} "
        f"to {found.high:.3f}, jointly over the groups"
    )


def describe_group_power(found: MembershipAttack, limit: float) -> str:
    """Say how many groups were attacked, which of them without an answer, and who was left out."""
    groups = found.groups
    unclear = [
        f"{group.column} {group.group} (detectable: {_word(group.separation.detectable)})"
        for group in groups.attacked
        if group.verdict(limit) == "inconclusive"
    ]
    words = [f"{len(groups.attacked)} groups attacked"]
    words += [f"inconclusive for {', '.join(unclear)}"] if unclear else []
    words += [f"{groups.too_small} groups too small to be attacked"] if groups.too_small else []
    return "; ".join(words)


def _word(detectable: float) -> str:
    return "none" if isinf(detectable) else f"{detectable:.2f}"
