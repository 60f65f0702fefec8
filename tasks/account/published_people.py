"""The published form of who is in a run: consent, and who is missing; what `published` is made of.

Only shapes and names stand here; see `tasks/account/published.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

AS_THEY_ARE: Final = "representation"
ONCE_WEIGHTED: Final = "representation after weighting"
WEIGHTS: Final = "weights"
"""The checks on whom the people stand for, by the names under which they are on record."""


class Part:
    """What every part of a summary shares: the published schema names all there is."""

    __slots__ = ()
    __pydantic_config__: ClassVar = ConfigDict(
        json_schema_extra={"additionalProperties": False},
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


@dataclass(frozen=True, slots=True)
class Figure(Part):
    """A number with its label; `about` is None where a count of people is hidden."""

    label: str
    text: str
    about: int | None


@dataclass(frozen=True, slots=True)
class ConsentHistory(Part):
    """Which history of consent a run decided on, so that the decision can be made again.

    Both moments are UTC in ISO 8601; the link is that of the ledger's last event then, and the
    digest, which is keyed, what the decision came to.
    """

    valid_at: str
    known_at: str
    link: str
    digest: str


@dataclass(frozen=True, slots=True)
class LabelShares(Part):
    """One label of a column: its share of the people beside its share in the reference.

    A figure is None where the people's number is hidden, nobody is weighted, or the reference has
    no such label.
    """

    label: str
    people: str
    share: float | None
    reference: float | None
    difference: float | None
    """The standardized difference of the two shares (Austin 2009)."""
    ratio: float | None
    """The share over that of the reference, with the ends of its 95 % interval."""
    ratio_low: float | None
    ratio_high: float | None
    weighted: float | None
    weighted_difference: float | None


@dataclass(frozen=True, slots=True)
class ComparedColumn(Part):
    """The labels of one column in the order of its margin."""

    column: str
    role: Literal["rake", "hold-out"]
    ordered: bool
    """Whether the labels have an order of their own."""
    labels: tuple[LabelShares, ...]
    drift: float | None
    """The share of the people who would need another label for all shares to be met."""
    drift_weighted: float | None


@dataclass(frozen=True, slots=True)
class Representation(Part):
    """How far the people who were used are from the population that is meant."""

    source: str
    """Where the reference is published."""
    difference_at_most: float
    columns: tuple[ComparedColumn, ...]
    effective_sample_share: float | None
    """What weights leave of the sample's size (Kish 1965); None where nobody is weighted."""


@dataclass(frozen=True, slots=True)
class InclusionRate(Part):
    """The share of a label's eligible people who are there, with its 95 % interval (Wilson 1927).

    None where one of the two counts is hidden.
    """

    label: str
    included: str
    absent: str
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ColumnInclusion(Part):
    """The inclusion rates of one column's labels."""

    column: str
    rates: tuple[InclusionRate, ...]


@dataclass(frozen=True, slots=True)
class Inclusion(Part):
    """What was counted of eligible people without consent, and on which basis."""

    article_6: str
    assessment: str
    read: tuple[str, ...]
    """The columns that were read of them."""
    left_alone: tuple[str, ...]
    """For which reasons people were not looked at even here."""
    absent: Figure | None
    columns: tuple[ColumnInclusion, ...]
