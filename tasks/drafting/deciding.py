"""What a draft decides of each column: read it, leave it to a person to decide, or never read it.

Everything that is in doubt is denied. What is decided rests on the signs in `Found` and on the
legal basis that was given, and on nothing else: no column is read again here. The treatment that is
proposed for a column follows from its type and its profile alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise
from typing import Final

from expectations.errors import UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.formulas import is_formula
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.treatments import Bin, Categories, DateParts, Keep, Treatment
from expectations.policy.vocabulary import Article6, Category, Identifiability
from tasks.drafting.accepting import accept, refuse_open
from tasks.drafting.codebook import OTHER, Declared
from tasks.drafting.cut_offs import find_cut_offs
from tasks.drafting.decisions import (
    Decided,
    Decision,
    Fate,
    Outcome,
    Wishes,
    lacks_condition,
    reason_to_deny,
)
from tasks.drafting.examination import Examined
from tasks.drafting.outcome import NOTHING_LEFT, find_outcome, read_outcome
from tasks.drafting.profile import NUMERIC, Profile
from tasks.drafting.signs import OTHER_DATES, Found, read_name
from tasks.drafting.writing_yaml import number

NO_WISHES: Final = Wishes()
FIVE_DIGITS: Final = 10_000
"""From here on numbers are easier to read with separators between thousands."""
FEW_NUMBERS: Final = 12
BOUNDED: Final = "round numbers within the bounds of the codebook"
ORDER: Final = (Category.IDENTIFYING, Category.CONTACT, None, Category.DEMOGRAPHIC)
"""What a column that names people is of, the likeliest first."""
CODED: Final = frozenset({Category.DEMOGRAPHIC, Category.LOCATION, Category.PROFESSIONAL})
"""Kinds of data that registers number, without an order: trades, places, degrees."""
MUCH_MISSING: Final = 0.3
"""A column of which more is missing is not among the first of a table."""
RESERVED: Final = frozenset(
    {"true", "false", "null", "and", "or", "not", "in", "is", "between", "missing"}
)
"""Words that YAML or an expression would not take for a name."""
MOST_RELEASED: Final = 8
"""Columns of a table; k holds over all of them at once, so that each costs the others detail."""


def decide(examined: Examined, basis: LegalBasis, wishes: Wishes = NO_WISHES) -> Decided:
    """Decide of every column; what names the person must be among them (`person_column`).

    `UsageError` for a wish that cannot be met. Without a target or a table wished for, a yes/no
    column that surely looks like an outcome is predicted, if there is one.
    """
    person = person_column(examined)
    names = name_columns([found.profile.name for found in examined.columns])
    consent = basis.article_6 is Article6.CONSENT
    answer = next((f for f in examined.columns if f.consent and f is not person), None)
    decided = []
    for found, name in zip(examined.columns, names, strict=True):
        if found is person:
            decided.append(Decision(found, name, Fate.PERSON, "complete and unique"))
        elif found is answer and consent:
            decided.append(Decision(found, name, Fate.ANSWER, "its name and words"))
        else:
            declared = wishes.codebook.get(found.profile.name)
            decided.append(decide_column(found, name, basis, declared))
    decided = accept(wishes.accepted, decided, basis)
    outcome = find_outcome(wishes.target, decided) if wishes.target else None
    if outcome:
        decided = read_outcome(outcome, decided, basis)
    fitted = fit_outlet(examined, decided, outcome, table=wishes.table)
    refuse_open(fitted.columns)
    return fitted


def fit_outlet(
    examined: Examined, columns: Sequence[Decision], wanted: Outcome | None, *, table: bool
) -> Decided:
    """Choose a model where there is an outcome and something to tell it by; else a table.

    Where a `table` is wished for, only an outcome that is wanted makes a model.
    """
    proposed = [column for column in columns if column.fate is Fate.PROPOSED]
    free = [column for column in proposed if wanted is None or column.name not in wanted.reads]
    guessed = next((Outcome(column.name) for column in proposed if is_target(column)), None)
    outcome = wanted or (None if table else guessed)
    target = outcome.name if outcome else None
    age = next((column.name for column in proposed if is_age(column)), None)
    born = next((c.name for c in free if is_birth_date(c)), None) if age is None else None
    columns = [open_birth_date(c) if age and is_birth_date(c) and c in free else c for c in columns]
    for_model = [c for c in free if c.type is not ColumnType.DATE and c.name != target]
    if outcome and (born or for_model):
        kept = tuple(fit_model(columns, outcome, born))
        return Decided(examined, kept, outcome, age, born, table=table)
    if wanted:
        raise UsageError(NOTHING_LEFT)
    kept = tuple(fit_table(columns))
    there = {column.name for column in kept if column.fate is Fate.PROPOSED}
    age, born = (name if name in there else None for name in (age, born))
    return Decided(examined, kept, None, age, born, table=True)


def person_column(examined: Examined) -> Found | None:
    """Give the column that names each person: one that is called an identifier before others."""
    able = [f for f in examined.columns if could_name(f)]
    return min(able, key=how_likely, default=None)


def could_name(found: Found) -> bool:
    """Whether a column could name each person, and has a name itself."""
    named = bool(found.profile.name.strip())
    return found.person and named and (called_person(found) or found.category in ORDER)


def how_likely(found: Found) -> int:
    """Give a place among the columns that could name people, the likeliest first."""
    return 0 if called_person(found) else 1 + ORDER.index(found.category)


def called_person(found: Found) -> bool:
    """Whether a column is called a person's row or number, whatever its name says beside."""
    return any(sign.person for sign in read_name(found.profile.name))


def repeats_people(examined: Examined) -> list[str]:
    """Name what is called a person's number and stands in several rows each."""
    return [
        found.profile.name
        for found in examined.columns
        if called_person(found)
        and found.identifiability is Identifiability.IDENTIFIER
        and found.profile.distinct < found.profile.rows * (1 - found.profile.missing)
    ]


def is_target(column: Decision) -> bool:
    """Whether a model can predict the column, and it looks like what one would predict."""
    return column.found.target and column.type is ColumnType.BOOLEAN


def decide_column(
    found: Found, name: str, basis: LegalBasis, declared: Declared | None = None
) -> Decision:
    """Decide of a column that neither names the person nor answers for consent."""
    if why := reason_to_deny(found):
        return Decision(found, name, Fate.DENIED, why)
    coded = found.category in CODED
    proposed = propose_published(found.profile, declared) or propose_treatment(
        found.profile, coded=coded
    )
    if proposed is None:
        return Decision(found, name, Fate.DENIED, why_nothing_fits(found))
    made = Decision(found, name, Fate.PROPOSED, "", "", *proposed)
    for why, what in reasons_to_ask(found, basis):
        return replace(made, fate=Fate.OPEN, why=why, decide=what)
    return made


def why_nothing_fits(found: Found) -> str:
    """Say why no treatment can be proposed for a column."""
    if OTHER_DATES in found.seen:
        return OTHER_DATES
    if found.profile.type is ColumnType.TEXT:
        return "it has too many words to list, or few people share one"
    return "its numbers make no bins"


def reasons_to_ask(found: Found, basis: LegalBasis) -> Iterator[tuple[str, str]]:
    """Give each doubt about a column, and what a person must decide before it is read."""
    if found.category is None:
        yield (
            "it is unclear what kind of data it is",
            "what it means and whether the purpose needs it; then write its category",
        )
    elif lacks_condition(found.category, basis):
        yield (
            f"special category {found.category.partition(':')[2]}, no Art. 9 condition",
            (
                "whether it is of that category at all, and correct it if not; if it is, whether a "
                "condition of Art. 9(2) GDPR applies, and write it as legal_basis.article_9"
            ),
        )
    if found.consent:
        yield (
            "it looks like an answer to consent",
            "what the answer is about; it limits who may be read, and is not a feature",
        )
    if found.doubtful:
        yield "its meaning is in doubt", "what it is, and whether the purpose needs it"


def fit_model(columns: Sequence[Decision], outcome: Outcome, born: str | None) -> list[Decision]:
    """Leave open what no model reads: a date has no public labels."""
    return [
        replace(
            column,
            fate=Fate.OPEN,
            why="a model reads no dates",
            decide="whether the purpose needs it; if so derive a yes/no column or a number from it",
        )
        if column.fate is Fate.PROPOSED
        and column.type is ColumnType.DATE
        and column.name not in {born, *outcome.reads}
        else column
        for column in columns
    ]


def fit_table(columns: Sequence[Decision]) -> list[Decision]:
    """Leave open what a k-anonymous table has no room for, what points at people first in it."""
    first = first_of_table([column for column in columns if column.fate is Fate.PROPOSED])
    return [
        replace(
            column,
            fate=Fate.OPEN,
            why=f"k covers all columns at once, and {MOST_RELEASED} are enough to begin with",
            decide="whether the recipient needs it more than one of the others, or may have it "
            "outside k, under `sensitive` or `not_linkable`",
        )
        if column.fate is Fate.PROPOSED and column not in first
        else column
        for column in columns
    ]


def first_of_table(columns: Sequence[Decision]) -> list[Decision]:
    """Choose what a table begins with: full columns, and of those what points at people.

    What a person accepted comes on top.
    """
    names = {column.name for column in columns}
    ranked = sorted(
        (column for column in columns if not column.accepted),
        key=lambda c: (
            c.found.profile.missing > MUCH_MISSING or is_power(c.name, names),
            c.found.identifiability is not Identifiability.QUASI,
        ),
    )
    return [*(column for column in columns if column.accepted), *ranked[:MOST_RELEASED]]


def is_power(name: str, names: Collection[str]) -> bool:
    """Whether a column is called the square, cube or logarithm of another, and tells no more."""
    base = re.sub(r"(_?(sq|sqr|squared|cube|cubed))$|^(log_?|ln_?|l)(?=...)", "", name)
    return base != name and base in names


def name_columns(sources: Sequence[str]) -> list[str]:
    """Name columns as a policy does, each differently: small letters, digits and `_`."""
    names: list[str] = []
    for source in sources:
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", source)
        name = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")[:60] or "column"
        name = name if name[0].isalpha() and name not in RESERVED else f"c_{name}"
        numbered = (f"{name}_{n}" if n > 1 else name for n in count(1))
        names.append(next(each for each in numbered if each not in names))
    return names


def is_age(column: Decision) -> bool:
    """Whether a column holds people's ages in years, by its name, its kind and its range."""
    profile = column.found.profile
    numeric = profile.type in {ColumnType.INTEGER, ColumnType.NUMBER}
    named = "age" in re.split(r"[_\d]+", column.name)
    return named and numeric and column.found.category is Category.AGE \
        and (profile.high or 0) >= 18  # fmt: skip


def open_birth_date(column: Decision) -> Decision:
    """Leave a birth date open where the age is read: it points at people more closely."""
    if column.fate is not Fate.PROPOSED or column.accepted:
        return column
    why, what = "the age is read already", "whether the purpose needs more than the age"
    return replace(column, fate=Fate.OPEN, why=why, decide=what)


def is_birth_date(column: Decision) -> bool:
    """Whether a column holds the dates on which people were born."""
    return column.type is ColumnType.DATE and column.found.category is Category.AGE


def propose_published(
    profile: Profile, declared: Declared | None
) -> tuple[ColumnType, Treatment, str] | None:
    """Give what to declare and the treatment that is public, and where it is published.

    The words of a codebook come first, then published cut-offs of a measurement, then round
    numbers within a codebook's bounds. None where nothing is published that fits the column.
    """
    words = declared and declared.list_words()
    if declared and words and profile.type is not ColumnType.BOOLEAN:
        told = f": {meanings}" if (meanings := declared.meanings) else ""
        return ColumnType.TEXT, words, f"the words of the codebook{told}"
    if profile.type not in NUMERIC:
        return None
    whole = profile.type is ColumnType.INTEGER
    found = None if few_numbers(profile) else find_cut_offs(profile)
    edges = found.edges if found else declared.part_bounds(whole=whole) if declared else ()
    if not edges:
        return None
    said = f"read as {found.says}, with the cut-offs of {found.source}" if found else BOUNDED
    return profile.type, make_bins(profile.type, edges), said


def make_bins(kind: ColumnType, edges: tuple[float, ...]) -> Bin:
    """Part numbers at some edges."""
    return Bin(kind="bin", edges=edges, labels=label_bins(edges, whole=kind is ColumnType.INTEGER))


def propose_treatment(
    profile: Profile, *, coded: bool = False
) -> tuple[ColumnType, Treatment] | None:
    """Give the type to declare and the treatment; None where nothing can be proposed.

    Numbers go into bins of the profile's round edges; words into categories; dates become their
    year, and a yes/no column is kept. A few whole numbers are words, since they may be codes, and
    in order unless they surely are (`coded`); where few people have some of them, they are parted
    at those that many have.
    """
    if few_numbers(profile):
        return ColumnType.TEXT, propose_categories(profile, codes=coded)
    edges = profile.edges or edges_at_words(profile)
    match profile.type:
        case ColumnType.BOOLEAN:
            return ColumnType.BOOLEAN, Keep(kind="keep")
        case ColumnType.DATE:
            return ColumnType.DATE, DateParts(kind="date-parts", precision="year")
        case ColumnType.INTEGER | ColumnType.NUMBER if edges:
            return profile.type, make_bins(profile.type, edges)
        case ColumnType.NUMBER:
            return None
        case _ if len(profile.words) > 1:
            return ColumnType.TEXT, propose_categories(profile)
        case _:
            return None


def few_numbers(profile: Profile) -> bool:
    """Whether a few whole numbers are all there are, as of codes; written so, and not as 3.0."""
    whole = profile.type is ColumnType.INTEGER and not profile.rare
    plain = all(word.lstrip("-").isdigit() for word in profile.words)
    return whole and plain and 1 < len(profile.words) <= FEW_NUMBERS


def edges_at_words(profile: Profile) -> tuple[float, ...]:
    """Part whole numbers, few people having some of them, at those that many have."""
    if profile.type is not ColumnType.INTEGER:
        return ()
    return tuple(sorted(map(float, profile.words))[1:])


def propose_categories(profile: Profile, *, codes: bool = False) -> Categories:
    """Give the words that many rows share, in an order that does not tell which has most.

    Words that are not listed, since few people have them, become `other`; a column that has such a
    word of its own keeps its spelling. Whole numbers are in order, unless they are `codes`. A word
    that a spreadsheet would run is released under another.
    """
    digits = profile.type is ColumnType.INTEGER
    words = sorted(
        profile.words, key=(lambda w: (0, float(w), w)) if digits else (lambda w: (0, 0, w))
    )
    own = next((word for word in words if word.casefold() == OTHER), OTHER)
    renamed = {word: f"is {word}" for word in words if is_formula(word)}
    return Categories(
        kind="categories",
        values=tuple(renamed.get(word, word) for word in words),
        rename=renamed,
        ordered=digits and not codes,
        other=own if profile.rare else None,
    )


def label_bins(edges: Sequence[float], *, whole: bool) -> tuple[str, ...]:
    """Label the intervals between rising edges: `under 30`, `30-44`, `45+`; one more than edges.

    Of whole numbers a label names the first and the last that it holds; of others the edges. None
    begins with a sign, as a formula of a spreadsheet does. Where one has five digits, all are in
    thousands; fewer may be years.
    """
    large = max(map(abs, edges)) >= FIVE_DIGITS
    spell = (lambda value: f"{value:,.10g}") if large else number
    inner = [_between(low, high, spell, whole=whole) for low, high in pairwise(edges)]
    last = f"from {spell(edges[-1])}" if edges[-1] < 0 else f"{spell(edges[-1])}+"
    return (f"under {spell(edges[0])}", *inner, last)


def _between(low: float, high: float, spell: Callable[[float], str], *, whole: bool) -> str:
    begin = f"from {spell(low)}" if low < 0 else spell(low)
    if not whole or not (low.is_integer() and high.is_integer()):
        return f"{begin} to under {spell(high)}"
    if high - low == 1:
        return spell(low)
    return f"{begin}{'-' if low >= 0 else ' to '}{spell(high - 1)}"
