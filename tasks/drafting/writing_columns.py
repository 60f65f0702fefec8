"""The columns of a drafted policy: those that are read, those to decide, and those never read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from expectations.treatments import Bin, DateParts, Keep, Treatment
from expectations.vocabulary import Category, Use
from tasks.drafting.deciding import Decided, Decision, Fate
from tasks.drafting.writing_bins import label_bins
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry, number

DECIDE: Final = "DECIDE"
"""Marks a place at which a person must decide."""
NO_CATEGORY: Final = "dpv-pd:…"
EDGES: Final = (30.0, 45.0, 60.0, 75.0)
"""Of ages made from birth dates: ours, and taken from nobody's data."""


def column_lines(decided: Decided) -> Iterator[str]:
    """Give the columns that are read, then those that a person must decide, then the others."""
    yield from comment(
        "What is read of the people above, and what becomes of it before anything else sees it. "
        "`from_data` marks labels and bounds that were taken from these people: before a private "
        "model `check` asks you to decide that they are public, and to take the mark out."
    )
    yield "columns:"
    for number_, column in enumerate(decided.of(Fate.PROPOSED)):
        if number_:
            yield ""
        yield from comment(f"Seen: {saw(column)}", 2)
        yield from block(column, uses(column, decided))
    if opened := decided.of(Fate.OPEN):
        yield ""
        yield from comment(
            "Not read, until somebody decides. To read one, take `# ` out of each of its lines"
            + (", and name it under the table's `columns` too." if not decided.target else "."),
            2,
        )
    for column in opened:
        yield "  #"
        yield from comment(f"{DECIDE} {column.name}: {column.why}. Seen: {saw(column)}", 2)
        yield from comment(f"Decide {column.decide}.", 2)
        lines = list(block(column, [default_use(decided)]))
        yield from commented_out(lines, 2)
    yield from denied_lines(decided)


def denied_lines(decided: Decided) -> Iterator[str]:
    """Name the columns that are never read, each with the reason."""
    if denied := decided.of(Fate.DENIED):
        yield ""
        yield from comment("Never read:", 2)
    for column in denied:
        told = [] if column.found.free_text else column.found.seen
        seen = f" ({'; '.join(told)})" if told else ""
        yield from comment(f"- {column.found.profile.name or '(no name)'}: {column.why}{seen}", 2)


def saw(column: Decision) -> str:
    """Say in one line what was seen of a column, without any person's value."""
    profile = column.found.profile
    said = list(column.found.seen)
    if profile.low is not None and profile.high is not None:
        said.append(f"{number(profile.low)} to {number(profile.high)}, rounded outward")
    if profile.rare and column.treatment and column.treatment.kind == "categories":
        said.append(
            "some words are not listed, since fewer than 10 people have each; they become `other`"
        )
    if profile.missing:
        said.append(f"{tell_share(profile.missing)} missing")
    if profile.alone:
        said.append(f"{tell_share(profile.alone)} of the people nearly alone with their value")
    return f"{'; '.join(said) or f'values of type {profile.type}'}."


def tell_share(share: float) -> str:
    """Word a share in steps of 5 %, so that no exact count of people stands in it."""
    step = round(share * 20) * 5
    if share < 0.05:
        return "under 5 %"
    return "over 95 %" if share > 0.95 else f"about {step} %"


def block(column: Decision, use: Sequence[str]) -> Iterator[str]:
    """Give a column's entry as it stands in force."""
    assert column.treatment is not None
    source = column.found.profile.name
    yield f"  {column.name}:"
    if source != column.name:
        yield from entry("from", source, 4)
    yield f"    type: {column.type}"
    yield f"    identifiability: {column.found.identifiability}"
    yield f"    category: {column.found.category or NO_CATEGORY}"
    yield from entry("use", use, 4)
    if Use.DERIVATION in use:
        yield "    treatment: {kind: drop}"
        return
    yield from entry("treatment", dump(column.treatment), 4)
    if not isinstance(column.treatment, Keep | DateParts):
        yield "    from_data: true"


def dump(treatment: Treatment) -> dict[str, Value]:
    """Give a treatment as it is written, without what is so by itself."""
    return treatment.model_dump(exclude_defaults=True)


def uses(column: Decision, decided: Decided) -> list[str]:
    """Say what a column in force is read for."""
    if column.name == decided.born:
        return [Use.DERIVATION, Use.ELIGIBILITY]
    first = [Use.ELIGIBILITY] if column.name == decided.age else []
    return [*first, Use.TARGET if column.name == decided.target else default_use(decided)]


def default_use(decided: Decided) -> Use:
    """Give what columns serve in this policy: a model's features, or a table's release."""
    return Use.FEATURE if decided.target else Use.RELEASE


def derived_lines(decided: Decided) -> Iterator[str]:
    """Give the age that is made of a birth date, where one is read."""
    if decided.born is None:
        return
    column = next(column for column in decided.columns if column.name == decided.born)
    bins = Bin(kind="bin", edges=EDGES, labels=label_bins(EDGES, whole=True))
    yield "derived:"
    yield from comment("The age alone goes further; the birth date is dropped.", 2)
    yield f"  {derived_age(decided)}:"
    yield f"    expression: years_since({decided.born})"
    yield f"    identifiability: {column.found.identifiability}"
    yield f"    category: {Category.AGE}"
    yield from entry("use", [default_use(decided)], 4)
    yield from entry("treatment", dump(bins), 4)


def derived_age(decided: Decided) -> str:
    """Name the age that is made of a birth date as no other column is named."""
    taken = {column.name for column in decided.columns}
    return next(name for name in ("age", "age_now", "age_by_birth_date") if name not in taken)


def leaving(decided: Decided) -> dict[str, Decision]:
    """Give what is there after de-identification by name, the age in place of the birth date."""
    return {
        derived_age(decided) if column.name == decided.born else column.name: column
        for column in decided.of(Fate.PROPOSED)
    }


def notice_categories(decided: Decided) -> list[str]:
    """Give the categories of data that a policy reads, which a notice must enumerate."""
    return sorted({str(column.found.category) for column in decided.of(Fate.PROPOSED)})
