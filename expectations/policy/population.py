"""Whom a policy is about, which of them are taken, and with whom they are compared: the grammar.

Eligibility and a keyed sample are record-wise. Caps, quotas and weights look at other people too,
and so have no place before a model that promises differential privacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from expectations.policy.declaration import Declaration, Term
from expectations.policy.vocabulary import Article6, Use

Share = Annotated[float, Field(ge=0, le=1)]


class Strata(Declaration):
    """Groups of people by the values of some columns, each with its own limits."""

    by: tuple[Term, ...] = Field(min_length=1)
    """Columns or derived columns with declared labels (bin, categories, yes/no), or other words;
    people without a value form their own group."""
    smallest: int | None = Field(default=None, ge=10)
    """The fewest people that each group must have; with one column of declared labels, this also
    includes labels that nobody has."""
    at_most: int | None = Field(default=None, ge=10)
    """The most people that are taken of each group, by a keyed draw; it looks at other people."""
    sample: Mapping[str, Share] = Field(default_factory=dict)
    """The share taken of a group, by its label; other groups are taken whole. For one column only,
    and instead of the population's `sample`."""


class Margin(Declaration):
    """The published shares of one column's values in the reference population."""

    shares: Mapping[str, Share] = Field(min_length=2)
    """The share of every label that the column has after its treatment, 0 if nobody has it; they
    add up to 1. If `missing` has a share too, it is a label like any other; else the others are
    shares of the people whose value is known."""
    role: Literal["rake", "hold-out"] = "rake"
    """Whether weights are made to meet it, or are judged by it and do not use it."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not isclose(sum(self.shares.values()), 1, abs_tol=0.005):
            raise ValueError("the shares must add up to 1; correct or complete them")
        return self


class Reference(Declaration):
    """The reference population, as published figures describe it."""

    source: Term
    """Where the figures are published."""
    margins: Mapping[str, Margin] = Field(min_length=1)
    """The shares of a column's values, by column; its use is `representation`."""
    difference_at_most: float = Field(default=0.1, gt=0, le=1)
    """The largest standardized difference of a share that counts as alike (Austin 2009)."""
    when_exceeded: Literal["refuse", "warn"] = "warn"
    """Whether a larger one ends the run, or only warns in the report."""

    def of_role(self, role: Literal["rake", "hold-out"]) -> dict[str, Margin]:
        """Give the margins of one role by column, in the order of the policy."""
        return {column: margin for column, margin in self.margins.items() if margin.role == role}


class ExcludedPeople(Declaration):
    """Why eligible people who did not consent may be looked at, to count who is missing.

    Only counts are made, of columns without a special category; people who withdrew, objected or
    are restricted are left out even there, which is a policy choice.
    """

    article_6: Article6
    """Any basis but consent, which is what these people did not give."""
    assessment: Term
    """A reference to the assessment that allows it."""
    by: tuple[Term, ...] = Field(min_length=1)
    """The columns by which they are counted; the reference has a margin for each."""


class Weighting(Declaration):
    """Weights by raking to the reference's margins; never before a private model."""

    largest: float = Field(default=5, gt=1)
    """The largest weight that anybody gets, where 1 is the mean."""
    smallest_effective_share: float = Field(default=0.3, gt=0, le=1)
    """The smallest effective sample size allowed, as a share of the people (Kish 1965)."""


class Population(Declaration):
    """The people that the policy is about."""

    eligible: Term = "true"
    """An expression over the named columns; people who do not satisfy it are left out."""
    smallest: int = Field(ge=10)
    """The fewest people with which the run continues."""
    at_most: int | None = Field(default=None, ge=10)
    """The most people that are taken, by a keyed draw; it looks at other people."""
    sample: float = Field(default=1, gt=0, le=1)
    """The share of people taken, by a keyed draw; it stays the same, and only the key shows it."""
    strata: Strata | None = None
    test_share: float = Field(default=0.25, gt=0, lt=1)
    """The share of people kept for testing, drawn by a keyed hash."""
    split_by: Term | None = None
    """A column of text or whole numbers, such as the household's: people with one value fall on
    one side of the split; people without a value are split one by one."""
    reference: Reference | None = None
    excluded_people: ExcludedPeople | None = None
    weighting: Weighting | None = None

    @property
    def reads(self) -> dict[Use, frozenset[str]]:
        """Name the columns that are read to draw people by, to split them, and to compare them."""
        return {
            Use.STRATUM: frozenset(self.strata.by if self.strata else ()),
            Use.SPLIT: frozenset({self.split_by} if self.split_by else ()),
            Use.REPRESENTATION: frozenset(self.reference.margins if self.reference else ()),
        }

    def for_tables(self) -> Population:
        """Give what table outlets need: nobody is split off, and only who is taken is looked at."""
        without = ("split_by", "excluded_people")
        return self.model_copy(update=dict.fromkeys(without))

    def for_advice(self) -> Population:
        """Give what advice on a model needs: nobody is compared with whom is meant."""
        without = ("reference", "excluded_people", "weighting")
        return self.model_copy(update=dict.fromkeys(without))
