"""The grammar of a policy: one purpose, who may be read, what each column becomes, who gets what.

A `Policy` that exists is well formed; whether its parts fit together is said by
`expectations.coherence`. Neither knows the source: `tasks/sources` compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from expectations.expressions.expressions import ColumnType, parse
from expectations.policy.approvals import Approvals
from expectations.policy.declaration import Declaration, Term
from expectations.policy.identifiers import Normal, SamePerson
from expectations.policy.legal_basis import Basis, LegalBasis
from expectations.policy.locations import Location
from expectations.policy.many_rows import (
    ALWAYS_THERE,
    CodeList,
    FieldName,
    FollowUp,
    FromRows,
    Index,
    ReadDates,
    RowsTable,
    Vocabulary,
)
from expectations.policy.outcome import Outcome, find_outcome
from expectations.policy.outlets import ModelOutlet, Outlet, TableOutlet, spell_recipient
from expectations.policy.population import Population
from expectations.policy.retention import Retention
from expectations.policy.training import MODEL_KINDS, Attacks, Budget, OwnReference, Training
from expectations.policy.treatments import Drop, Redact, Treatment
from expectations.policy.vocabulary import Category, Identifiability, Purpose, Use

NAME = r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$"
COLUMN = r"^[a-z][a-z0-9_]{0,62}$"
ColumnName = Annotated[str, Field(pattern=COLUMN)]
Part: TypeAlias = Literal["all", "tables", "advice"]
"""Which part of a policy a run carries out."""
OutletName = Annotated[str, Field(pattern=NAME)]


class Controller(Declaration):
    """Who is responsible for the processing (Art. 4(7) GDPR)."""

    name: Term
    contact: Term


class PeopleSource(Declaration):
    """Where the people are, and which column names the person."""

    location: Location
    person: Term
    """The source's own name of the column that names the person: complete and unique."""
    key: Term | None = None
    """The roster's column by which further tables name people, if it is another: a number that the
    database gives, which may change with every load. Consent and budgets never go by it."""
    normalize: tuple[Normal, ...] = ()
    """What is done to identifiers in every source before they are compared."""
    same_person: SamePerson | None = None
    """Identifiers that were found to be of one person; the stricter of their answers holds."""
    tables: Mapping[FieldName, RowsTable] = Field(default_factory=dict)
    """Further tables, with any number of rows for each of these people."""
    index: Index | None = None
    """Each person's own moment, before which columns of these tables look."""
    dates: ReadDates | None = None
    """The days of which rows of these tables are read; of all days without it."""
    followed_until: FollowUp | None = None
    """Until when these people were observed, which windows after the index need to know."""
    zone: Term | None = None
    """Where moments that are told with an offset are put on the calendar, as `Europe/Berlin`."""
    codes: Mapping[FieldName, CodeList] = Field(default_factory=dict)
    """Lists of codes, which conditions on rows look in."""
    vocabulary: Vocabulary | None = None
    """Where it stands what is below a concept, for lists that are concept sets."""

    @property
    def locations(self) -> Iterator[Location]:
        """Give every place from which something about these people is read."""
        yield self.location
        yield from (table.location for table in self.tables.values())
        if self.same_person is not None:
            yield self.same_person.location

    @property
    def code_lists(self) -> dict[str, tuple[str, ...]]:
        """Give the codes of each list; of a concept set those it names, until it is resolved."""
        return {
            name: found.codes or tuple(str(concept.id) for concept in found.concepts)
            for name, found in self.codes.items()
        }

    @property
    def joined_by(self) -> str:
        """The roster's column that further tables name people by."""
        return self.key or self.person


class Column(Declaration):
    """One column that is read: what it is, what it is for, and what becomes of it."""

    source: Term | None = Field(default=None, alias="from")
    """The source's own name, if it differs."""
    rows: FromRows | None = None
    """Instead, what is made of the person's rows in a table of `source.tables`."""
    type: ColumnType
    identifiability: Identifiability
    category: Category
    use: tuple[Use, ...] = ()
    """What it is read for; `release` need not be said of what a table outlet names."""
    treatment: Treatment
    from_data: bool = False
    """Whether the treatment's labels and bounds were taken from the people's own data, as `draft`
    does. Before a private model somebody must confirm that they are public, and remove this."""
    note: str | None = None


class DerivedColumn(Declaration):
    """A column computed from others of the same row, by an expression or your own function."""

    expression: Term | None = None
    function: OwnReference | None = None
    """Instead of an expression: `file.py:name` in the policy's folder, or `module.name`."""
    reads: tuple[ColumnName, ...] = ()
    """The columns that the function is given, as a pandas DataFrame."""
    type: ColumnType | None = None
    """What the function returns for each row; an expression has its own type."""
    identifiability: Identifiability
    category: Category
    use: tuple[Use, ...] = ()
    """What it is read for; `release` need not be said of what a table outlet names."""
    treatment: Treatment
    note: str | None = None

    @property
    def formula(self) -> str:
        """How it is computed, as people read it."""
        return self.expression or f"{self.function}({', '.join(self.reads)})"


class ValuesBetween(Declaration):
    """Every value lies between two bounds, both included."""

    rule: Literal["between"]
    column: ColumnName
    low: float
    high: float


class ValuesIn(Declaration):
    """Every value is one of the declared words."""

    rule: Literal["one-of"]
    column: ColumnName
    values: tuple[str, ...] = Field(min_length=1)


class MissingAtMost(Declaration):
    """At most a share of the values is missing."""

    rule: Literal["missing-at-most"]
    column: ColumnName
    share: float = Field(ge=0, le=1)


class ShareBetween(Declaration):
    """The share of people with one value lies between two bounds."""

    rule: Literal["share-between"]
    column: ColumnName
    value: str
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


Rule = Annotated[
    ValuesBetween | ValuesIn | MissingAtMost | ShareBetween, Field(discriminator="rule")
]


class Policy(Declaration):
    """One purpose, from the legal basis to what each recipient is promised."""

    tutela: Literal[1]
    """The version of this grammar."""
    name: Annotated[str, Field(pattern=NAME)]
    title: Term
    controller: Controller
    purpose: Purpose
    legal_basis: LegalBasis
    source: PeopleSource
    basis: Basis
    population: Population
    columns: Mapping[ColumnName, Column] = Field(min_length=1)
    derived: Mapping[ColumnName, DerivedColumn] = Field(default_factory=dict)
    outlets: Mapping[OutletName, Outlet] = Field(min_length=1)
    combine: tuple[Term, ...] = ()
    """Recipients, of this policy or others, who may put their tables together as if one had all."""
    expectations: tuple[Rule, ...] = ()
    training: Training | None = None
    budget: Budget | None = None
    attacks: Attacks | None = None
    approvals: Approvals | None = None
    retention_days: int | None = Field(default=None, ge=1)
    """How many days goods are kept; `retention` says more."""
    retention: Retention | None = None

    @model_validator(mode="after")
    def _what_tables_name_is_released(self) -> Self:
        """Put `release` among the uses of each column that a table names; it need not be said."""
        parts = {
            part: {
                name: column.model_copy(update={"use": (*column.use, Use.RELEASE)})
                if name in self.released and Use.RELEASE not in column.use
                else column
                for name, column in getattr(self, part).items()
            }
            for part in ("columns", "derived")
        }
        return self.model_copy(update=parts)

    @property
    def kept(self) -> Retention:
        """How long goods and evidence are kept; by days alone, evidence is as long as the home."""
        assert self.retention or self.retention_days, "coherence asks for one or the other"
        return self.retention or Retention(
            goods=f"{self.retention_days} days", because="retention_days"
        )

    @property
    def released(self) -> frozenset[str]:
        """The columns that some table releases."""
        return frozenset(c for outlet in self.table_outlets.values() for c in outlet.columns)

    @property
    def observed(self) -> tuple[str, ...]:
        """Name the columns that everybody has who was observed as long as they ask for."""
        made = {name: column.rows for name, column in self.columns.items()}
        return tuple(name for name, rows in made.items() if rows and rows.take in ALWAYS_THERE)

    @property
    def treated(self) -> dict[str, Column | DerivedColumn]:
        """Every column and derived column by name, in the order of the policy."""
        return {**self.columns, **self.derived}

    @property
    def categories(self) -> tuple[Category, ...]:
        """The categories of the columns that are read, sorted."""
        return tuple(sorted({column.category for column in self.columns.values()}))

    @property
    def leaving(self) -> tuple[str, ...]:
        """The columns that are still there after de-identification."""
        return tuple(
            name for name, column in self.treated.items() if not isinstance(column.treatment, Drop)
        )

    def used_as(self, use: Use) -> tuple[str, ...]:
        """Name the columns of one use, in the order of the policy."""
        return tuple(name for name, column in self.treated.items() if use in column.use)

    @property
    def target(self) -> str | None:
        """The column that a model predicts, where the policy has one."""
        return next(iter(self.used_as(Use.TARGET)), None)

    @property
    def outcome(self) -> Outcome:
        """What the target of a policy that trains can be: declared words, or a number."""
        assert self.target is not None, "only a policy that trains has an outcome"
        column = self.treated[self.target]
        found = find_outcome(column.treatment, self.column_type(self.target))
        assert found is not None, "coherence lets no other target pass"
        return found

    @property
    def private(self) -> bool:
        """Whether a model is trained under differential privacy, and so costs a budget."""
        return self.training is not None and self.training.private

    @property
    def own_functions(self) -> dict[str, str]:
        """Name by derived column the functions of one's own that the policy calls."""
        return {name: d.function for name, d in self.derived.items() if d.function is not None}

    @property
    def own_code(self) -> dict[str, str]:
        """Name by its path in the policy everything that is not of tutela: functions, the model."""
        found = {f"derived.{name}.function": own for name, own in self.own_functions.items()}
        if self.training is not None and self.training.model not in MODEL_KINDS:
            found["training.model"] = self.training.model
        return found

    @property
    def model_outlets(self) -> dict[str, ModelOutlet]:
        """The outlets through which a model leaves."""
        return {n: o for n, o in self.outlets.items() if isinstance(o, ModelOutlet)}

    @property
    def table_outlets(self) -> dict[str, TableOutlet]:
        """The outlets through which a table leaves."""
        return {n: o for n, o in self.outlets.items() if isinstance(o, TableOutlet)}

    def recipients(self, outlet: TableOutlet) -> frozenset[str]:
        """Give who puts an outlet's table together with others: its recipient, and who combines."""
        own, listed = spell_recipient(outlet.recipient), {*map(spell_recipient, self.combine)}
        return frozenset(listed if own in listed else {own})

    def joined_with(self, name: str) -> dict[str, TableOutlet]:
        """Give the outlets whose tables one recipient can put together with one's, it included."""
        tables = self.table_outlets
        own = self.recipients(tables[name])
        return {n: outlet for n, outlet in tables.items() if self.recipients(outlet) == own}

    def read_for(self, columns: Collection[str]) -> dict[Use, frozenset[str]]:
        """Name what is read to choose and compare people, and to derive and redact columns."""
        derived = [d for name, d in self.derived.items() if name in columns]
        treatments = [c.treatment for name, c in self.treated.items() if name in columns]
        return {
            Use.ELIGIBILITY: self._read_by([self.population.eligible]),
            Use.DERIVATION: self._read_by(d.expression for d in derived if d.expression).union(
                *(d.reads for d in derived)
            ),
            Use.REDACTION: frozenset(
                known for t in treatments if isinstance(t, Redact) for known in t.known
            ),
            **self.population.reads,
        }

    def _read_by(self, expressions: Iterable[str]) -> frozenset[str]:
        return frozenset(name for text in expressions for name in parse(text, self.types).columns)

    def for_part(self, part: Part) -> Policy:
        """Give what a part of the policy's work needs: all, its tables, or advice on its model."""
        match part:
            case "all":
                return self
            case "tables":
                return self.for_tables()
            case "advice":
                return self.for_advice()

    def for_tables(self) -> Policy:
        """Give the part of the policy that its table outlets need: fewer columns, no model."""
        without = dict.fromkeys(("training", "budget", "attacks"))
        part = {**without, "outlets": self.table_outlets}
        return self._reduce({*self.released}, self.population.for_tables(), part)

    def for_advice(self) -> Policy:
        """Give what its model learns from, and nothing of whom is compared or of tables."""
        learned = {*self.used_as(Use.FEATURE), *self.used_as(Use.TARGET)}
        part = {"outlets": self.model_outlets, "approvals": None}  # it hands nothing over
        return self._reduce(learned, self.population.for_advice(), part)

    def _reduce(
        self, columns: set[str], population: Population, part: Mapping[str, object]
    ) -> Policy:
        """Keep what some columns and the choice of people need, and the rules about them."""
        wanted = columns.union(*population.reads.values())
        chosen = self.model_copy(update={"population": population})
        needed = wanted.union(*chosen.read_for(wanted).values())
        kept = {
            "columns": {n: c for n, c in self.columns.items() if n in needed},
            "derived": {n: c for n, c in self.derived.items() if n in needed},
        }
        reduced = chosen.model_copy(update={**kept, **part})
        rules = tuple(rule for rule in self.expectations if rule.column in reduced.leaving)
        return reduced.model_copy(update={"expectations": rules})

    @property
    def types(self) -> dict[str, ColumnType]:
        """The declared type of each column that is read."""
        return {name: column.type for name, column in self.columns.items()}

    def column_type(self, name: str) -> ColumnType:
        """Give a column's declared type; of a derived one, that of its expression or function."""
        if name in self.columns:
            return self.columns[name].type
        derived = self.derived[name]
        if derived.type is not None:
            return derived.type
        assert derived.expression is not None, "coherence asks for one or the other"
        return parse(derived.expression, self.types).type

    def source_name(self, name: str) -> str:
        """Give the source's own name of a column; of one made of many rows, the name it has here.

        That name is marked, so that no column of the roster has it.
        """
        column = self.columns[name]
        return f"{name} (of rows)" if column.rows else column.source or name

    @property
    def made_of_rows(self) -> dict[str, FromRows]:
        """Give what is made of many rows, by the name that the source has for it."""
        made = {name: column.rows for name, column in self.columns.items()}
        return {self.source_name(name): rows for name, rows in made.items() if rows}

    def path_of(self, name: str) -> str:
        """Give the path of a column in the policy's file."""
        return f"columns.{name}" if name in self.columns else f"derived.{name}"
