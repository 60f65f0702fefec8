"""Of which columns of which tables each column of a data set is made, in OpenLineage's words.

`masking` is said where no original value can be in the column, whoever it is of. Where some values
may stand as they were (clipped, declared words, coarser only where k asks for it) it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, assert_never

from openlineage.client.generated.column_lineage_dataset import (
    ColumnLineageDatasetFacet,
    Fields,
    InputField,
    Transformation,
)

from expectations.policy.outlets import ModelOutlet
from expectations.policy.policy import Column, Policy
from expectations.policy.treatments import (
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
)
from expectations.policy.vocabulary import Use
from tasks.account.datasets import SourceRead
from tasks.account.origins import list_origins
from tasks.lineage.facets import TreatedColumn, TreatmentDatasetFacet

NAMESPACE: Final = "tutela"
DECIDING: Final = ("consent events", "objections")
"""The roles of tables that decide whose rows are used."""


def name_namespace(source: SourceRead) -> str:
    """Give the namespace of a table that was read."""
    return f"{NAMESPACE}.{source.kind}"


def masks(treatment: Treatment) -> bool:
    """Whether no value is left as it was."""
    match treatment:
        case Keep() | Clip() | Categories():
            return False
        case Drop() | Mask() | Token() | Bin() | Level() | Round() | Noise():
            return True
        case DateParts() | Shift() | Redact():
            return True
    assert_never(treatment)


def list_columns(policy: Policy, outlet: str) -> list[str]:
    """Name the columns that an outlet's goods are made of, the target last."""
    found = policy.outlets[outlet]
    if not isinstance(found, ModelOutlet):
        return [*found.columns]
    return [*policy.used_as(Use.FEATURE), *policy.used_as(Use.TARGET)]


def trace_columns(
    policy: Policy, sources: Sequence[SourceRead], columns: Iterable[str]
) -> ColumnLineageDatasetFacet:
    """Give the origins of columns, and what decides whose rows are there."""
    tables = {one.role: one for one in sources if one.role not in DECIDING}
    fields = {
        name: Fields([*_trace(policy, tables, name, [_describe(policy, name)])]) for name in columns
    }
    return ColumnLineageDatasetFacet(
        fields, [*_filter_people(sources), *_filter_eligible(policy, tables)]
    )


def tell_treatments(policy: Policy, columns: Iterable[str]) -> TreatmentDatasetFacet:
    """Give what the policy says of columns."""
    told = {name: policy.treated[name] for name in columns}
    return TreatmentDatasetFacet({
        name: TreatedColumn(
            one.treatment.kind, str(one.identifiability), str(one.category), [*map(str, one.use)]
        )
        for name, one in told.items()
    })  # fmt: skip


def _trace(
    policy: Policy, tables: dict[str, SourceRead], name: str, how: list[Transformation]
) -> Iterator[InputField]:
    for origin in list_origins(policy, name):
        table, _, field = origin.partition(".")
        if source := tables.get(table):
            yield InputField(name_namespace(source), source.location, field, how)


def _describe(policy: Policy, name: str) -> Transformation:
    column = policy.treated[name]
    if isinstance(column, Column) and column.rows is not None:
        subtype = "AGGREGATION"
    elif isinstance(column, Column) and isinstance(column.treatment, Keep):
        subtype = "IDENTITY"
    else:
        subtype = "TRANSFORMATION"
    said = column.treatment.kind
    return Transformation("DIRECT", subtype, said, masks(column.treatment))


def _filter_people(sources: Sequence[SourceRead]) -> Iterator[InputField]:
    for one in sources:
        if one.role in DECIDING:
            how = Transformation("INDIRECT", "FILTER", one.role, masking=False)
            for field in one.columns or ("person",):
                yield InputField(name_namespace(one), one.location, field, [how])


def _filter_eligible(policy: Policy, tables: dict[str, SourceRead]) -> Iterator[InputField]:
    how = Transformation("INDIRECT", "FILTER", "eligibility", masking=False)
    for name in policy.used_as(Use.ELIGIBILITY):
        yield from _trace(policy, tables, name, [how])
