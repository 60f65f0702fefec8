"""The attacks that a model must withstand before it leaves, carried out on the run's own people."""

from __future__ import annotations

from math import isinf

from expectations.checks import Check, refuse_failed
from expectations.training import MembershipCheck
from expectations.vocabulary import CheckVerdict
from ledgers.stages import Attacked, Reached, Trainable, Trained
from tasks.attack.membership import MembershipAttack, Weights, attack_membership
from tasks.run import Desk
from tasks.step import Opened, step
from tasks.training.models import WEIGHT_ARGUMENT
from tasks.training.train import Rows, load_model, split_rows


def judge_membership(found: MembershipAttack, asked: MembershipCheck, outlet: str) -> Check:
    """Compare an attack's success with what the policy allows."""
    return Check(
        name="membership inference",
        asked=f"AUC at most {asked.auc_at_most:.2f} at the upper end of its 95 % interval",
        measured=f"AUC {found.auc:.3f}, 95 % interval {found.low:.3f} to {found.high:.3f}",
        verdict=CheckVerdict(found.verdict(asked.auc_at_most)),
        power=f"{found.references} reference models; {describe_power(found.detectable)}",
        remedy="train a private or simpler model, on fewer features or more people",
        outlet=outlet,
    )


def describe_power(detectable: float) -> str:
    """Say which AUC the attack would have found."""
    if isinf(detectable):
        return "with so few people, no AUC would have been detected with 80 % power"
    return f"an AUC of {detectable:.3f} or more would have been detected with 80 % power"


def share_weights(members: Rows, others: Rows) -> Weights | None:
    """Give the weights that the attacker knows: those of the training, where there are any."""
    if members.weights is None or others.weights is None:
        return None
    return Weights(members.weights, others.weights, WEIGHT_ARGUMENT)


@step("Attack the model", gives=Attacked)
def attack(desk: Desk, model: Opened[Trained], data: Opened[Trainable]) -> Opened[Reached]:
    """Try to tell who was trained on; a model that tells too much goes no further."""
    from sklearn.base import clone

    policy = desk.policy
    assert policy.attacks is not None
    asked = policy.attacks.membership
    pipeline = load_model(model.content())
    members, others = split_rows(data.frame(), policy)
    found = attack_membership(
        pipeline,
        lambda: clone(pipeline),
        (members.features, members.labels),
        (others.features, others.labels),
        asked.references,
        weights=share_weights(members, others),
    )
    for name in ("auc", "low", "high", "detectable"):
        suffix = "" if name == "auc" else f"_{name}"
        value = getattr(found, name)
        # Not with all its digits: they would tell how many people were compared.
        desk.measure(f"privacy.membership_auc{suffix}", None if isinf(value) else round(value, 3))
    checks = [judge_membership(found, asked, outlet) for outlet in policy.model_outlets]
    for check in checks:
        desk.check(check)
    tolerated = asked.when_inconclusive == "report"
    refuse_failed(c for c in checks if not (tolerated and c.verdict is CheckVerdict.INCONCLUSIVE))
    return model
