"""The columns of a drafted policy: those that are read, those to decide, and those never read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Bin, Categories, DateParts, Keep, Treatment
from expectations.policy.vocabulary import Category, Identifiability, Use
from tasks.drafting.deciding import CODED, FEW_NUMBERS, label_bins, propose_categories
from tasks.drafting.decisions import Decided, Decision, Fate
from tasks.drafting.profile import Profile
from tasks.drafting.signs import NOTHING
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry, flow, number

DECIDE: Final = "DECIDE"
"""Marks a place at which a person must decide."""
NO_CATEGORY: Final = "dpv-pd:…"
MOST_CODES: Final = 30
"""More codes than this are grouped by a file, and not listed in a comment."""
FEW_DIFFERENT: Final = 30
"""So many different numbers or fewer are told: they may be codes."""
MOST_BLOCKS: Final = 60
"""Columns of one reason that stand ready; of more, a reader would find none."""
ORDERED: Final = (
    "do these numbers count something, or are they codes? If they are codes, remove `ordered: "
    "true`: neighbours would be merged into ranges, and a model would read their rank."
)
NAMED: Final = "its name says "
EDGES: Final = (30.0, 45.0, 60.0, 75.0)
"""Of ages made from birth dates: ours, and taken from nobody's data."""


def column_lines(decided: Decided) -> Iterator[str]:
    """Give the columns that are read, then those that a person must decide, then the others."""
    yield from comment(
        "What is read about the people above, and what becomes of it before anything else sees it. "
        "`from_data` marks labels and bounds that were taken from these people: before a private "
        "model `check` asks you to confirm that they are public, and to remove the mark."
    )
    yield "columns:"
    for place, column in enumerate(decided.of(Fate.PROPOSED)):
        if place:
            yield ""
        yield from comment(f"Seen: {saw(column) or f'values of type {column.type}'}.", 2)
        yield from code_lines(column)
        if column.why:
            yield from comment(f"{DECIDE}: {column.why}. Decide {column.decide}.", 2)
        if may_be_unordered(column):
            yield from comment(f"{DECIDE}: {ORDERED}", 2)
        yield from block(column, uses(column, decided))
    yield from waiting_lines(decided)
    yield from denied_lines(decided)


def waiting_lines(decided: Decided) -> Iterator[str]:
    """Give the columns that somebody must decide, those with one reason together."""
    waiting = decided.of(Fate.OPEN)
    if not waiting:
        return
    yield ""
    yield from comment(
        f"Not read until somebody decides: {count_columns(waiting)}. Leave what the purpose does "
        "not need. To read one, remove `# ` from each of its lines"
        + (", and name it under a table's `columns` too" * decided.table)
        + ". Or draft again, with --accept COLUMN=CATEGORY for each.",
        2,
    )
    for why, decide in dict.fromkeys((column.why, column.decide) for column in waiting):
        alike = [column for column in waiting if column.why == why]
        yield "  #"
        yield from comment(f"--- {why} ({count_columns(alike)}) ---", 2)
        yield from comment(f"Decide {decide}.", 2)
        for column in alike[:MOST_BLOCKS]:
            yield "  #"
            yield from comment(f"Seen: {seen}." if (seen := saw(column)) else "", 2)
            yield from code_lines(column)
            yield from commented_out(list(block(column, default_use(decided))), 2)
        if rest := [column.found.profile.name for column in alike[MOST_BLOCKS:]]:
            yield "  #"
            yield from comment(f"And {len(rest)} more, to write alike: {', '.join(rest)}.", 2)


def count_columns(columns: Sequence[Decision]) -> str:
    """Say how many columns there are."""
    return f"{len(columns)} column{'s' * (len(columns) != 1)}"


def denied_lines(decided: Decided) -> Iterator[str]:
    """Name the columns that are never read, each with the reason."""
    if denied := decided.of(Fate.DENIED):
        yield ""
        yield from comment("Never read:", 2)
    for column in denied:
        told = [] if column.found.free_text else join_names(column.found.seen)
        seen = f" ({'; '.join(told)})" if told else ""
        yield from comment(f"- {column.found.profile.name or '(no name)'}: {column.why}{seen}", 2)


def saw(column: Decision) -> str:
    """Say in one line what was seen of a column, without any person's value."""
    profile = column.found.profile
    said = list(join_names(column.found.seen))
    if profile.low is not None and profile.high is not None:
        some = f"{profile.distinct} different numbers, " * (profile.distinct <= FEW_DIFFERENT)
        said.append(f"{some}{number(profile.low)} to {number(profile.high)}, rounded outward")
    said += [column.published] if column.published else about_words(column.treatment, profile)
    if profile.missing:
        said.append(f"{tell_share(profile.missing)} missing")
    if profile.alone:
        said.append(f"{tell_share(profile.alone)} of the people nearly alone with their value")
    return "; ".join(said)


def join_names(seen: Sequence[str]) -> Iterator[str]:
    """Give what was seen, what the name says in one sentence, and without that nothing was."""
    named = [sentence.removeprefix(NAMED) for sentence in seen if sentence.startswith(NAMED)]
    if named:
        yield NAMED + ", ".join(named)
    yield from (s for s in seen if not s.startswith(NAMED) and s != NOTHING)


def about_words(treatment: Treatment | None, profile: Profile) -> Iterator[str]:
    """Say what declared words do not tell by themselves."""
    if not isinstance(treatment, Categories):
        return
    if profile.rare:
        yield (
            "some words are not listed, since fewer than 10 have each; they become "
            f"`{treatment.other}`"
        )
    if profile.type is ColumnType.INTEGER and not treatment.ordered:
        yield "taken as codes; if they count something, add `ordered: true`"


def may_be_unordered(column: Decision) -> bool:
    """Whether numbers are read in their order, which codes do not have; ages surely have one."""
    read = column.treatment
    ordered = isinstance(read, Categories) and read.ordered and not column.published
    ordered = ordered and column.rows is None  # what was counted counts something
    return ordered and column.found.category is not Category.AGE


def code_lines(column: Decision) -> Iterator[str]:
    """Say how whole numbers in intervals are treated instead where they are codes."""
    if not may_be_codes(column):
        return
    told = "If these are codes: `type: text`, `treatment: "
    if 1 < len(column.found.profile.words) <= MOST_CODES:
        listed = flow(dump(propose_categories(column.found.profile, codes=True)))
        yield from comment(f"{told}{listed}`.", 2)
        return
    named = flow({"kind": "hierarchy", "file": f"{column.name}.csv", "level": 1})
    yield from comment(f"{told}{named}`, and in that file a line `code;group;*` for each.", 2)


def may_be_codes(column: Decision) -> bool:
    """Whether numbers in intervals may be codes: there are few, or their kind is often coded."""
    profile = column.found.profile
    if column.rows is not None:
        return False
    whole = profile.type is ColumnType.INTEGER and isinstance(column.treatment, Bin)
    return whole and (profile.distinct <= FEW_NUMBERS or column.found.category in {None, *CODED})


def tell_share(share: float) -> str:
    """Word a share in steps of 5 %, so that no exact count of people stands in it."""
    step = round(share * 20) * 5
    if share < 0.05:
        return "under 5 %"
    return "over 95 %" if share > 0.95 else f"about {step} %"


def block(column: Decision, use: Sequence[str]) -> Iterator[str]:
    """Give a column's entry as it stands in force; what a table names needs no use of its own."""
    source = column.found.profile.name
    yield f"  {column.name}:"
    if column.rows is not None:
        yield from entry("rows", column.rows.model_dump(exclude_defaults=True), 4)
    elif source != column.name:
        yield from entry("from", source, 4)
    yield f"    type: {column.type}"
    yield f"    identifiability: {column.found.identifiability}"
    yield f"    category: {column.found.category or NO_CATEGORY}"
    if use:
        yield from entry("use", use, 4)
    if Use.DERIVATION in use:
        yield "    treatment: {kind: drop}"
        return
    assert column.treatment is not None
    yield from entry("treatment", dump(column.treatment), 4)
    if not isinstance(column.treatment, Keep | DateParts) and not column.published:
        yield "    from_data: true"


def dump(treatment: Treatment) -> dict[str, Value]:
    """Give a treatment as it is written, without what is so by itself."""
    return treatment.model_dump(exclude_defaults=True)


def uses(column: Decision, decided: Decided) -> list[str]:
    """Say what a column in force is read for."""
    if column.name == decided.born:
        return [Use.DERIVATION, Use.ELIGIBILITY]
    first = [Use.ELIGIBILITY] if column.name == decided.age else []
    if column in decided.read_for_outcome:
        return [*first, Use.DERIVATION]
    return [*first, *([Use.TARGET] if column.name == decided.target else default_use(decided))]


def default_use(decided: Decided) -> list[Use]:
    """Give what columns serve in this policy: a model's features; what a table names says it."""
    return [Use.FEATURE] if decided.target else []


def derived_lines(decided: Decided) -> Iterator[str]:
    """Give what is computed: the age of a birth date, and the outcome of what it is read from.

    Nothing of it was taken from the data: the age's edges are ours, the outcome's words a person's.
    """
    if decided.born is None and not decided.read_for_outcome:
        return
    yield "derived:"
    if decided.born is not None:
        column = next(column for column in decided.columns if column.name == decided.born)
        bins = Bin(kind="bin", edges=EDGES, labels=label_bins(EDGES, whole=True))
        yield from comment("Only the age is used; the birth date is dropped.", 2)
        yield f"  {derived_age(decided)}:"
        yield f"    expression: years_since({decided.born})"
        yield f"    identifiability: {column.found.identifiability}"
        yield f"    category: {Category.AGE}"
        if use := default_use(decided):
            yield from entry("use", use, 4)
        yield from entry("treatment", dump(bins), 4)
    if decided.outcome is not None and decided.read_for_outcome:
        outcome = computed_outcome(decided)
        yield from comment("Only the outcome is used; what it is computed from is dropped.", 2)
        yield f"  {outcome.name}:"
        yield from entry("expression", decided.outcome.expression, 4)
        yield f"    identifiability: {outcome.found.identifiability}"
        yield f"    category: {outcome.found.category}"
        yield from entry("use", [Use.TARGET], 4)
        yield "    treatment: {kind: keep}"


def computed_outcome(decided: Decided) -> Decision:
    """Describe an outcome that is computed by the columns that it is read from."""
    read, outcome = decided.read_for_outcome, decided.outcome
    assert outcome is not None
    special = [c.found for c in read if c.found.category and c.found.category.special]
    first = (special or [column.found for column in read])[0]
    closest = max((c.found.identifiability for c in read), key=list(Identifiability)[::-1].index)
    missing = min(sum(column.found.profile.missing for column in read), 1.0)
    profile = replace(first.profile, missing=missing, type=ColumnType.BOOLEAN)
    found = replace(first, profile=profile, identifiability=closest)
    return Decision(found, outcome.name, Fate.PROPOSED, type=ColumnType.BOOLEAN)


def derived_age(decided: Decided) -> str:
    """Name the age that is made of a birth date as no other column is named."""
    taken = {column.name for column in decided.columns} | {decided.target}
    return next(name for name in ("age", "age_now", "age_by_birth_date") if name not in taken)


def leaving(decided: Decided) -> dict[str, Decision]:
    """Give what is there after de-identification by name; an age in place of a birth date."""
    kept = [c for c in decided.of(Fate.PROPOSED) if c not in decided.read_for_outcome]
    made = {derived_age(decided) if c.name == decided.born else c.name: c for c in kept}
    if decided.target and decided.read_for_outcome:
        made[decided.target] = computed_outcome(decided)
    return made


def notice_categories(decided: Decided) -> list[str]:
    """Give the categories of data that a policy reads, which a notice must enumerate."""
    return sorted({str(column.found.category) for column in decided.of(Fate.PROPOSED)})
