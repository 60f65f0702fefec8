"""What a draft decides of each column: read it, leave it to a person to decide, or never read it.

Everything that is in doubt is denied. What is decided rests on the signs in `Found` and on the
legal basis that was given, and on nothing else: no column is read again here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import Final

from expectations.expressions import ColumnType
from expectations.legal_basis import LegalBasis
from expectations.policy import Controller
from expectations.treatments import Treatment
from expectations.vocabulary import Article6, Category, Identifiability, Purpose
from tasks.drafting.examination import Examined
from tasks.drafting.signs import Found
from tasks.drafting.writing_bins import propose_treatment

KEYS: Final = (None, Category.IDENTIFYING, Category.CONTACT)
"""What names a person is of one of these; an income is not, though each be different."""
MOSTLY_MISSING: Final = 0.9
RESERVED: Final = frozenset(
    {"true", "false", "null", "and", "or", "not", "in", "is", "between", "missing"}
)
"""Words that YAML or an expression would not take for a name."""
MOST_RELEASED: Final = 8
"""Columns of a table; k holds over all of them at once, so that each costs the others detail."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What no table tells, and whoever drafts a policy was asked for."""

    purpose: Purpose
    legal_basis: LegalBasis
    controller: Controller
    recipient: str


class Fate(StrEnum):
    """What the draft does with a column."""

    PERSON = "names the person"
    ANSWER = "says who consented"
    PROPOSED = "proposed"
    OPEN = "to decide"
    DENIED = "never read"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one column, and why; of an open one, what there is to decide."""

    found: Found
    name: str
    """Its name in the policy."""
    fate: Fate
    why: str = ""
    decide: str = ""
    type: ColumnType = ColumnType.TEXT
    treatment: Treatment | None = None
    """What is proposed, in force or not; None where nothing can be."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a draft decided of a whole table."""

    examined: Examined
    columns: tuple[Decision, ...]
    target: str | None
    """The column that a model is to predict, by its name in the policy; None without a model."""
    age: str | None
    """The column of ages in years that is read."""
    born: str | None
    """The column of birth dates that is read where no age is: only the age goes further."""

    def of(self, *fates: Fate) -> list[Decision]:
        """Give the columns of some fates, in the order of the source."""
        return [column for column in self.columns if column.fate in fates]

    @property
    def person(self) -> str:
        """The source's own name of the column that names the person."""
        return self.of(Fate.PERSON)[0].found.profile.name

    @property
    def answer(self) -> Found | None:
        """The column that says who consented, where the draft rests on one."""
        return next((column.found for column in self.of(Fate.ANSWER)), None)


def decide(examined: Examined, basis: LegalBasis) -> Decided:
    """Decide of every column; what names the person must be among them (`person_column`)."""
    person = person_column(examined)
    names = name_columns([found.profile.name for found in examined.columns])
    consent = basis.article_6 is Article6.CONSENT
    answer = next((f for f in examined.columns if f.consent and f is not person), None)
    decided = []
    for found, name in zip(examined.columns, names, strict=True):
        if found is person:
            decided.append(
                Decision(found, name, Fate.PERSON, "complete, and different in each row")
            )
        elif found is answer and consent:
            decided.append(Decision(found, name, Fate.ANSWER, "its name and words"))
        else:
            decided.append(decide_column(found, name, basis))
    return fit_outlet(examined, decided)


def fit_outlet(examined: Examined, columns: Sequence[Decision]) -> Decided:
    """Choose a model where there is an outcome and something to tell it by; else a table."""
    proposed = [column for column in columns if column.fate is Fate.PROPOSED]
    target = next((column.name for column in proposed if is_target(column)), None)
    age = next((column.name for column in proposed if is_age(column)), None)
    born = next((c.name for c in proposed if is_birth_date(c)), None) if age is None else None
    columns = [c if age is None or not is_birth_date(c) else open_birth_date(c) for c in columns]
    for_model = [column for column in proposed if column.type is not ColumnType.DATE]
    if target and (born or len(for_model) > 1):
        return Decided(examined, tuple(fit_model(columns, born)), target, age, born)
    kept = tuple(fit_table(columns))
    there = {column.name for column in kept if column.fate is Fate.PROPOSED}
    return Decided(
        examined, kept, None, age if age in there else None, born if born in there else None
    )


def person_column(examined: Examined) -> Found | None:
    """Give the column that names each person: one that is called an identifier before others."""
    able = [
        found
        for found in examined.columns
        if found.person and found.profile.name.strip() and found.category in KEYS
    ]
    return min(
        able, key=lambda f: f.identifiability is not Identifiability.IDENTIFIER, default=None
    )


def is_target(column: Decision) -> bool:
    """Whether a model can predict the column, and it looks like what one would predict."""
    return column.found.target and column.type is ColumnType.BOOLEAN


def decide_column(found: Found, name: str, basis: LegalBasis) -> Decision:
    """Decide of a column that neither names the person nor answers for consent."""
    if why := reason_to_deny(found):
        return Decision(found, name, Fate.DENIED, why)
    proposed = propose_treatment(found.profile)
    if proposed is None:
        why = "its words are many, and few people share one" \
            if found.profile.type is ColumnType.TEXT else "its numbers make no bins"  # fmt: skip
        return Decision(found, name, Fate.DENIED, why)
    made = Decision(found, name, Fate.PROPOSED, "", "", *proposed)
    for why, what in reasons_to_ask(found, basis):
        return replace(made, fate=Fate.OPEN, why=why, decide=what)
    return made


def reason_to_deny(found: Found) -> str:
    """Say why a column is never read, whatever anybody decides; empty where nothing speaks so."""
    profile = found.profile
    if not profile.name.strip():
        return "it has no name; a policy reads columns by theirs"
    if found.identifiability is Identifiability.IDENTIFIER:
        return "it names people"
    if found.free_text:
        return "free text, which can hold anything"
    if profile.missing >= MOSTLY_MISSING:
        return "nearly all of its values are missing"
    if profile.distinct < 2:
        return "it says the same of everybody"
    return ""


def reasons_to_ask(found: Found, basis: LegalBasis) -> Iterator[tuple[str, str]]:
    """Give each doubt about a column, and what a person must decide before it is read."""
    if found.category is None:
        yield (
            "nothing tells what kind of data it is",
            "what it means and whether the purpose needs it; write its category",
        )
    elif found.category.special and basis.article_9 is None:
        yield (
            f"a special category ({found.category}), and no Art. 9 condition was given",
            "whether a condition of Art. 9(2) GDPR applies; write it as legal_basis.article_9",
        )
    if found.consent:
        yield (
            "it looks like an answer to consent",
            "what the answer is about; it limits whom you may read, and is no feature",
        )
    if found.doubtful:
        yield "what it is, is in doubt", "what it is, and whether the purpose needs it"


def fit_model(columns: Sequence[Decision], born: str | None) -> list[Decision]:
    """Leave open what no model reads: a date has no public labels."""
    return [
        replace(
            column,
            fate=Fate.OPEN,
            why="a model reads no dates",
            decide="whether the purpose needs it; if so derive a yes/no column or a number from it",
        )
        if column.fate is Fate.PROPOSED and column.type is ColumnType.DATE and column.name != born
        else column
        for column in columns
    ]


def fit_table(columns: Sequence[Decision]) -> list[Decision]:
    """Leave open what a k-anonymous table has no room for, what points at people first in it."""
    proposed = [column for column in columns if column.fate is Fate.PROPOSED]
    ranked = sorted(proposed, key=lambda c: c.found.identifiability is not Identifiability.QUASI)
    return [
        replace(
            column,
            fate=Fate.OPEN,
            why=f"k holds over all columns at once, and {MOST_RELEASED} are enough to begin with",
            decide="whether the recipient needs it more than one of the others",
        )
        if column in ranked[MOST_RELEASED:]
        else column
        for column in columns
    ]


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
    if column.fate is not Fate.PROPOSED:
        return column
    why, what = "the age is read already", "whether the purpose needs more than the age"
    return replace(column, fate=Fate.OPEN, why=why, decide=what)


def is_birth_date(column: Decision) -> bool:
    """Whether a column holds the dates on which people were born."""
    return column.type is ColumnType.DATE and column.found.category is Category.AGE
