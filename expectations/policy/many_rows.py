"""Tables with many rows a person, and columns that are made of them: one value for each person.

Such a column is a function of the person's own rows alone, in a window around the person's own
moment. So nothing after collection knows that there were several tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from expectations.expressions.expressions import ColumnType
from expectations.policy.declaration import Declaration, Term
from expectations.policy.locations import Location

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Taken: TypeAlias = Literal[
    "count", "count-distinct", "sum", "mean", "smallest", "largest", "first", "last",
    "any", "all", "days-since", "slope", "index",
]  # fmt: skip
OF_VALUES: Final = frozenset(
    ("count-distinct", "sum", "mean", "smallest", "largest", "first", "last", "slope")
)
"""What is made of the values of one field; the others are made of rows."""
OF_NUMBERS: Final = frozenset(("sum", "mean", "slope"))
ALWAYS_THERE: Final = frozenset(("count", "count-distinct", "sum", "any"))
"""What is there of no row as well, so that only people who were not observed lack it."""


class Unit(Declaration):
    """In which unit a number is told: by a column of the table, and what each unit counts as."""

    source: Term = Field(alias="from")
    """The table's own column that names the unit."""
    file: Term | None = None
    """A CSV beside the policy, with the columns unit and factor, instead of `factors`."""
    factors: Mapping[Term, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, min_length=1
    )
    """By which a number in this unit is multiplied; no other unit is known. A policy that names a
    file is read with its factors put here."""
    undeclared: Literal["refuse", "leave-out"] = "refuse"
    """What a number in another unit, or in none, does: it refuses the run, or is missing."""


class RowField(Declaration):
    """One field of a table's rows, which conditions and columns may use."""

    source: Term | None = Field(default=None, alias="from")
    """The table's own name, if it differs."""
    type: ColumnType
    unit: Unit | None = None
    """Of a number in several units."""


class Concept(Declaration):
    """One line of a concept set of OMOP: a concept, and what comes with it."""

    id: int
    excluded: bool = False
    """Whether it is taken out, whatever else brings it in."""
    descendants: bool = False
    """With all that is below it."""
    mapped: bool = False
    """With the source concepts that are mapped to these."""


class CodeList(Declaration):
    """Codes that a condition looks for by one name: `diagnosis in @diabetes`."""

    file: Term | None = None
    """Beside the policy: one code on a line, what is below it behind `;` on the same line."""
    codes: tuple[Term, ...] = ()
    """The codes themselves instead."""
    concept_set: Term | None = None
    """A concept set of OMOP instead, beside the policy: the JSON file that ATLAS exports."""
    concepts: tuple[Concept, ...] = ()
    """What the concept set says, or its lines themselves instead of a file."""


class Vocabulary(Declaration):
    """Tables of OMOP's vocabulary, by which concept sets become codes; nobody's data is there."""

    ancestors: Location
    """The table `concept_ancestor`: what is below a concept."""
    relationships: Location | None = None
    """The table `concept_relationship`: what is mapped to a concept."""


class RowsTable(Declaration):
    """A table with any number of rows for each person of the roster."""

    location: Location
    person: Term | None = None
    """The table's own name of the column that names the person, if it differs from the roster's."""
    at: Term
    """The column that says when a row's event took place: a date, or a moment."""
    known_at: Term | None = None
    """The column that says when the row was known, if that was later."""
    until: Term | None = None
    """The column that says when it ended. Then it is known at its end, if `known_at` does not say
    otherwise, and rows of one person may not overlap."""
    where: Term | None = None
    """A condition over its fields: rows that do not meet it are none of this table's."""
    most: int | None = Field(default=None, ge=1)
    """Of more rows of one person, only the latest before the index count, and the earliest after
    it."""
    fields: Mapping[FieldName, RowField] = Field(default_factory=dict)

    @property
    def known(self) -> str | None:
        """Give the column that says when the row was known, if that is not when it took place."""
        return self.known_at or self.until


class ReadDates(Declaration):
    """The days of the rows that are read of anybody; a consent may cover some days alone."""

    first: Day = Field(alias="from")
    last: Day = Field(alias="until")
    undated: Literal["not-covered", "covered"] = "not-covered"
    """Whether a consent for some days covers the roster's columns, which have none."""


class Index(Declaration):
    """Each person's own moment: a date of the policy, a date of the roster, or an event."""

    date: Day | None = None
    column: Term | None = None
    """A column of the roster; who has none there has no moment."""
    first: FieldName | None = None
    """A table: the moment of the person's first row there that meets `where`."""
    where: Term | None = None


class FollowUp(Declaration):
    """Until when people were observed: a day on which the data end, or one of each person.

    Or periods, which are rows of a table with `until`: that in which the index lies counts.
    """

    date: Day | None = None
    column: Term | None = None
    """A column of the roster; of who has none there, nothing after the index is known."""
    periods: FieldName | None = None
    """A table of periods in which people were observed; outside of one, nothing is known."""
    closed_by: FieldName | None = None
    """A table of events after which nothing can come, such as deaths: whose is within their period
    is known about for good."""


class FromRows(Declaration):
    """What a column takes of a table's rows; without a window of all rows before the index.

    A row counts as before the index if it took place and was known before it.
    """

    take: Taken
    of: FieldName | None = None
    """The table; `index` alone, which is the day of the person's own moment, is of none."""
    field: FieldName | None = None
    where: Term | None = None
    """A condition over the table's fields; a row for which it is not known does not meet it."""
    days_before: int | None = Field(default=None, ge=1)
    days_after: int | None = Field(default=None, ge=1)
    """A window after the index instead, for what is to be predicted."""

    @property
    def said(self) -> str:
        """How the column is made, as people read it."""
        if self.take == "index":
            return "the day of the person's index"
        what = self.take.replace("-", " ") + (f" of {self.field}" if self.field else "")
        which = f" where {self.where}" if self.where else ""
        when = (
            f"in the {self.days_after} days after the index"
            if self.days_after
            else f"in the {self.days_before} days before the index"
            if self.days_before
            else "before the index"
        )
        return f"{what} in {self.of}{which}, {when}"

    def type_of(self, fields: Mapping[str, RowField]) -> frozenset[ColumnType]:
        """Give the types that the column may be declared as."""
        match self.take:
            case "count" | "count-distinct" | "days-since":
                return frozenset((ColumnType.INTEGER, ColumnType.NUMBER))
            case "any" | "all":
                return frozenset((ColumnType.BOOLEAN,))
            case "mean" | "slope":
                return frozenset((ColumnType.NUMBER,))
            case "index":
                return frozenset((ColumnType.DATE,))
            case "sum" | "smallest" | "largest" | "first" | "last":
                held = fields[self.field].type if self.field and self.field in fields else None
                if held is None:
                    return frozenset()
                wider = {ColumnType.NUMBER} if held is ColumnType.INTEGER else set()
                return frozenset({held, *wider})
