"""What `tutela check` says of a policy without a person's data: what is read, done, promised.

Who may be read and who of them is taken is told at the end, sentence by sentence. Whether a policy
is sound is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, assert_never

from deployments.check.prerequisites import find_missing, languages_without_model
from deployments.terminal import command, lay_out, wrap
from expectations.coherence.consent import enumerates
from expectations.coherence.tables import find_warnings
from expectations.coherence.treatments import taken_from_data
from expectations.disclosure import EXACT, percent
from expectations.measures.recognition import find_enough
from expectations.policy.legal_basis import (
    ConsentColumn,
    ConsentLedger,
    EventField,
    Minors,
    Notice,
    OptOutList,
    OtherBasis,
)
from expectations.policy.locations import FhirExport
from expectations.policy.outlets import ModelOutlet, claim, limits
from expectations.policy.policy import Column, DerivedColumn, PeopleSource, Policy
from expectations.policy.population import Population, Reference, Strata
from expectations.policy.retention import describe_kept
from expectations.policy.treatments import Drop, Noise, describe
from expectations.policy.vocabulary import Article9, Use
from expectations.policy_file import PolicyFile, find_undecided

if TYPE_CHECKING:
    from ledgers.evidence import JSON


NOTHING: Final = "No personal data was read."
OF_EXPORTS: Final = (
    "Of FHIR exports the first 100 lines of each file were parsed, for names of elements alone; no "
    "other personal data was read."
)
MARGIN: Final = " " * 15
"""As wide as the names in the first lines."""


def describe_plan(file: PolicyFile, there: tuple[str, ...], source: str | None = None) -> str:
    """Say in words what a run of the policy would do; `source` is where else to read people."""
    parts = (
        about_lines, read_lines, remains_lines, model_lines, check_lines, told_lines, warning_lines,
    )  # fmt: skip
    told = [list(part(file.policy, len(there))) for part in parts]
    lines = [line for part in told if part for line in (*part, "")]
    called = f"{command()} run {run_name(file)}{f' --source {source}' if source else ''}"
    if places := find_undecided(file.text):
        lines += ["Before you run it:", *wrap(say_open(places), "  "), ""]
    if missing := find_missing(file):
        lines += ["Before it can run here:", *(part for m in missing for part in wrap(m, "  ")), ""]
    exports = any(isinstance(one, FhirExport) for one in file.policy.source.locations)
    read = [*wrap(OF_EXPORTS)] if exports else [NOTHING]
    return "\n".join([*lines, *read, f"To run it: {called}"])


def about_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what for, on what basis, and whose data it is."""
    articles = [policy.legal_basis.article_6, policy.legal_basis.article_9]
    yield from wrap(f"{policy.name}: {policy.title}")
    yield f"  purpose      {policy.purpose}"
    yield f"  legal basis  {', '.join(str(article) for article in articles if article)}"
    for sentence in describe_basis(policy):
        yield from wrap(sentence, MARGIN, f"{MARGIN}  ")
    answering = f"{policy.controller.name}, {policy.controller.contact}"
    yield from wrap(answering, "  controller   ", MARGIN)
    yield from wrap(policy.population.eligible, "  population   ", MARGIN)
    for sentence in describe_population(policy.population):
        yield from wrap(sentence, MARGIN, f"{MARGIN}  ")
    yield from wrap("; ".join(describe_kept(policy.kept)), "  kept for     ", MARGIN)


def read_of_everybody(policy: Policy) -> Iterable[str]:
    """Name the columns that are read before it is known who may be read."""
    yield policy.source.person
    if policy.source.key:
        yield policy.source.key
    if isinstance(policy.basis, ConsentColumn):
        yield policy.basis.column
    if isinstance(policy.basis, ConsentLedger) and policy.basis.minors:
        yield policy.basis.minors.column


def read_lines(policy: Policy, there: int) -> Iterator[str]:
    """Say which columns are read, and what becomes of each."""
    yield from wrap(f"Read of everybody: {', '.join(read_of_everybody(policy))}.")
    yield from wrap(say_identity(policy.source))
    made = policy.made_of_rows
    yield from wrap(
        f"Read of permitted people: {len(policy.columns) - len(made)} of the source's "
        f"{there - len(made)} columns"
        + ("; the other columns listed are made of rows, or derived." if made else
           "; the other columns listed are derived." if policy.derived else ".")
    )  # fmt: skip
    yield from lay_out(
        (),
        [(name, say_treated(column)) for name, column in policy.treated.items()],
        indent=2,
    )
    for name, column in policy.columns.items():
        if column.rows:
            yield from wrap(f"{name}: {column.rows.said}.", "  ", "    ")
    if own := [f"{code} ({path})" for path, code in policy.own_code.items()]:
        yield from wrap(f"Own code, which tutela cannot vouch for: {', '.join(own)}.")
    if marked := taken_from_data(policy):
        yield from wrap(
            "Labels and bounds still taken from the data (from_data): "
            f"{', '.join(marked)}. A private model needs public ones."
        )


def say_identity(source: PeopleSource) -> str:
    """Say which identifiers are one person's, and what is read of people who are on no roster."""
    same = [
        *(["blanks around them"] if "strip" in source.normalize else ()),
        *(["capital letters"] if "casefold" in source.normalize else ()),
    ]
    said = [f"Identifiers that differ only in {' and '.join(same)} are one person's."] if same \
        else []  # fmt: skip
    if source.same_person:
        said.append("A table says which identifiers were merged; the stricter answer holds.")
    if source.tables:
        named = ", ".join(source.tables)
        said.append(f"All identifiers in {named} are read, to count who is not on the roster.")
    return " ".join(said)


def say_treated(column: Column | DerivedColumn) -> str:
    """Say what becomes of a column, and whether Art. 9 GDPR protects it."""
    return describe(column.treatment) + " (special category)" * column.category.special


def remains_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what can still be done with each treated column; those alike stand together."""
    alike: dict[str, list[str]] = {}
    for name, column in policy.treated.items():
        if not isinstance(column.treatment, Drop):
            alike.setdefault(column.treatment.facts.remains, []).append(name)
    yield from wrap("An attacker who sees the treated columns can still:")
    for said, names in alike.items():
        yield from wrap(f"{said} ({', '.join(names)})", "  ", "    ")
    if epsilon := spent_on_noise(policy):
        yield from wrap(f"The noise costs each person ε = {epsilon:g} in every run.")


def spent_on_noise(policy: Policy) -> float:
    """Add up the local ε of one row's values (Dwork and Roth 2014, theorem 3.16)."""
    treatments = [column.treatment for column in policy.treated.values()]
    return sum(treatment.epsilon for treatment in treatments if isinstance(treatment, Noise))


def model_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what a model is to predict, from what, and between whom it is only compared."""
    if policy.target is None:
        return
    features, audits = policy.used_as(Use.FEATURE), policy.used_as(Use.AUDIT)
    from_what = "1 column" if len(features) == 1 else f"{len(features)} columns"
    yield from wrap(f"Predicts `{policy.target}` from {from_what}: {', '.join(features)}.")
    unseen = [name for name in audits if name not in features]
    if seen := [name for name in audits if name in features]:
        yield from wrap(f"Its quality is compared by {', '.join(seen)}, which it sees.", "  ")
    if unseen:
        yield from wrap(f"Its quality is compared by {', '.join(unseen)}, unseen by it.", "  ")


def say_open(places: Sequence[int]) -> str:
    """Say how many places a person has yet to decide, and on which lines they are."""
    if len(places) == 1:
        return f"1 place is marked DECIDE, on line {places[0]}. Settle it, and remove the mark."
    listed = f"{', '.join(map(str, places[:-1]))} and {places[-1]}"
    return (
        f"{len(places)} places are marked DECIDE, on lines {listed}. Settle each, and remove the "
        "mark."
    )


def check_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what is checked before anything leaves, beside what each outlet promises."""
    count = len(policy.expectations)
    rules = "1 rule" if count == 1 else f"{count} rules"
    yield f"Checked: {rules} about values"
    if policy.training and policy.attacks:
        asked = policy.attacks.membership
        audit = ", audit of ε" if policy.private else ""
        yield from wrap(
            f"         attacks on the {policy.training.model} model: membership inference (AUC at "
            f"most {asked.auc_at_most:.2f}; of few, at most {asked.found_at_most:g} times as often "
            f"as others), memorization, attribute inference, a search of its file{audit}",
            hanging="         ",
        )
        for sentence in describe_undecided(policy):
            yield from wrap(f"         {sentence}", hanging="         ")
    if policy.private:
        yield from wrap(describe_budget(policy), hanging="         ")


def describe_undecided(policy: Policy) -> Iterator[str]:
    """Say when attacks cannot tell and what that does, where it is not what most policies have."""
    if policy.attacks is None:
        return
    if "training.model" in policy.own_code:
        yield "The model is your own class: if an attack cannot tell, the run is refused."
    enough, smallest = find_enough(policy.population.test_share), policy.population.smallest
    if smallest < enough and not is_proved(policy):
        yield (
            f"With fewer than about {enough:,} people attacks cannot tell, and the run is refused; "
            f"population.smallest allows {smallest:,}."
        )
    asked = policy.attacks
    words = {
        "membership": asked.membership.when_inconclusive,
        "audit": asked.audit.when_inconclusive,
        "memorization": asked.memorization.when_inconclusive,
        "search": asked.search.when_inconclusive,
    }
    if told := [name for name, word in words.items() if word == "report"]:
        yield (
            f"But of {', '.join(told)} that is only reported, and the model leaves: "
            "when_inconclusive says so."
        )


def is_proved(policy: Policy) -> bool:
    """Whether a promise alone keeps the limits, where the audit finds its noise."""
    promises = [outlet.promise for outlet in policy.model_outlets.values()]
    if not policy.private or None in promises:
        return False
    from tasks.attack.tolerance import keeps_limits

    return all(keeps_limits(promise, policy) for promise in promises if promise)


def describe_budget(policy: Policy) -> str:
    """Say which ceiling a run must keep, and where to see how many runs fit."""
    budget = policy.budget
    assert budget is not None, "coherence asks for it"
    return (
        f"Budget:  a run is refused if it would bring anybody's lifetime ε above "
        f"{budget.lifetime_epsilon:g} (δ = {budget.delta:g}, composition {budget.composition}); "
        "`tutela budget plan` shows how many runs fit"
    )


def told_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what each recipient may be told."""
    for n, (name, outlet) in enumerate(policy.outlets.items()):
        if n:
            yield ""
        yield from wrap(f"{outlet.recipient} ({name}) may be told this if every check passes:")
        yield from wrap(claim(outlet), "  ")
        yield from wrap(f"Not covered: {limits(outlet, policy.own_functions.values())}", "  ")


def warning_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what may run but costs more than its author may think."""
    for warning in find_warnings(policy):
        yield from wrap(f"Warning: {warning.path}: {warning.what}; {warning.fix}", hanging="  ")


def run_name(file: PolicyFile) -> str:
    """Give what names the policy on the command line."""
    from expectations.policy_file import PACKAGED
    from ledgers.home.home import own_policies

    named = file.folder in (PACKAGED, own_policies())
    return file.path.stem if named else str(file.path)


def plan_json(file: PolicyFile, there: tuple[str, ...]) -> dict[str, JSON]:
    """Give the plan as plain values."""
    policy = file.policy
    return {
        "policy": policy.name,
        "purpose": str(policy.purpose),
        "legal_basis": [
            str(a) for a in (policy.legal_basis.article_6, policy.legal_basis.article_9) if a
        ],
        "basis": list(describe_basis(policy)),
        "population": [policy.population.eligible, *describe_population(policy.population)],
        "read_of_everybody": list(read_of_everybody(policy)),
        "columns_there": len(there),
        "columns": columns_json(policy),
        "from_data": [*taken_from_data(policy)],
        "own_code": {**policy.own_code},
        "still_to_decide": len(find_undecided(file.text)),
        "decide_on_lines": [*find_undecided(file.text)],
        "model": model_json(policy),
        "attacks_that_cannot_tell": [*describe_undecided(policy)],
        "languages_without_model": [*languages_without_model(policy)],
        "missing_to_run": [*find_missing(file)],
        "noise_epsilon": spent_on_noise(policy) or None,
        "budget": policy.budget.model_dump(mode="json") if policy.budget else None,
        "warnings": [f"{each.path}: {each.what}; {each.fix}" for each in find_warnings(policy)],
        "outlets": {
            name: {
                "kind": "model" if isinstance(outlet, ModelOutlet) else "table",
                "recipient": outlet.recipient,
                "claim": claim(outlet),
                "limits": limits(outlet, policy.own_functions.values()),
            }
            for name, outlet in policy.outlets.items()
        },
    }


def model_json(policy: Policy) -> dict[str, JSON] | None:
    """Give what the model predicts, from what, and by which columns it is compared."""
    if policy.target is None:
        return None
    return {
        "predicts": policy.target,
        "from": list(policy.used_as(Use.FEATURE)),
        "compared_by": list(policy.used_as(Use.AUDIT)),
    }


def columns_json(policy: Policy) -> dict[str, JSON]:
    """Give what becomes of each column."""
    return {
        name: {
            "category": str(column.category),
            "special": column.category.special,
            "use": [str(use) for use in column.use],
            "treatment": describe(column.treatment),
            "remains": column.treatment.facts.remains,
        }
        for name, column in policy.treated.items()
    }


def describe_basis(policy: Policy) -> Iterator[str]:
    """Say how it is known of each person whether they may be read."""
    basis = policy.basis
    match basis:
        case ConsentLedger():
            yield from describe_consent(basis)
            yield from describe_explicit(basis, policy)
            yield from describe_notices(basis, policy)
        case ConsentColumn(column=column):
            yield f"per person: a yes in the column {column}"
        case OptOutList():
            yield "per person: everybody who is not on the opt-out list"
        case OtherBasis():
            yield "for everybody in the source"
        case _:
            assert_never(basis)
    if not isinstance(basis, ConsentLedger):
        yield "except people who withdrew, objected or are restricted in the consent ledger"


def describe_consent(basis: ConsentLedger) -> Iterator[str]:
    """Say whose consent counts, and for how long."""
    sources = len(basis.events)
    told = f"; events from {sources} {plural(sources, 'source')} are imported first"
    yield f"per person: the latest answer in the consent ledger{told if sources else ''}"
    for number, source in enumerate(basis.events, start=1):
        if source.not_older_than:
            which = "its events" if sources == 1 else f"those of source {number}"
            yield f"{which} must have been delivered within {source.not_older_than}"
    yield (
        "people who consented only in part are left out"
        if basis.on_partial == "exclude"
        else "people who consented only in part are read without the other categories"
    )
    if basis.maximum_age_days:
        yield f"a consent ends after {basis.maximum_age_days:,} days at the latest"
    if basis.minors:
        yield describe_minors(basis.minors)


def describe_explicit(basis: ConsentLedger, policy: Policy) -> Iterator[str]:
    """Say of sources that state no indication what it takes before their consents count."""
    special = any(column.category.special for column in policy.columns.values())
    if policy.legal_basis.article_9 is not Article9.EXPLICIT_CONSENT or not special:
        return
    for number, source in enumerate(basis.events, start=1):
        if EventField.INDICATION not in {*source.columns, *source.stated}:
            which = "their source" if len(basis.events) == 1 else f"source {number}"
            yield (
                "special categories need explicit consent: events count if the column "
                f"`indication` of {which} says explicit, since the policy does not state it"
            )


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
        return f"nothing: version {lowest} or later is required"
    if not enumerates(notice.terms, policy.purpose):
        return "nothing: it is for another purpose"
    lacking = sorted({c.category for c in policy.columns.values()} - {*notice.categories})
    return f"everything that is read{' except ' if lacking else ''}{', '.join(lacking)}"


def describe_minors(minors: Minors) -> str:
    """Say who consents for a child, and how it is known who is one."""
    known = f"by age in `{minors.column}`; an unknown age counts as {minors.unknown_age}"
    return f"under {minors.own_consent_from} a guardian consents, {known}"


def describe_population(population: Population) -> Iterator[str]:
    """Say who of the eligible are taken, and with whom they are compared."""
    yield f"at least {population.smallest:,} people"
    if population.sample < 1:
        yield f"{percent(population.sample, EXACT)} of them, by a keyed draw"
    if population.at_most:
        yield f"at most {population.at_most:,} people, by a keyed draw"
    if population.strata:
        yield from describe_strata(population.strata)
    if population.split_by:
        yield f"people with the same `{population.split_by}` are never split over train and test"
    if population.reference:
        yield from describe_reference(population.reference)
    if population.weighting:
        kept = percent(population.weighting.smallest_effective_share, EXACT)
        times = f"{population.weighting.largest:g} times the mean"
        yield f"weighted to these figures, each person by at most {times}"
        yield f"effective sample size: at least {kept} of the people"
    if population.excluded_people:
        why = population.excluded_people
        reason = f"({why.article_6}: {why.assessment})"
        yield f"eligible people without consent are counted by {', '.join(why.by)} {reason}"


def describe_strata(strata: Strata) -> Iterator[str]:
    """Say how many people of each group there must be, and are taken."""
    each = f"of each group by {', '.join(strata.by)}"
    if strata.smallest:
        yield f"{each}: at least {strata.smallest:,} people"
    if strata.sample:
        drawn = ", ".join(f"{name} {percent(part, EXACT)}" for name, part in strata.sample.items())
        yield f"{each}, by a keyed draw: {drawn}; all of the others"
    if strata.at_most:
        yield f"{each}: at most {strata.at_most:,} people, by a keyed draw"


def describe_reference(reference: Reference) -> Iterator[str]:
    """Say which published figures the people are compared with, and what a difference does."""
    held = (f"{name} (held out)" for name in reference.of_role("hold-out"))
    named = ", ".join([*reference.of_role("rake"), *held])
    then = "refuses the run" if reference.when_exceeded == "refuse" else "warns"
    yield f"compared by {named} with published figures: {reference.source}"
    yield f"a standardized difference of more than {reference.difference_at_most:g} {then}"


def plural(number: int, word: str) -> str:
    """Give a word as it stands after a number."""
    return word if number == 1 else f"{word}s"
