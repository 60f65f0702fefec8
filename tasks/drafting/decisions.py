"""What a draft decides of a table, as plain values: answers, one decision a column, the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from expectations.expressions.expressions import ColumnType
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.many_rows import FromRows
from expectations.policy.policy import Controller
from expectations.policy.treatments import Treatment
from expectations.policy.vocabulary import Category, Identifiability, Purpose
from tasks.drafting.codebook import Codebook
from tasks.drafting.examination import Examined
from tasks.drafting.signs import OTHER_DATES, Found

MOSTLY_MISSING: Final = 0.9


@dataclass(frozen=True, slots=True)
class Answers:
    """What no table tells, and whoever drafts a policy was asked for."""

    purpose: Purpose
    legal_basis: LegalBasis
    controller: Controller
    recipient: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person wants drafted, beyond what the signs propose."""

    target: str = ""
    """What a model is to predict: a column or an expression."""
    table: bool = False
    """Whether a table is to leave: beside the model of a target, else instead of any model."""
    accepted: Mapping[str, Category | None] = field(default_factory=dict)
    """Columns to read though they are in doubt, each with its category, or as it was seen."""
    codebook: Codebook = field(default_factory=dict)
    """What is declared of the source's columns, whatever their values are."""


class Fate(StrEnum):
    """What the draft does with a column."""

    PERSON = "names the person"
    ANSWER = "says who consented"
    PROPOSED = "proposed"
    OPEN = "to decide"
    DENIED = "never read"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one column, and why; of one in doubt, what there is to decide."""

    found: Found
    name: str
    """Its name in the policy."""
    fate: Fate
    why: str = ""
    decide: str = ""
    type: ColumnType = ColumnType.TEXT
    treatment: Treatment | None = None
    """What is proposed, in force or not; None where nothing can be."""
    published: str = ""
    """Where its words or edges are published; empty where they are these people's."""
    accepted: bool = False
    """Whether a person put it in force."""
    rows: FromRows | None = None
    """How it is made of a further table's rows; None for a column of the people's own table."""

    @property
    def measures(self) -> bool:
        """Whether its numbers are more or less of something; those of places and people name."""
        names = {Category.LOCATION, Category.IDENTIFYING, Category.CONTACT}
        return self.found.category not in names


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model is to predict."""

    name: str
    """Its name in the policy."""
    expression: str = ""
    """How it is computed; empty where it is a column as it stands."""
    reads: frozenset[str] = frozenset()
    """The columns of which it is computed, which are no features then."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a draft decided of a whole table."""

    examined: Examined
    columns: tuple[Decision, ...]
    outcome: Outcome | None
    """What a model is to predict; None where a table is drafted."""
    age: str | None
    """The column of ages in years that is read."""
    born: str | None
    """The column of birth dates that is read where no age is: only the age goes further."""
    table: bool
    """Whether a table leaves, beside a model or alone."""

    @property
    def target(self) -> str | None:
        """The policy's name of what a model is to predict; None without a model."""
        return self.outcome.name if self.outcome else None

    @property
    def said(self) -> str:
        """What a model is to predict, in a person's words."""
        assert self.outcome is not None
        computed = self.outcome.expression
        return f"whether {computed}" if computed else self.outcome.name

    def of(self, *fates: Fate) -> list[Decision]:
        """Give the columns of some fates, in the order of the source."""
        return [column for column in self.columns if column.fate in fates]

    @property
    def read_for_outcome(self) -> list[Decision]:
        """The columns of which the outcome is computed."""
        reads = self.outcome.reads if self.outcome else frozenset()
        return [column for column in self.of(Fate.PROPOSED) if column.name in reads]

    @property
    def lost_birth_date(self) -> str | None:
        """The column of birth dates that cannot be read, where nothing else tells an age."""
        if self.age or self.born:
            return None
        lost = (c.name for c in self.of(Fate.DENIED)
                if c.why == OTHER_DATES and c.found.category is Category.AGE)  # fmt: skip
        return next(lost, None)

    @property
    def person(self) -> str:
        """The source's own name of the column that names the person."""
        return self.of(Fate.PERSON)[0].found.profile.name

    @property
    def answer(self) -> Found | None:
        """The column that says who consented, where the draft rests on one."""
        return next((column.found for column in self.of(Fate.ANSWER)), None)


def lacks_condition(category: Category | None, basis: LegalBasis) -> bool:
    """Whether data of a category may not be read by a basis, since Art. 9 GDPR protects them."""
    return category is not None and category.special and basis.article_9 is None


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
        return "it has the same value for everybody"
    return ""
