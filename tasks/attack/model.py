"""The attacks that a model must withstand before it leaves, carried out on the run's own people.

The step that wires the attacks to the training: it alone reads the split of the people, the saved
model and the policy's declarations there, and passes the attacks plain frames and classifiers.
The audit of ε needs no people: twins of the policy's classifier are trained on made-up rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, isinf, sqrt
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np
import pandas as pd

from expectations.checks import Check, refuse_failed
from expectations.errors import carrying
from expectations.policy.policy import Policy
from expectations.policy.training import Attacks, PrivateKind, find_private_kind
from expectations.policy.vocabulary import Use
from ledgers.vault.stages import Attacked, Reached, Trainable, Trained
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.attack.attribute_inference import MOST_LABELS, attack_attributes, judge_attributes
from tasks.attack.contrast import Contrast, tell_interval
from tasks.attack.epsilon_audit import EpsilonAudit, audit_epsilon, judge_audit
from tasks.attack.lot import MOST, draw_lot, read_rows
from tasks.attack.membership import (
    Audited,
    Lot,
    MembershipAttack,
    Weights,
    attack_membership,
    judge_groups,
    judge_membership,
    say_drawn,
)
from tasks.attack.memorization import Memorization, attack_memorization, judge_memorization
from tasks.attack.model_file import Declared, Reading, search_file
from tasks.attack.reference_models import limit_threads
from tasks.attack.surest import judge_surest
from tasks.attack.tolerance import advise, find_cohort, find_intolerable
from tasks.attack.twins import make_binned, make_bounded
from tasks.people.ingestion import RECORD
from tasks.people.outcomes import mark_known, read_outcomes
from tasks.people.population import TEST
from tasks.training.models import WEIGHT_ARGUMENT, declare_encoding
from tasks.training.train import Rows, load_model, name_columns, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

    from tasks.attack.contrast import People, Records

RELEASED: Final[dict[PrivateKind, tuple[str, ...]]] = {
    "private-logistic-regression": ("number of people", "second moments", "gradient sums"),
    "private-linear-regression": ("number of people", "second moments", "gradient sums"),
    "private-boosting": ("counts of people by bin", "sums of residuals"),
    "private-network": ("number of people", "gradient sums"),
}
"""What each kind releases of people, one name for each of its mechanisms."""
WIDEST: Final = 24
"""Numbers in a twin's rows, at most: what its releases cost to draw grows with their square."""
OF_GROUP: Final = 2_000
"""People of one group, on either side, who are drawn for it: they would show an AUC of .55."""


@dataclass(frozen=True, repr=False)
class Aim:
    """What is attacked: the model as it is served, its own people, and others.

    `lot` says whom of these the figures of everybody are of, where people were drawn; `records`
    are their own numbers.
    """

    pipeline: Pipeline
    members: Rows
    others: Rows
    audited: Audited | None
    lot: Lot | None = None
    records: Records | None = None

    @property
    def people(self) -> tuple[People, People]:
        """Everybody of the lot, without those who were drawn for their small group alone."""
        members, others = self.members[:2], self.others[:2]
        if self.lot is None:
            return members, others
        inside, outside = self.lot.members, self.lot.nonmembers
        return (members[0][inside], members[1][inside]), (others[0][outside], others[1][outside])

    @property
    def drawn(self) -> Records | None:
        """The own numbers of these `people`."""
        if self.records is None or self.lot is None:
            return self.records
        inside, outside = self.records
        return inside[self.lot.members], outside[self.lot.nonmembers]

    @property
    def sizes(self) -> tuple[int, int]:
        """How many people of the lot were trained on, and how many were not."""
        members, others = self.people
        return len(members[1]), len(others[1])


@dataclass(frozen=True)
class Others:
    """What the attacks beside membership inference found, and how many features they left out."""

    held: Memorization
    guessed: tuple[Contrast, ...]
    untried: int


def share_weights(members: Rows, others: Rows) -> Weights | None:
    """Give the weights that the attacker knows: those of the training, where there are any."""
    if members.weights is None or others.weights is None:
        return None
    return Weights(members.weights, others.weights, WEIGHT_ARGUMENT)


def read_trained(desk: Desk, data: Opened[Trainable]) -> Reading:
    """Say how those are read who were trained on, in their order."""
    policy = desk.policy
    columns = name_columns(policy, data.ref.schema)
    declared = Declared(declare_encoding(policy).categories, policy.outcome)
    return Reading(columns, lambda frame: split_rows(frame, policy)[0], declared)


def take_aim(desk: Desk, pipeline: Pipeline, data: Opened[Trainable]) -> Aim:
    """Split people into those who were trained on and others, with the groups they belong to.

    Of many people only those are read who are drawn.
    """
    policy = desk.policy
    audit = list(policy.used_as(Use.AUDIT))
    smallest = max(desk.run.disclosure.threshold, policy.population.smallest // 20)
    drawn = draw_people(desk, data, audit, smallest)
    columns = [RECORD, *name_columns(policy, data.ref.schema)]
    frame = read_rows(data, columns, drawn.places)
    members, others = split_rows(frame, policy)
    inside, outside = (frame.loc[side.features.index, audit] for side in (members, others))
    audited = Audited(inside, outside, smallest) if audit else None
    places = [side.features.index.to_numpy() for side in (members, others)]
    record = frame[RECORD].to_numpy()
    lot = None if drawn.whole else Lot(*(drawn.everybody[side] for side in places))
    return Aim(pipeline, members, others, audited, lot, (record[places[0]], record[places[1]]))


@dataclass(frozen=True)
class Drawn:
    """Who is attacked: their places, in order; False for who was drawn for a small group alone."""

    places: NDArray[np.int64]
    everybody: NDArray[np.bool_]
    whole: bool = False
    """Whether nobody was left undrawn; the groups' lots may be part of everybody's all the same."""


def draw_people(desk: Desk, data: Opened[Trainable], audit: Sequence[str], smallest: int) -> Drawn:
    """Draw at most `MOST` of those who were trained on, as many others, and enough of each group.

    A group is attacked or not by how many it has of all people, as it is without a lot; so where
    a lot of everybody holds too few of it, a lot of its own does not.
    """
    policy = desk.policy
    assert policy.target is not None
    frame = data.frame([RECORD, TEST, policy.target, *audit])
    record, test = frame[RECORD].to_numpy(), frame[TEST].to_numpy(bool)
    known = mark_known(read_outcomes(frame[policy.target], policy.outcome), policy.outcome)
    sides = [np.flatnonzero(known & (test == side)) for side in (False, True)]
    lots = [side[draw_lot(desk, record[side], MOST)] for side in sides]
    common = np.sort(np.concatenate(lots))
    if len(common) == known.sum():
        return Drawn(common, np.ones(len(common), dtype=bool), whole=True)
    groups = [pd.factorize(frame[column], use_na_sentinel=False)[0] for column in audit]
    number = sum(int(code.max()) + 1 for code in groups)
    most = max(smallest, min(OF_GROUP, MOST // max(number, 1)))
    for code, side in product(groups, sides):
        for group in range(int(code.max()) + 1):
            own = side[code[side] == group]
            lots.append(own[draw_lot(desk, record[own], most)])
    places = np.unique(np.concatenate(lots))
    return Drawn(places, np.isin(places, common))


def try_membership(desk: Desk, aim: Aim, asked: Attacks) -> Iterator[Check]:
    """Try to tell who was trained on, of everybody and within groups."""
    from sklearn.base import clone

    found = attack_membership(
        aim.pipeline,
        lambda: clone(aim.pipeline),
        aim.members[:2],
        aim.others[:2],
        asked.membership.references,
        weights=share_weights(aim.members, aim.others),
        audited=aim.audited,
        lot=aim.lot,
        records=aim.records,
    )
    told = *found.tell(asked.membership.auc_at_most), found.detectable
    for suffix, value in zip(("", "_low", "_high", "_detectable"), told, strict=True):
        # Not with all its digits: they would tell how many people were compared.
        figure = None if isinf(value) else round(value, 2)
        desk.measure(f"privacy.membership_auc{suffix}", figure)
    note_found(desk, found)
    for outlet in desk.policy.model_outlets:
        yield judge_membership(found, asked.membership, outlet)
        yield judge_surest(found.surest, asked.membership, outlet, say_drawn(found))
        if (groups := judge_groups(found, asked.membership, outlet)) is not None:
            yield groups


def note_found(desk: Desk, found: MembershipAttack) -> None:
    """Note the share of members found at each false-positive rate in percent, in steps.

    And how many times as often as others they certainly are among those that it is surest of.
    """
    desk.measure("privacy.membership_times", found.surest.told)
    for _, share in found.found_at:
        told = *tell_interval((share.found, share.low, share.high), found.fewest), share.detectable
        for suffix, value in zip(("", "_low", "_high", "_detectable"), told, strict=True):
            figure = None if isinf(value) else round(value, 2)
            desk.measure(f"privacy.membership_found{suffix}.{100 * share.rate:g}", figure)


def try_others(desk: Desk, aim: Aim, asked: Attacks) -> Iterator[Check]:
    """Try what the model knows better of its own people than of others: rows, and features."""
    tried = contrast_others(aim, desk.policy)
    limits = asked.memorization.gap_at_most, asked.attribute_inference.advantage_at_most
    note_contrasts(desk, "privacy.memorization", tried.held.judged, limits[0])
    note_contrasts(desk, "privacy.memorization", tried.held.told)
    note_contrasts(desk, "privacy.attribute", tried.guessed, limits[1])
    for outlet in desk.policy.model_outlets:
        yield from judge_others(tried, asked, outlet)


def contrast_others(aim: Aim, policy: Policy) -> Others:
    """Contrast what a model knows of its own people's rows and features with that of others."""
    people = aim.people
    labels = declare_encoding(policy).categories
    features = [name for name, known in labels.items() if len(known) <= MOST_LABELS]
    held = attack_memorization(aim.pipeline, *people, aim.drawn)
    guessed = attack_attributes(aim.pipeline, *people, features, aim.drawn)
    return Others(held, guessed, len(labels) - len(features))


def judge_others(tried: Others, asked: Attacks, outlet: str) -> Iterator[Check]:
    """Compare them with what the policy allows."""
    yield judge_memorization(tried.held, asked.memorization.gap_at_most, outlet)
    allowed = asked.attribute_inference.advantage_at_most
    drawn = tried.held.drawn  # the same people
    yield judge_attributes(tried.guessed, allowed, outlet, tried.untried, drawn=drawn)


def note_contrasts(
    desk: Desk, measure: str, contrasts: Iterable[Contrast], limit: float = inf
) -> None:
    """Note the gap of each contrast and its upper end, as told; none of too few people."""
    for one in contrasts:
        gap, _, high = (None,) * 3 if isinf(one.error) else one.tell(limit)
        name = one.name.replace(" ", "_")
        desk.measure(f"{measure}.{name}", None if gap is None else round(gap, 2) + 0.0)
        desk.measure(f"{measure}_high.{name}", None if high is None else round(high, 2) + 0.0)


def try_epsilon(desk: Desk, aim: Aim) -> Iterator[Check]:
    """Try whether the trainer draws the noise that the model's ε rests on."""
    assert desk.policy.training is not None
    kind = find_private_kind(desk.policy.training.model)
    assert kind is not None, "only a private model is audited"
    found = audit_classifier(aim.pipeline[-1], kind)
    least = found.lower_epsilon
    desk.measure("privacy.audit_epsilon", None if isinf(least) else round(least, 3))
    for name, outlet in desk.policy.model_outlets.items():
        if outlet.promise is not None:
            yield judge_audit(found, outlet.promise.epsilon, name)


def audit_classifier(classifier: BaseEstimator, kind: PrivateKind) -> EpsilonAudit:
    """Audit twins of a private model on people made up in the shape of its rows."""
    from sklearn.base import clone

    twin = clone(classifier)
    width = min(getattr(classifier, "n_features_in_", WIDEST), WIDEST)
    match kind:
        case "private-boosting":
            crowd = make_binned(twin.features or [twin.edges] * width)
            twin.set_params(features=crowd.features)
        case "private-logistic-regression" | "private-linear-regression":
            crowd = make_bounded(width, twin.row_bound or sqrt(width))
        case "private-network":
            crowd = make_bounded(width, sqrt(width))
        case _:
            assert_never(kind)
    return audit_epsilon(twin, crowd, RELEASED[kind], sampled=kind == "private-network")


@step("Attack the model", gives=Attacked)
def attack(desk: Desk, model: Opened[Trained], data: Opened[Trainable]) -> Opened[Reached]:
    """Try to learn about its people from the model; one that reveals too much stops here."""
    policy, asked = desk.policy, desk.policy.attacks
    assert asked is not None
    content = model.content()
    pipeline = load_model(content)
    aim = take_aim(desk, pipeline, data)
    with limit_threads():
        checks = [*try_membership(desk, aim, asked), *try_others(desk, aim, asked)]
        checks += search_file(desk, content, pipeline, data, read_trained(desk, data))
        if policy.private:
            checks += try_epsilon(desk, aim)
        cohort = find_cohort(policy, aim.sizes, checks)
        checks = [advise(check, policy, cohort) for check in checks]
        for check in checks:
            desk.check(check)
        with carrying(aim):
            refuse_failed(find_intolerable(checks, asked, cohort))
    return model
