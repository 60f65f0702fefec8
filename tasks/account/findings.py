"""The evidence of one run, looked up by kind and name and read into the forms that are published.

The ledger keeps each entry's body as JSON, and it knows no form; the forms stand in `published`. A
body that does not fit its form raises pydantic's `ValidationError`: whoever wrote it and whoever
reads it disagree, which is a defect.

Nothing is computed here, sealed figures are not opened, and no exact figure is known. What a run
did not note or compare is absent: not zero, not alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, TypeVar, cast

from pydantic import TypeAdapter

from expectations.checks import Check
from expectations.policy.policy import Policy
from expectations.policy.treatments import has_order
from ledgers.evidence import JSON, Entry
from tasks.account.measured import (
    Audit,
    Difference,
    GroupErrors,
    GroupQuality,
    NumberAudit,
    NumberQuality,
    Quality,
)
from tasks.account.published import (
    ColumnInclusion,
    ComparedColumn,
    Figure,
    Inclusion,
    InclusionRate,
    LabelShares,
    Representation,
    Training,
)

T = TypeVar("T")
DIFFERENCES: Final = (
    "demographic_parity", "equalized_odds", "accuracy", "equal_opportunity", "bias", "error",
)  # fmt: skip
TABLES: Final = ("thresholds", "calibration", "classes", "few")
COMPARED: Final = "representation."
COUNTED: Final = "inclusion."


@dataclass(frozen=True, slots=True)
class CodesFound:
    """The codes that a concept set stood for when it was resolved."""

    codes: int
    sha256: str
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The evidence of a run by kind and name; the latest entry of a name counts."""

    entries: Sequence[Entry]

    def bodies(self, kind: str) -> dict[str, JSON]:
        """Give the bodies of one kind by name, in the order in which they arose."""
        return {entry.name: entry.body for entry in self.entries if entry.kind == kind}

    def body(self, kind: str, name: str) -> dict[str, JSON]:
        """Give the fields of one entry; none when there is no such entry."""
        body = self.bodies(kind).get(name)
        return body if isinstance(body, dict) else {}

    def tables(self, prefix: str) -> dict[str, JSON]:
        """Give the tables whose names begin so, by the rest of the name."""
        return {
            name.removeprefix(prefix): body
            for name, body in self.bodies("table").items()
            if name.startswith(prefix)
        }

    def codes(self) -> dict[str, tuple[str, ...]]:
        """Give what the policy's concept sets stood for, by name."""
        lists = self.tables("codes.").items()
        return {name: read(CodesFound, body).listed for name, body in lists}

    def measures(self, prefix: str = "") -> dict[str, float | None]:
        """Give the measures whose names begin so, by the rest of the name."""
        found = {
            name.removeprefix(prefix): body
            for name, body in self.bodies("measure").items()
            if name.startswith(prefix) and not self._betrays_count(name)
        }
        return read(dict[str, float | None], found)

    def _betrays_count(self, measure: str) -> bool:
        """Whether a measure is the share of people whose number is hidden."""
        outlet, _, share = measure.removeprefix("privacy.").partition(".")
        left_out = self.body("count", f"people.{outlet}.suppressed")
        return share == "suppressed_share" and bool(left_out) and left_out["about"] is None

    def figure(self, name: str, label: str) -> Figure | None:
        """Give one published count of people, or None where it was not counted."""
        fields = self.body("count", name)
        return read(Figure, {"label": label, **fields}) if fields else None

    def figures(self, labels: Mapping[str, str]) -> tuple[Figure, ...]:
        """Give the published counts that are there, each under its label."""
        found = (self.figure(name, label) for name, label in labels.items())
        return tuple(figure for figure in found if figure)

    def checks(self) -> tuple[Check, ...]:
        """Give what every check found, in order; a name may stand for several outlets."""
        return tuple(read(Check, e.body) for e in self.entries if e.kind == "check")


def read(form: type[T], value: object) -> T:
    """Read JSON into a form."""
    return cast("T", adapt(cast("Hashable", form)).validate_python(value))


@cache
def adapt(form: Hashable) -> TypeAdapter[Any]:
    """Give pydantic's adapter of a form, made once."""
    return TypeAdapter(cast("Any", form))


def read_text(value: JSON) -> str | None:
    """Give a text, or None for anything else."""
    return value if isinstance(value, str) else None


def read_training(found: Found, policy: Policy) -> Training | None:
    """Give how the model is trained, by the policy and by what the run noted; None without one."""
    if policy.training is None:
        return None
    noted, budget = found.body("training", "model"), policy.budget
    return Training(
        kind=policy.training.model,
        input=policy.training.input,
        crosses=policy.training.crosses,
        parameters=read(dict[str, str], noted.get("parameters") or {}),
        mechanisms=read(tuple[dict[str, str | float], ...], noted.get("mechanisms") or ()),
        lifetime_epsilon=budget.lifetime_epsilon if budget else None,
        lifetime_delta=budget.delta if budget else None,
        composition=budget.composition if budget else None,
    )


def read_quality(found: Found) -> Quality | None:
    """Give how good the model is; None where no model was measured."""
    measures = found.measures("utility.")
    if measures.get("auc") is None:
        return None
    told: dict[str, JSON] = {form.name: measures.get(form.name) for form in fields(Quality)}
    tables = found.tables("utility.")
    return read(Quality, told | {name: tables.get(name) or () for name in TABLES})


def read_number_quality(found: Found) -> NumberQuality | None:
    """Give how good a model of a number is; None where none was measured."""
    measures, tables = found.measures("utility."), found.tables("utility.")
    if measures.get("mae") is None:
        return None
    told: dict[str, JSON] = {form.name: measures.get(form.name) for form in fields(NumberQuality)}
    audits = [
        NumberAudit(
            column,
            read(tuple[GroupErrors, ...], body),
            tuple(_read_differences(found.measures("fairness."), column)),
        )
        for column, body in found.tables("utility.errors.").items()
    ]
    within, ranges = (tables.get(name) or () for name in ("within", "ranges"))
    return read(NumberQuality, told | {"within": within, "ranges": ranges, "audits": audits})


def read_audits(found: Found) -> tuple[Audit, ...]:
    """Give what is told of the groups of each audited column."""
    return tuple(
        Audit(
            column,
            read(tuple[GroupQuality, ...], body),
            tuple(_read_differences(found.measures("fairness."), column)),
        )
        for column, body in found.tables("utility.groups.").items()
    )


def _read_differences(measures: dict[str, float | None], column: str) -> Iterator[Difference]:
    for name in DIFFERENCES:
        places = (name, f"{name}_low", f"{name}_high")
        value, low, high = (measures.get(f"{place}.{column}") for place in places)
        if value is not None and low is not None and high is not None:
            yield Difference(name, value, low, high)


def read_representation(found: Found, policy: Policy) -> Representation | None:
    """Give how the people compare with the policy's reference; None where nobody was compared."""
    reference, tables = policy.population.reference, found.tables(COMPARED)
    if reference is None or not tables:
        return None
    measures = found.measures(COMPARED)
    return Representation(
        source=reference.source,
        difference_at_most=reference.difference_at_most,
        columns=tuple(
            ComparedColumn(
                column=column,
                role=reference.margins[column].role,
                ordered=has_order(policy.treated[column].treatment),
                labels=read(tuple[LabelShares, ...], rows),
                drift=measures.get(f"drift.{column}"),
                drift_weighted=measures.get(f"drift_weighted.{column}"),
            )
            for column, rows in tables.items()
        ),
        effective_sample_share=measures.get("effective_sample_share"),
    )


def read_inclusion(found: Found) -> Inclusion | None:
    """Give what was counted of eligible people without consent; None where nobody was looked at."""
    basis, tables = found.body("basis", "excluded people"), found.tables(COUNTED)
    if not basis:
        return None
    return Inclusion(
        article_6=read(str, basis["article_6"]),
        assessment=read(str, basis["assessment"]),
        read=read(tuple[str, ...], basis["columns"]),
        left_alone=read(tuple[str, ...], basis["left_alone"]),
        absent=found.figure("people.absent", "eligible without consent"),
        columns=tuple(
            ColumnInclusion(column, read(tuple[InclusionRate, ...], rows))
            for column, rows in tables.items()
        ),
    )
