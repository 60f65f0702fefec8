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

from expectations.policy.spans import read_span

Direction: TypeAlias = Literal["weaker", "stronger", "changed", "other"]
"""`changed`: it can't be known here, so a person must look; `other`: it does nothing to people."""
OPPOSITE: Final[Mapping[Direction, Direction]] = {"weaker": "stronger", "stronger": "weaker"}
Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeMeaning:
    """What a value is called, and which way it points when there is more of it.

    `absent` is the number that a missing value counts as; `order` lists words from less to more.
    """

    label: str
    more: Direction = "changed"
    absent: float | None = None
    order: tuple[str, ...] = ()


NONE: Final = ChangeMeaning("")
INCONCLUSIVE: Final = ("report", "approve", "refuse")


def _limit(what: str) -> ChangeMeaning:
    return ChangeMeaning(what, "weaker", math.inf)


def _inconclusive(check: str) -> ChangeMeaning:
    # Unset, it refuses for own code and small cohorts: more than `report`, less than `refuse`.
    what = f"what an inconclusive {check} does"
    return ChangeMeaning(what, "stronger", absent=0.5, order=INCONCLUSIVE)


VALUES: Final[Mapping[str, ChangeMeaning]] = {
    "tutela": ChangeMeaning("the version of the grammar", "other"),
    "name": ChangeMeaning("the policy's name"),
    "title": ChangeMeaning("the title", "other"),
    "controller.name": ChangeMeaning("who answers for the processing"),
    "controller.contact": ChangeMeaning("the contact address"),
    "retention_days": ChangeMeaning("days for which results are kept", "weaker"),
    "retention.goods": ChangeMeaning("how long results are kept"),
    "retention.evidence": ChangeMeaning("how long the record is kept"),
    "retention.because": ChangeMeaning("why so long", "other"),
    "approvals.of": ChangeMeaning("what people approve"),
    "approvals.by": ChangeMeaning("whose approval counts"),
    "approvals.quorum": ChangeMeaning("how many must approve", "stronger"),
    "approvals.valid": ChangeMeaning("how long an approval counts"),
    "approvals.not_by": ChangeMeaning("whose approval does not count", "stronger"),
    "purpose": ChangeMeaning("the purpose"),
    "legal_basis.article_6": ChangeMeaning("the lawful basis"),
    "legal_basis.article_9": ChangeMeaning("the condition for special categories"),
    "legal_basis.assessment": ChangeMeaning("the assessment on file", "stronger"),
    "legal_basis.safeguards": ChangeMeaning("the safeguards laid down", "stronger"),
    "source.person": ChangeMeaning("the column that names the person"),
    "source.key": ChangeMeaning("the column by which further tables name people"),
    "source.normalize": ChangeMeaning("which spellings of an identifier are one person"),
    "source.same_person.other": ChangeMeaning("the column of identifiers that were merged"),
    "source.same_person.kept": ChangeMeaning("the column of identifiers that were kept"),
    "source.index.date": ChangeMeaning("the day before which rows are looked at"),
    "source.index.column": ChangeMeaning("the roster's column of each person's index"),
    "source.index.first": ChangeMeaning("the table whose first row is the index"),
    "source.index.where": ChangeMeaning("which row can be the index"),
    "source.dates.first": ChangeMeaning("the first day of the rows that are read"),
    "source.dates.last": ChangeMeaning("the last day of the rows that are read"),
    "source.dates.undated": ChangeMeaning("whether consent for some days covers what has no day"),
    "source.followed_until.date": ChangeMeaning("the day until which people were observed"),
    "source.followed_until.column": ChangeMeaning("until when each person was observed"),
    "source.followed_until.periods": ChangeMeaning("the table of periods of observation"),
    "source.followed_until.closed_by": ChangeMeaning("the table of what ends observation for good"),
    "source.zone": ChangeMeaning("the calendar on which days are counted"),
    "source.tables.*.person": ChangeMeaning("the column that names the person"),
    "source.tables.*.at": ChangeMeaning("when its rows took place"),
    "source.tables.*.known_at": ChangeMeaning("when its rows were known"),
    "source.tables.*.until": ChangeMeaning("when its rows ended"),
    "source.tables.*.where": ChangeMeaning("which of its rows count"),
    "source.tables.*.most": _limit("the most rows of one person that count"),
    "source.tables.*.fields.*.unit.source": ChangeMeaning("the column that names the unit"),
    "source.tables.*.fields.*.unit.file": ChangeMeaning("the file of the units' factors"),
    "source.tables.*.fields.*.unit.factors.*": ChangeMeaning("what the unit counts as"),
    "source.tables.*.fields.*.unit.undeclared": ChangeMeaning(
        "what a number in an undeclared unit does", "weaker", order=("refuse", "leave-out")
    ),
    "source.codes.*.file": ChangeMeaning("the file of a list of codes"),
    "source.codes.*.codes": ChangeMeaning("the codes of a list"),
    "source.codes.*.concept_set": ChangeMeaning("the file of a concept set"),
    "source.codes.*.concepts.*.id": ChangeMeaning("a concept of a concept set"),
    "source.codes.*.concepts.*.excluded": ChangeMeaning("whether a concept is taken out"),
    "source.codes.*.concepts.*.descendants": ChangeMeaning("whether what is below it comes along"),
    "source.codes.*.concepts.*.mapped": ChangeMeaning("whether what is mapped to it comes along"),
    "source.tables.*.fields.*.source": ChangeMeaning("the table's name of it"),
    "source.tables.*.fields.*.type": ChangeMeaning("its type"),
    "population.eligible": ChangeMeaning("who is eligible"),
    "population.smallest": ChangeMeaning(
        "the fewest people with which a run continues", "stronger"
    ),
    "population.at_most": _limit("the most people taken"),
    "population.sample": ChangeMeaning("the share of people taken", "weaker"),
    "population.strata.by": ChangeMeaning("the columns that make groups"),
    "population.strata.smallest": ChangeMeaning("the fewest people of each group", "stronger", 0),
    "population.strata.at_most": _limit("the most people taken of each group"),
    "population.strata.sample.*": ChangeMeaning("the share taken of this group", "weaker", 1),
    "population.test_share": ChangeMeaning("the share of people kept for testing"),
    "population.split_by": ChangeMeaning("what keeps people on one side of the split"),
    "population.reference.source": ChangeMeaning("where the published figures are from"),
    "population.reference.difference_at_most": _limit("the difference from the population allowed"),
    "population.reference.when_exceeded": ChangeMeaning(
        "what a larger difference does", "stronger", order=("warn", "refuse")
    ),
    "population.reference.margins.*.role": ChangeMeaning(
        "whether weights are raked to this margin", "stronger", order=("rake", "hold-out")
    ),
    "population.reference.margins.*.shares.*": ChangeMeaning("the published share"),
    "population.excluded_people.by": ChangeMeaning(
        "what people without consent are counted by", "weaker"
    ),
    "population.weighting.largest": ChangeMeaning("the largest weight"),
    "population.weighting.smallest_effective_share": ChangeMeaning(
        "the smallest effective share of people", "stronger"
    ),
    "basis.on_partial": ChangeMeaning(
        "what becomes of people who consented in part", "weaker", order=("exclude", "blank")
    ),
    "basis.maximum_age_days": _limit("days for which a consent counts"),
    "basis.events.*.not_older_than": _limit("how old the last delivery of consent events may be"),
    "basis.minimum_versions.*": ChangeMeaning(
        "the lowest notice under which consent counts", "stronger", 0
    ),
    "basis.minors.own_consent_from": ChangeMeaning(
        "the age from which one consents alone", "stronger"
    ),
    "basis.minors.unknown_age": ChangeMeaning(
        "what an unknown age counts as", "weaker", order=("minor", "adult")
    ),
    "basis.granted": ChangeMeaning("the words that mean yes", "weaker"),
    "basis.notices.*.purposes": ChangeMeaning("the purposes that this notice names"),
    "basis.notices.*.categories": ChangeMeaning("the categories that this notice names"),
    "basis.notices.*.covers_narrower": ChangeMeaning(
        "whether it covers narrower purposes", "weaker"
    ),
    "columns.*.use": ChangeMeaning("what it is used for", "weaker"),
    "columns.*.identifiability": ChangeMeaning(
        "how far it identifies a person",
        "stronger",
        order=("none", "quasi", "identifier"),
    ),
    "columns.*.type": ChangeMeaning("its type"),
    "columns.*.source": ChangeMeaning("the source's name of it"),
    "columns.*.rows.take": ChangeMeaning("what is made of many rows"),
    "columns.*.rows.of": ChangeMeaning("the table of those rows"),
    "columns.*.rows.field": ChangeMeaning("the field that is taken"),
    "columns.*.rows.where": ChangeMeaning("which rows count"),
    "columns.*.rows.days_before": _limit("days for which is looked back"),
    "columns.*.rows.days_after": ChangeMeaning("days for which is looked ahead"),
    "columns.*.note": ChangeMeaning("its note", "other"),
    "columns.*.from_data": ChangeMeaning("whether its labels and bounds were taken from the data"),
    "columns.*.expression": ChangeMeaning("how it is computed"),
    "columns.*.function": ChangeMeaning("the function of one's own that computes it"),
    "columns.*.reads": ChangeMeaning("what that function is given", "weaker"),
    "outlets.*.recipient": ChangeMeaning("who receives it"),
    "outlets.*.promise.epsilon": ChangeMeaning(
        "ε, which bounds what the model reveals about a person", "weaker"
    ),
    "outlets.*.promise.delta": ChangeMeaning("δ, the chance that ε does not hold", "weaker"),
    "outlets.*.k": ChangeMeaning("k, the fewest people of each combination", "stronger"),
    "outlets.*.max_suppressed": ChangeMeaning("the share of people that may be left out"),
    "outlets.*.output": ChangeMeaning(
        "how labels are released", "weaker", order=("hierarchy", "sets")
    ),
    "outlets.*.format": ChangeMeaning("what the table's file is", "other"),
    "outlets.*.period": ChangeMeaning(
        "for how long one plan serves", "stronger", order=("month", "quarter", "year")
    ),
    "outlets.*.loss_ratio.*": _limit("how much more detail its worst-treated group may lose"),
    "outlets.*.columns.*.at_least": ChangeMeaning("the fewest people of each label", "stronger"),
    "outlets.*.columns.*.label": ChangeMeaning("the label of the rare", "other"),
    "outlets.*.columns.*.weight": ChangeMeaning("how much its detail is worth"),
    "outlets.*.columns.*.levels": ChangeMeaning("its groupings"),
    "outlets.*.sensitive.*.*.l": ChangeMeaning(
        "l, how diverse its values are in a class", "stronger"
    ),
    "outlets.*.sensitive.*.*.c": ChangeMeaning(
        "c, how far its commonest value may stand out", "weaker"
    ),
    "outlets.*.sensitive.*.*.t": ChangeMeaning(
        "t, how far a class may be from the table", "weaker"
    ),
    "outlets.*.sensitive.*.*.beta": ChangeMeaning(
        "β, how much likelier a value may become", "weaker"
    ),
    "outlets.*.sensitive.*.*.delta": ChangeMeaning("δ, how far shares may differ", "weaker"),
    "outlets.*.sensitive.*.*.alpha": ChangeMeaning("α, the largest share of one value", "weaker"),
    "outlets.*.sensitive.*.*.enhanced": ChangeMeaning(
        "whether frequent values have a tighter limit", "stronger"
    ),
    "outlets.*.not_linkable.*": ChangeMeaning("the reason why nobody can link it"),
    "combine": ChangeMeaning("who may put their tables together", "stronger"),
    "budget.lifetime_epsilon": ChangeMeaning("the ceiling of a person's lifetime ε", "weaker"),
    "budget.delta": ChangeMeaning("the δ of that ceiling", "weaker"),
    "budget.composition": ChangeMeaning(
        "how runs are added up", "stronger", order=("fixed", "adaptive")
    ),
    "attacks.membership.auc_at_most": ChangeMeaning(
        "how well membership may be inferred (AUC)", "weaker"
    ),
    "attacks.membership.found_at_most": ChangeMeaning(
        "how many times as often as others its people may be found", "weaker"
    ),
    "attacks.membership.references": ChangeMeaning("the attack's reference models", "stronger"),
    "attacks.membership.when_inconclusive": _inconclusive("membership attack"),
    "attacks.audit.when_inconclusive": _inconclusive("audit of ε"),
    "attacks.memorization.gap_at_most": ChangeMeaning(
        "how much more confident about its own people it may be", "weaker"
    ),
    "attacks.memorization.when_inconclusive": _inconclusive("memorization check"),
    "attacks.attribute_inference.advantage_at_most": ChangeMeaning(
        "how much better a feature may be guessed of its own people", "weaker"
    ),
    "attacks.attribute_inference.when_inconclusive": _inconclusive("attribute inference"),
    "attacks.search.when_inconclusive": _inconclusive("search of the model's file"),
    "training.input": ChangeMeaning("the rows that are trained on"),
    "training.model": ChangeMeaning("the model"),
    "training.crosses": ChangeMeaning("combinations of features that it reads"),
    "training.unlabelled_at_most": ChangeMeaning("the share without a known outcome", "weaker"),
    "expectations.*.low": ChangeMeaning("the lowest allowed", "stronger"),
    "expectations.*.high": ChangeMeaning("the highest allowed", "weaker"),
    "expectations.*.share": ChangeMeaning("the share that may be missing", "weaker"),
    "expectations.*.values": ChangeMeaning("the words allowed", "weaker"),
}
"""What each value is; a word in the policy's own keeping is `*`. Derived columns are as columns."""

PARTS: Final[Mapping[str, ChangeMeaning]] = {
    "source.tables.*": ChangeMeaning("rows of this table are read", "weaker"),
    "source.tables.*.fields.*": ChangeMeaning("this field of its rows is read", "weaker"),
    "source.tables.*.fields.*.unit": ChangeMeaning("its numbers are in several units"),
    "source.codes.*": ChangeMeaning("conditions look in this list of codes"),
    "source.dates": ChangeMeaning("only rows of some days are read"),
    "source.index": ChangeMeaning("each person has a moment before which rows count"),
    "source.followed_until": ChangeMeaning("it is said until when people were observed"),
    "source.same_person": ChangeMeaning("merged identifiers are followed"),
    "columns.*": ChangeMeaning("this column is read", "weaker"),
    "columns.*.rows": ChangeMeaning("it is made of many rows"),
    "outlets.*": ChangeMeaning("this recipient is served", "weaker"),
    "outlets.*.promise": ChangeMeaning("differential privacy is promised", "stronger"),
    "outlets.*.columns.*": ChangeMeaning("this column is released", "weaker"),
    "outlets.*.sensitive.*": ChangeMeaning("it is released outside k, under models of its own"),
    "outlets.*.sensitive.*.*": ChangeMeaning("this is asked of every class", "stronger"),
    "outlets.*.not_linkable.*": ChangeMeaning(
        "k does not cover it, on the policy's word", "weaker"
    ),
    "outlets.*.loss_ratio.*": ChangeMeaning("a group's loss of detail is bounded", "stronger"),
    "expectations.*": ChangeMeaning("this is asked of the values", "stronger"),
    "approvals": ChangeMeaning("people approve what leaves", "stronger"),
    "budget": ChangeMeaning("a lifetime budget is kept", "stronger"),
    "attacks": ChangeMeaning("the model is attacked before it leaves", "stronger"),
    "basis.notices.*": ChangeMeaning("consent under this notice counts", "weaker"),
    "basis.events.*": ChangeMeaning("consent events are taken from there"),
    "basis.minors": ChangeMeaning("a guardian consents for children", "stronger"),
    "population.strata": ChangeMeaning("groups are asked for or drawn"),
    "population.reference": ChangeMeaning(
        "people are compared with the reference population", "stronger"
    ),
    "population.reference.margins.*": ChangeMeaning("people are compared by it", "stronger"),
    "population.excluded_people": ChangeMeaning("people without consent are counted", "weaker"),
    "population.weighting": ChangeMeaning("people are weighted"),
    "training": ChangeMeaning("a model is trained", "weaker"),
}
"""What it means that a whole part is there; that it is gone means the opposite."""


def meaning_of(path: Path, table: Mapping[str, ChangeMeaning]) -> ChangeMeaning:
    """Give what a table says of a path, `*` standing for any word; an empty meaning for nothing."""
    path = ("columns", *path[1:]) if path[0] == "derived" else path
    for pattern, meaning in table.items():
        words = pattern.split(".")
        if len(words) == len(path) and all(
            word in {"*", there} for word, there in zip(words, path, strict=True)
        ):
            return meaning
    return NONE


def direction_of(meaning: ChangeMeaning, old: object, new: object) -> Direction:
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


def _rank(meaning: ChangeMeaning, value: object) -> float | frozenset[object] | None:
    """Give a value as what can be compared: a number, a word's place, or the words of a list."""
    match value:
        case None if meaning.absent is not None:
            return meaning.absent
        case bool() | int() | float():
            return float(value)
        case str() if (span := read_span(value)) is not None:
            return span.total_seconds()
        case str() if value in meaning.order:
            return float(meaning.order.index(value))
        case tuple() | list():
            return frozenset(map(str, value))
        case _ if meaning.absent is None and not meaning.order:
            return frozenset() if value is None else frozenset({value})
        case _:
            return None
