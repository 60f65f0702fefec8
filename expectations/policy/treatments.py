"""What may be done to a column, declared; `tasks/anonymization/deidentify.py` carries it out.

Every treatment here is record-wise with public parameters: what becomes of one person's value
depends on that value and on the policy alone, never on other people. That is what lets a claim of
differential privacy stand on what follows. Data-dependent treatments belong to table outlets.
A new treatment is a class here and its place in the union; mypy names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from expectations.expressions.expressions import ColumnType
from expectations.policy.declaration import Declaration, Term, forms_by_kind

ANY: Final = frozenset(ColumnType)
TEXT: Final = frozenset({ColumnType.TEXT})
DATES: Final = frozenset({ColumnType.DATE})
NUMBERS: Final = frozenset({ColumnType.NUMBER, ColumnType.INTEGER})
NARROWED: Final = "narrow people down; the rarest label may have very few people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds of a treatment whatever its parameters; every class of one has them."""

    fits: frozenset[ColumnType]
    """The column types that it can be applied to."""
    suits: str
    """What a column is for which it is the one to take, as `a column that …`."""
    remains: str
    """What somebody who sees the treated column and means to find people can still do."""
    identifiers: bool = False
    """Whether what names a person may leave by it."""
    bounds: bool = False
    """Whether its values can be held to bounds by a value rule."""


class Drop(Declaration):
    """The column is used where its `use` says, and nowhere else."""

    kind: Literal["drop"]
    facts: ClassVar = Facts(
        fits=ANY,
        suits="is needed in the run, for instance for eligibility, but not released",
        remains="nothing: the column is gone",
        identifiers=True,
    )


class Keep(Declaration):
    """The value does not change; refused for identifiers, and for text, which may be free."""

    kind: Literal["keep"]
    facts: ClassVar = Facts(
        fits=ANY - TEXT,
        suits="is yes or no",
        remains="match it with any other list that has it",
        bounds=True,
    )


class Mask(Declaration):
    """All but the last characters become `*`; the length stays, so a guess can be confirmed."""

    kind: Literal["mask"]
    facts: ClassVar = Facts(
        fits=TEXT,
        suits="names a person, and people must recognize their own cases",
        remains="confirm a guess by its length and by what is shown",
        identifiers=True,
    )
    show_last: int = Field(default=0, ge=0, le=4)
    """How many characters at the end stay readable."""


class Token(Declaration):
    """A keyed pseudonym (HMAC-SHA-256), one key per purpose; whoever holds the key can confirm it.

    The same value has the same token in every table of a purpose, and another in other purposes.
    """

    kind: Literal["token"]
    facts: ClassVar = Facts(
        fits=TEXT | {ColumnType.INTEGER},
        suits="names a person, and one person's rows have to be joined",
        remains="follow one person through every table of the purpose; with the key, confirm a "
        "guess, or read the value if it is reversible",
        identifiers=True,
    )
    reversible: bool = False
    """Encrypt instead (AES-SIV, RFC 5297), so that `tutela keys reveal` can read it back."""


class Bin(Declaration):
    """A number becomes the public interval that holds it: `low ≤ value < high`, ends open."""

    kind: Literal["bin"]
    facts: ClassVar = Facts(
        fits=NUMBERS,
        suits="is a number: in fine steps where a model learns from it, with `generalize` in a "
        "table outlet",
        remains=NARROWED,
    )
    edges: tuple[float, ...] = Field(min_length=1)
    """Rising inner edges; below the first and from the last on are further intervals."""
    labels: tuple[str, ...]
    """One label per interval, one more than there are edges."""

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must rise; sort them and remove repeated ones")
        if len(self.labels) != len(self.edges) + 1 or len(set(self.labels)) != len(self.labels):
            raise ValueError(
                f"{len(self.edges)} edges make {len(self.edges) + 1} intervals; "
                "give that many labels, each different"
            )
        return self


class Clip(Declaration):
    """A number is moved to the nearer of two public bounds when it lies outside them."""

    kind: Literal["clip"]
    facts: ClassVar = Facts(
        fits=NUMBERS,
        suits="is a number that a model learns from as it is",
        remains="match exact values between the bounds with another list",
        bounds=True,
    )
    low: float
    high: float

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high; swap them")
        return self


class Round(Declaration):
    """A number becomes the nearest multiple of a public step."""

    kind: Literal["round"]
    facts: ClassVar = Facts(
        fits=NUMBERS,
        suits="is a number that need not be exact",
        remains=NARROWED,
        bounds=True,
    )
    to: float = Field(gt=0)


class Categories(Declaration):
    """One of declared words; another value stops the run, with a count, or becomes `other`."""

    kind: Literal["categories"]
    facts: ClassVar = Facts(
        fits=TEXT,
        suits="is one of some words",
        remains=NARROWED,
    )
    values: tuple[str, ...] = Field(min_length=2)
    """The words as they are released, in order if `ordered` says so."""
    rename: Mapping[str, str] = Field(default_factory=dict)
    """The source's word for a declared one, if they differ."""
    ordered: bool = False
    """Neighbours may be merged into a range, and a model reads the rank."""
    other: Term | None = None
    """The label of every undeclared value, which then does not stop the run."""

    @model_validator(mode="after")
    def _words_are_declared_once(self) -> Self:
        if len(set(self.values)) != len(self.values):
            raise ValueError("a value is listed twice; name each once")
        if set(self.rename.values()) - set(self.values):
            raise ValueError("`rename` gives a word that `values` lacks; declare it there")
        if self.ordered and self.other and self.other not in self.values:
            raise ValueError("`other` has no place in the order; put it among `values`")
        return self


class Level(Declaration):
    """A value becomes its label at one level of a public hierarchy."""

    kind: Literal["hierarchy"]
    facts: ClassVar = Facts(
        fits=ANY - {ColumnType.BOOLEAN},
        suits="is a place, an age, a code with a hierarchy",
        remains=NARROWED,
    )
    of: Literal["dates", "ages", "postcodes"] | None = None
    """A built-in hierarchy."""
    file: Term | None = None
    """Or an ARX file beside the policy: a line per value, `;` between its levels, the root last."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Or the lines themselves; a policy that names a file is read with its lines put here."""
    level: int = Field(ge=1)
    """Which level: 0 would be the value itself."""

    @model_validator(mode="after")
    def _one_hierarchy_is_named(self) -> Self:
        if (self.of is None) == (not self.rows):
            raise ValueError("has no hierarchy, or two; give one of `of`, `file` or `rows`")
        if self.rows and any(self.level >= len(row) - 1 for row in self.rows):
            raise ValueError("the level is not below the root of every line; lower it")
        return self


class Shift(Declaration):
    """All dates of one person move by the same number of days, drawn from a key per purpose."""

    kind: Literal["shift"]
    facts: ClassVar = Facts(
        fits=DATES,
        suits="is a date whose intervals matter, and a [derived]"
        "(policy.md#a-column-that-is-computed) number of days does not say enough",
        remains="match the intervals between dates; date them by known events, such as epidemics",
    )
    days: int = Field(ge=1, le=3650)
    """The farthest that a date moves, backward or forward."""


class Noise(Declaration):
    """A number is moved into public bounds, and Laplace noise (OpenDP) is added to it.

    ε-local differential privacy of this one value per run (Duchi et al. 2013); every run that
    adds fresh noise spends ε again.
    """

    kind: Literal["noise"]
    facts: ClassVar = Facts(
        fits=NUMBERS,
        suits="is a number whose sums or means alone matter, and no recipient may see it",
        remains="estimate the value, more closely with every run",
    )
    low: float
    high: float
    epsilon: float = Field(gt=0, le=20)

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high; swap them")
        return self


class DateParts(Declaration):
    """A date becomes its year, year and quarter, or year and month."""

    kind: Literal["date-parts"]
    facts: ClassVar = Facts(
        fits=DATES,
        suits="is a date that matters by its year, quarter or month",
        remains=NARROWED,
    )
    precision: Literal["year", "quarter", "month"]


class Redact(Declaration):
    """Free text, reduced: what Presidio finds, and the row's own identifiers, are replaced."""

    kind: Literal["redact"]
    facts: ClassVar = Facts(
        fits=TEXT,
        suits="is free text that cannot be left out, for a recipient under contract",
        remains="read what was not found: names, places and the story itself",
    )
    known: tuple[str, ...] = ()
    """Columns with the row's own identifiers, searched for in its text."""
    languages: tuple[Term, ...] = Field(default=("en",), min_length=1)
    """The languages of the texts, by their ISO 639-1 codes."""


Treatment = Annotated[
    Drop
    | Keep
    | Mask
    | Token
    | Bin
    | Level
    | Clip
    | Round
    | Noise
    | Categories
    | DateParts
    | Shift
    | Redact,
    Field(discriminator="kind"),
]

TREATMENTS: Final[Mapping[str, type[Treatment]]] = forms_by_kind(Treatment)
"""The class of each kind."""


def describe(treatment: Treatment) -> str:
    """Say in words what becomes of a column."""
    match treatment:
        case Mask(show_last=shown):
            return f"masked, the last {shown} characters shown" if shown else "masked"
        case Token(reversible=reversible):
            return f"replaced by a keyed pseudonym{', which the key can undo' * reversible}"
        case Bin(labels=labels):
            return f"put into {len(labels)} intervals"
        case Level(of=of, level=level):
            return f"made coarser, to level {level} of {of or 'a declared hierarchy'}"
        case Clip(low=low, high=high):
            return f"clipped to {low:g} to {high:g}"
        case Round(to=to):
            return f"rounded to multiples of {to:g}"
        case Noise(epsilon=epsilon):
            return f"Laplace noise added, ε = {epsilon:g}"
        case Categories(values=values, other=other):
            return f"one of {len(values)} declared words{f', or `{other}`' if other else ''}"
        case DateParts(precision=precision):
            return f"reduced to the {precision}"
        case Shift(days=days):
            return f"moved per person by at most {days} days"
        case Drop() | Keep() | Redact():
            return _PLAIN[treatment.kind]


_PLAIN: Final = {
    "drop": "used in the run, then dropped",
    "keep": "kept as it is",
    "redact": "free text, reduced by Presidio",
}


def public_labels(treatment: Treatment, column_type: ColumnType) -> tuple[str, ...] | None:
    """Give the declared labels that a treated column can hold, or None where it is not labelled."""
    match treatment:
        case Bin(labels=labels):
            return labels
        case Categories(values=values, other=other):
            return values if other is None else tuple(dict.fromkeys((*values, other)))
        case Level(rows=rows, level=level) if rows:
            return tuple(dict.fromkeys(row[level] for row in rows))
        case Keep() if column_type is ColumnType.BOOLEAN:
            return YES_NO
        case Keep() | Level() | Drop() | Mask() | Token() | Redact():
            return None
        case Clip() | Round() | Noise() | DateParts() | Shift():
            return None


def has_order(treatment: Treatment) -> bool:
    """Whether neighbouring labels of the treated column may be merged."""
    match treatment:
        case Bin():
            return True
        case Categories(ordered=ordered):
            return ordered
        case Level() | Keep() | Drop() | Mask() | Token() | Redact():
            return False
        case Clip() | Round() | Noise() | DateParts() | Shift():
            return False


YES_NO = ("no", "yes")
"""How a boolean leaves: false and true as words."""
