"""What `tutela check` says of the people: who may be read, who of them is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from expectations.coherence.consent import enumerates
from expectations.disclosure import EXACT, percent
from expectations.policy.legal_basis import (
    ConsentColumn,
    ConsentLedger,
    Minors,
    Notice,
    OptOutList,
    OtherBasis,
)
from expectations.policy.policy import Policy
from expectations.policy.population import Population, Reference, Strata


def describe_basis(policy: Policy) -> Iterator[str]:
    """Say how it is known of each person whether they may be read."""
    basis = policy.basis
    match basis:
        case ConsentLedger():
            yield from describe_consent(basis)
            yield from describe_notices(basis, policy)
        case ConsentColumn(column=column):
            yield f"per person: a yes in the column {column}"
        case OptOutList():
            yield "per person: everybody but who is on the opt-out list"
        case OtherBasis():
            yield "for everybody in the source"
        case _:
            assert_never(basis)
    if not isinstance(basis, ConsentLedger):
        yield "not who withdrew, objected or is restricted in the consent ledger"


def describe_consent(basis: ConsentLedger) -> Iterator[str]:
    """Say whose consent counts, and for how long."""
    sources = len(basis.events)
    told = f"; the events of {sources} {plural(sources, 'source')} go there first"
    yield f"per person: the latest answer in the consent ledger{told if sources else ''}"
    yield (
        "who consents to some of the categories is left out"
        if basis.on_partial == "exclude"
        else "who consents to some of the categories is read without the others"
    )
    if basis.maximum_age_days:
        yield f"a consent ends after {basis.maximum_age_days:,} days at the latest"
    if basis.minors:
        yield describe_minors(basis.minors)


def describe_notices(basis: ConsentLedger, policy: Policy) -> Iterator[str]:
    """Say what a consent under each notice covers; those alike stand together."""
    alike: dict[str, list[str]] = {}
    for notice in basis.notices:
        said = describe_notice(notice, basis.minimum_versions.get(notice.id, 0), policy)
        alike.setdefault(said, []).append(f"{notice.id} {notice.version} ({notice.language})")
    for said, names in alike.items():
        yield f"a consent under {', '.join(names)} covers {said}"


def describe_notice(notice: Notice, lowest: int, policy: Policy) -> str:
    """Say what of the policy's reading a consent under a notice covers."""
    if notice.version < lowest:
        return f"nothing any more: version {lowest} is asked for"
    if not enumerates(notice.terms, policy.purpose):
        return "nothing: it is for another purpose"
    lacking = sorted({c.category for c in policy.columns.values()} - {*notice.categories})
    return f"all that is read{' but ' if lacking else ''}{', '.join(lacking)}"


def describe_minors(minors: Minors) -> str:
    """Say who consents for a child, and how it is known who is one."""
    known = f"as `{minors.column}` says; an unknown age counts as a {minors.unknown_age}'s"
    return f"under {minors.own_consent_from} a guardian consents, {known}"


def describe_population(population: Population) -> Iterator[str]:
    """Say who of the eligible are taken, and with whom they are compared."""
    yield f"at least {population.smallest:,} people"
    if population.sample < 1:
        yield f"of them {percent(population.sample, EXACT)}, by a keyed draw"
    if population.at_most:
        yield f"at most {population.at_most:,} people, by a keyed draw"
    if population.strata:
        yield from describe_strata(population.strata)
    if population.split_by:
        yield f"who shares a `{population.split_by}` trains or tests together"
    if population.reference:
        yield from describe_reference(population.reference)
    if population.weighting:
        kept = percent(population.weighting.smallest_effective_share, EXACT)
        times = f"{population.weighting.largest:g} times the mean"
        yield f"weighted to meet these figures, nobody by more than {times}"
        yield f"at least {kept} of the people must be left as effective sample size"
    if population.excluded_people:
        why = population.excluded_people
        reason = f"({why.article_6}: {why.assessment})"
        yield f"the eligible without consent are counted by {', '.join(why.by)} {reason}"


def describe_strata(strata: Strata) -> Iterator[str]:
    """Say how many people of each group there must be, and are taken."""
    each = f"of each group by {', '.join(strata.by)}"
    if strata.smallest:
        yield f"{each}: at least {strata.smallest:,} people"
    if strata.sample:
        drawn = ", ".join(f"{name} {percent(part, EXACT)}" for name, part in strata.sample.items())
        yield f"{each}, by a keyed draw: {drawn}; of others all"
    if strata.at_most:
        yield f"{each}: at most {strata.at_most:,} people, by a keyed draw"


def describe_reference(reference: Reference) -> Iterator[str]:
    """Say which published figures the people are compared with, and what a difference does."""
    held = (f"{name} (held out)" for name in reference.of_role("hold-out"))
    named = ", ".join([*reference.of_role("rake"), *held])
    then = "refuses the run" if reference.when_exceeded == "refuse" else "is warned of"
    yield f"compared by {named} with published figures: {reference.source}"
    yield f"a standardized difference of more than {reference.difference_at_most:g} {then}"


def plural(number: int, word: str) -> str:
    """Give a word as it stands after a number."""
    return word if number == 1 else f"{word}s"
