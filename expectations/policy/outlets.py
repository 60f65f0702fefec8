"""Who receives what: the outlets of a policy, their promises, and the claims in words.

The protection follows from the outlet. A claim is exact about what holds and says beside it what
it does not protect against; no output is called anonymous.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from expectations.policy.declaration import Declaration, Term
from expectations.policy.privacy_models import PrivacyModel, describe_model
from expectations.privacy_loss import SANE_EPSILON


class DifferentialPrivacy(Declaration):
    """The model is (ε, δ)-differentially private per person (Dwork and Roth 2014, def. 2.4)."""

    kind: Literal["differential-privacy"]
    epsilon: float = Field(gt=0, le=SANE_EPSILON)
    delta: float = Field(gt=0, lt=0.001)


class ModelOutlet(Declaration):
    """A trained model is handed over."""

    kind: Literal["model"]
    recipient: str = Field(min_length=1)
    promise: DifferentialPrivacy | None = None
    """What is promised beyond the membership check; nothing when absent."""


class Generalized(Declaration):
    """A table's column is made coarser where k needs it, by declared groupings if given."""

    kind: Literal["generalize"]
    levels: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    """Groupings of the column's labels, each coarser; without any, neighbours merge in pairs."""
    weight: float = Field(default=1.0, gt=0, le=100)
    """How much this column's detail is worth, relative to the others."""


class Rare(Declaration):
    """Labels that too few of the table's people share become one label."""

    kind: Literal["rare"]
    at_least: int = Field(ge=2)
    label: Term = "other"


Coarsened = Annotated[Generalized | Rare, Field(discriminator="kind")]


class TableOutlet(Declaration):
    """Rows are released, k-anonymous by local recoding (Samarati 2001) over every column."""

    kind: Literal["table"]
    recipient: str = Field(min_length=1)
    k: int = Field(ge=2)
    max_suppressed: float = Field(default=0.0, ge=0, le=0.5)
    """The largest share of people that may be left out to reach k."""
    columns: Mapping[str, Literal["generalize", "keep"] | Coarsened] = Field(min_length=1)
    """Each released column: made coarser where needed, or kept unchanged."""
    output: Literal["hierarchy", "sets"] = "hierarchy"
    """Release labels of the hierarchies, or the sets of labels in a class (`a~b`)."""
    format: Literal["csv", "parquet"] = "csv"
    """What the table's file is: text for any program, or Parquet, in which numbers are numbers."""
    period: Literal["month", "quarter", "year"] = "year"
    """How long one plan serves every release, so that labels can be compared."""
    sensitive: Mapping[str, tuple[PrivacyModel, ...]] = Field(default_factory=dict)
    """Released columns outside k, each with privacy models for its values in a class."""
    loss_ratio: Mapping[str, Annotated[float, Field(ge=1)]] = Field(default_factory=dict)
    """Per column, how many times as much detail its worst-treated group may lose as its best."""
    not_linkable: Mapping[str, str] = Field(default_factory=dict)
    """Released columns outside k, each with the reason why nobody can link it."""

    @property
    def linkable(self) -> tuple[str, ...]:
        """The released columns over which k holds."""
        outside = self.not_linkable.keys() | self.sensitive.keys()
        return tuple(column for column in self.columns if column not in outside)


def join(outlets: Sequence[TableOutlet]) -> TableOutlet:
    """Give the one table that outlets would be whose tables are put together.

    It has the columns of all, the largest k and what any asks of a sensitive column.
    """
    asked: dict[str, tuple[PrivacyModel, ...]] = {}
    for outlet in outlets:
        for column, models in outlet.sensitive.items():
            asked[column] = (*asked.get(column, ()), *models)
    update: dict[str, object] = {
        "k": max(outlet.k for outlet in outlets),
        "max_suppressed": min(outlet.max_suppressed for outlet in outlets),
        "columns": {c: how for outlet in outlets for c, how in outlet.columns.items()},
        "sensitive": asked,
        "not_linkable": {c: why for outlet in outlets for c, why in outlet.not_linkable.items()},
    }
    return outlets[0].model_copy(update=update) if len(outlets) > 1 else outlets[0]


def spell_recipient(name: str) -> str:
    """Give a recipient's name as names are compared: two spellings of one are one recipient."""
    return " ".join(name.split()).casefold()


Outlet = Annotated[ModelOutlet | TableOutlet, Field(discriminator="kind")]


def claim(outlet: ModelOutlet | TableOutlet) -> str:
    """Say what the recipient may be told once every check has passed."""
    match outlet:
        case ModelOutlet(promise=None):
            return (
                "A model trained on pseudonymised data, attacked by membership inference before it "
                "left; nothing is promised beyond the checks shown."
            )
        case ModelOutlet(promise=promise):
            assert promise is not None
            return (
                f"A differentially private model (ε = {promise.epsilon:g}, δ = 1 in "
                f"{1 / promise.delta:,.0f}): adding or removing one person's data changes the "
                f"chance of any result by at most a factor of {math.exp(promise.epsilon):.3g}, "
                "plus δ."
            )
        case TableOutlet(k=k, sensitive=sensitive, output=output, not_linkable=outside):
            joined = (
                "“a~b” means one of a and b, “a-b”" if output == "sets" else "“a~b” and “a-b” mean"
            )
            asked = [describe_model(m, name) for name, models in sensitive.items() for m in models]
            return (
                f"A table that is {k}-anonymous over {{{', '.join(outlet.linkable)}}}: at least "
                f"{k} people share each combination of these values"
                + (f". Each such group has {'; '.join(asked)}." if asked else ".")
                + (f" Nothing of that holds for {', '.join(outside)}." if outside else "")
                + f" {joined} a value from a to b, “*” any value, “missing” that none is known."
            )


def claim_reached(outlet: ModelOutlet | TableOutlet, undecided: Sequence[str]) -> str:
    """Say what holds: an attack on a model that could not be judged takes back what rests on it.

    `undecided` are the checks of the outlet that did not pass. What a table promises was judged, or
    it would not leave; attacks on it only tell.
    """
    if not undecided or not isinstance(outlet, ModelOutlet):
        return claim(outlet)
    tried = (
        f"Could not be judged, which the policy accepts: {', '.join(undecided)}. That speaks "
        "neither for the model nor against it, and nothing has to be done."
    )
    if outlet.promise is None:
        return f"A model trained on pseudonymised data; nothing is promised beyond that. {tried}"
    return f"{claim(outlet)} {tried}"


def trust_in(functions: Collection[str]) -> str:
    """Say what a claim per person takes on trust of functions that are not tutela's own."""
    if not functions:
        return ""
    return (
        f" ε holds if {', '.join(dict.fromkeys(functions))} keep nothing between two rows: each is "
        "called with one row at a time, and was tried on made-up rows, which is not a proof."
    )


def limits(outlet: ModelOutlet | TableOutlet, own: Collection[str] = ()) -> str:
    """Say what the claim does not protect against; `own` are functions that are not tutela's."""
    match outlet:
        case ModelOutlet(promise=None):
            return (
                "Attacks stronger than those that were run; what the model says about groups of "
                "people, whether or not they took part."
            )
        case ModelOutlet():
            return (
                "What the model says about groups of people, whether or not they took part; the "
                "verdicts, metrics and counts of this run, which ε does not cover." + trust_in(own)
            )
        case TableOutlet(not_linkable=exempt, sensitive=sensitive, output=output):
            text = (
                "What all people of one combination share: whoever knows that somebody is among "
                "them knows it too. Seeing that somebody came or left since the last table, though "
                "not who; comparison with tables about the same people that others have or that "
                "were made elsewhere; background knowledge."
            )
            if sensitive:
                text += (
                    " Somebody who knows how classes are made and everybody's other values can "
                    "learn a sensitive value where a class was made coarser because of it."
                )
            if output == "sets":
                text += " Each value of a set belongs to somebody of its class."
            if exempt:
                reasons = "; ".join(f"{column} ({reason})" for column, reason in exempt.items())
                text += f" Not covered by k, on the policy's word: {reasons}."
            return text
