"""How a run's people differ from those who are meant, and who is absent: read from its evidence.

What was told when people were compared is put into the forms of `tasks/account/published.py`; nothing is
computed here, and no exact figure is known. What a run did not compare is absent, not alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from expectations.policy.treatments import has_order
from tasks.account.findings import Found, read
from tasks.account.published_people import (
    ColumnInclusion,
    ComparedColumn,
    Inclusion,
    InclusionRate,
    LabelShares,
    Representation,
)

if TYPE_CHECKING:
    from expectations.policy.policy import Policy

COMPARED: Final = "representation."
COUNTED: Final = "inclusion."


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
