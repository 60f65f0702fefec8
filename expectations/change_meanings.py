"""What a change at each place of a policy means for the people in the data: weaker, or stronger.

A place that has no row here, or whose change can be either, is still told of: as changed, to be
looked at. Directions are about what is done with people's data and what they are promised, not
about how useful the result is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Direction: TypeAlias = Literal["weaker", "stronger", "changed", "other"]
"""`changed`: it can't be known here, so a person must look; `other`: it does nothing to people."""
OPPOSITE: Final[Mapping[Direction, Direction]] = {"weaker": "stronger", "stronger": "weaker"}
Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a value is called, and which way it points when there is more of it.

    `absent` is the number that a missing value counts as; `order` lists words from less to more.
    """

    label: str
    more: Direction = "changed"
    absent: float | None = None
    order: tuple[str, ...] = ()


NONE: Final = Meaning("")
INCONCLUSIVE: Final = ("report", "refuse")


def _limit(what: str) -> Meaning:
    return Meaning(what, "weaker", math.inf)


def _inconclusive(check: str) -> Meaning:
    return Meaning(f"what an inconclusive {check} does", "stronger", order=INCONCLUSIVE)


VALUES: Final[Mapping[str, Meaning]] = {
    "tutela": Meaning("the version of the grammar", "other"),
    "name": Meaning("the policy's name"),
    "title": Meaning("the title", "other"),
    "controller.name": Meaning("who answers for the processing"),
    "controller.contact": Meaning("whom people can write to"),
    "retention_days": Meaning("days for which it is kept", "weaker"),
    "purpose": Meaning("the purpose"),
    "legal_basis.article_6": Meaning("the lawful basis"),
    "legal_basis.article_9": Meaning("the condition for special categories"),
    "legal_basis.assessment": Meaning("the assessment on file", "stronger"),
    "legal_basis.safeguards": Meaning("the safeguards laid down", "stronger"),
    "source.person": Meaning("the column that names the person"),
    "population.eligible": Meaning("who is eligible"),
    "population.smallest": Meaning("the fewest people with whom a run goes on", "stronger"),
    "population.at_most": _limit("the most people taken"),
    "population.sample": Meaning("the share of people taken", "weaker"),
    "population.strata.by": Meaning("the columns that make groups"),
    "population.strata.smallest": Meaning("the fewest people of each group", "stronger", 0),
    "population.strata.at_most": _limit("the most people taken of each group"),
    "population.strata.sample.*": Meaning("the share taken of this group", "weaker", 1),
    "population.test_share": Meaning("the share of people kept for testing"),
    "population.split_by": Meaning("what keeps people on one side of the split"),
    "population.reference.source": Meaning("where the published figures are from"),
    "population.reference.difference_at_most": _limit("the difference from the population allowed"),
    "population.reference.when_exceeded": Meaning(
        "what a larger difference does", "stronger", order=("warn", "refuse")
    ),
    "population.reference.margins.*.role": Meaning(
        "whether weights are told of this margin", "stronger", order=("rake", "hold-out")
    ),
    "population.reference.margins.*.shares.*": Meaning("the published share"),
    "population.excluded_people.by": Meaning(
        "what people without consent are counted by", "weaker"
    ),
    "population.weighting.largest": Meaning("the largest weight"),
    "population.weighting.smallest_effective_share": Meaning(
        "the smallest effective share of people", "stronger"
    ),
    "basis.on_partial": Meaning(
        "what becomes of who consents in part", "weaker", order=("exclude", "blank")
    ),
    "basis.maximum_age_days": _limit("days for which a consent counts"),
    "basis.minimum_versions.*": Meaning(
        "the lowest notice under which consent counts", "stronger", 0
    ),
    "basis.minors.own_consent_from": Meaning("the age from which one consents alone", "stronger"),
    "basis.minors.unknown_age": Meaning(
        "what an unknown age counts as", "weaker", order=("minor", "adult")
    ),
    "basis.granted": Meaning("the words that mean yes", "weaker"),
    "basis.notices.*.purposes": Meaning("the purposes that this notice names"),
    "basis.notices.*.categories": Meaning("the categories that this notice names"),
    "basis.notices.*.covers_narrower": Meaning("whether it covers narrower purposes", "weaker"),
    "columns.*.use": Meaning("what it is used for", "weaker"),
    "columns.*.identifiability": Meaning(
        "how far it counts as pointing at a person",
        "stronger",
        order=("none", "quasi", "identifier"),
    ),
    "columns.*.type": Meaning("its type"),
    "columns.*.source": Meaning("the source's name of it"),
    "columns.*.note": Meaning("its note", "other"),
    "columns.*.from_data": Meaning("whether its labels and bounds were taken from the data"),
    "columns.*.expression": Meaning("how it is computed"),
    "columns.*.function": Meaning("the function of one's own that computes it"),
    "columns.*.reads": Meaning("what that function is given", "weaker"),
    "outlets.*.recipient": Meaning("who receives it"),
    "outlets.*.promise.epsilon": Meaning(
        "ε, which bounds what the model tells of a person", "weaker"
    ),
    "outlets.*.promise.delta": Meaning("δ, the chance that ε does not hold", "weaker"),
    "outlets.*.k": Meaning("k, the fewest people of each combination", "stronger"),
    "outlets.*.max_suppressed": Meaning("the share of people that may be left out"),
    "outlets.*.output": Meaning("how labels are released", "weaker", order=("hierarchy", "sets")),
    "outlets.*.period": Meaning(
        "for how long one plan serves", "stronger", order=("month", "quarter", "year")
    ),
    "outlets.*.loss_ratio.*": _limit("how much more detail its worst-treated group may lose"),
    "outlets.*.columns.*.at_least": Meaning("the fewest people of each label", "stronger"),
    "outlets.*.columns.*.label": Meaning("the label of the rare", "other"),
    "outlets.*.columns.*.weight": Meaning("how much its detail is worth"),
    "outlets.*.columns.*.levels": Meaning("its groupings"),
    "outlets.*.sensitive.*.*.l": Meaning("l, how diverse its values are in a class", "stronger"),
    "outlets.*.sensitive.*.*.c": Meaning("c, how far its commonest value may stand out", "weaker"),
    "outlets.*.sensitive.*.*.t": Meaning("t, how far a class may be from the table", "weaker"),
    "outlets.*.sensitive.*.*.beta": Meaning("β, how much likelier a value may become", "weaker"),
    "outlets.*.sensitive.*.*.delta": Meaning("δ, how far shares may differ", "weaker"),
    "outlets.*.sensitive.*.*.alpha": Meaning("α, the largest share of one value", "weaker"),
    "outlets.*.sensitive.*.*.enhanced": Meaning(
        "whether frequent values are held tighter", "stronger"
    ),
    "outlets.*.not_linkable.*": Meaning("the reason why nobody can link it"),
    "budget.lifetime_epsilon": Meaning("the ceiling of a person's lifetime ε", "weaker"),
    "budget.delta": Meaning("the δ of that ceiling", "weaker"),
    "budget.composition": Meaning("how runs are added up", "stronger", order=("fixed", "adaptive")),
    "attacks.membership.auc_at_most": Meaning("how well members may be told (AUC)", "weaker"),
    "attacks.membership.references": Meaning("the attack's reference models", "stronger"),
    "attacks.membership.when_inconclusive": _inconclusive("membership attack"),
    "attacks.audit.when_inconclusive": _inconclusive("audit of ε"),
    "attacks.memorization.gap_at_most": Meaning(
        "how much surer of its own people it may be", "weaker"
    ),
    "attacks.memorization.when_inconclusive": _inconclusive("memorization check"),
    "attacks.attribute_inference.advantage_at_most": Meaning(
        "how much better a feature may be guessed of its own people", "weaker"
    ),
    "attacks.attribute_inference.when_inconclusive": _inconclusive("attribute inference"),
    "training.input": Meaning("the rows that are trained on"),
    "training.model": Meaning("the model"),
    "training.crosses": Meaning("combinations of features that it reads"),
    "expectations.*.low": Meaning("the lowest allowed", "stronger"),
    "expectations.*.high": Meaning("the highest allowed", "weaker"),
    "expectations.*.share": Meaning("the share that may be missing", "weaker"),
    "expectations.*.values": Meaning("the words allowed", "weaker"),
}
"""What each value is; a word in the policy's own keeping is `*`. Derived columns are as columns."""

PARTS: Final[Mapping[str, Meaning]] = {
    "columns.*": Meaning("this column is read", "weaker"),
    "outlets.*": Meaning("this recipient is served", "weaker"),
    "outlets.*.promise": Meaning("differential privacy is promised", "stronger"),
    "outlets.*.columns.*": Meaning("this column is released", "weaker"),
    "outlets.*.sensitive.*": Meaning("it leaves outside k, under models of its own"),
    "outlets.*.sensitive.*.*": Meaning("this is asked of every class", "stronger"),
    "outlets.*.not_linkable.*": Meaning("k does not hold over it, on the policy's word", "weaker"),
    "outlets.*.loss_ratio.*": Meaning("a group's loss of detail is bounded", "stronger"),
    "expectations.*": Meaning("this is asked of the values", "stronger"),
    "budget": Meaning("a lifetime budget is kept", "stronger"),
    "attacks": Meaning("the model is attacked before it leaves", "stronger"),
    "basis.notices.*": Meaning("consent under this notice counts", "weaker"),
    "basis.events.*": Meaning("consent events are taken from there"),
    "basis.minors": Meaning("a guardian consents for children", "stronger"),
    "population.strata": Meaning("groups are asked for or drawn"),
    "population.reference": Meaning("people are compared with those who are meant", "stronger"),
    "population.reference.margins.*": Meaning("people are compared by it", "stronger"),
    "population.excluded_people": Meaning("people without consent are counted", "weaker"),
    "population.weighting": Meaning("people are weighted"),
    "training": Meaning("a model is trained", "weaker"),
}
"""What it means that a whole part is there; that it is gone means the opposite."""


def meaning_of(path: Path, table: Mapping[str, Meaning]) -> Meaning:
    """Give what a table says of a path, `*` standing for any word; an empty meaning for nothing."""
    path = ("columns", *path[1:]) if path[0] == "derived" else path
    for pattern, meaning in table.items():
        words = pattern.split(".")
        if len(words) == len(path) and all(
            word in {"*", there} for word, there in zip(words, path, strict=True)
        ):
            return meaning
    return NONE


def direction_of(meaning: Meaning, old: object, new: object) -> Direction:
    """Say which way a change of one value points; `changed` where there is no telling."""
    if meaning.more not in OPPOSITE:
        return meaning.more
    less = OPPOSITE[meaning.more]
    before, after = _rank(meaning, old), _rank(meaning, new)
    if isinstance(before, float) and isinstance(after, float):
        return meaning.more if after > before else less
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        return meaning.more if after > before else less if after < before else "changed"
    return "changed"


def _rank(meaning: Meaning, value: object) -> float | frozenset[object] | None:
    """Give a value as what can be compared: a number, a word's place, or the words of a list."""
    match value:
        case None if meaning.absent is not None:
            return meaning.absent
        case bool() | int() | float():
            return float(value)
        case str() if value in meaning.order:
            return float(meaning.order.index(value))
        case tuple() | list():
            return frozenset(map(str, value))
        case _ if meaning.absent is None and not meaning.order:
            return frozenset() if value is None else frozenset({value})
        case _:
            return None
