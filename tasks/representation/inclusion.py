"""Who is absent for want of consent: inclusion rates by group, where a policy may ask for them.

People who did not consent are looked at here, on the legal basis that the policy states for it,
to count them by the columns that it names and for nothing else: no special category is read,
nothing of them is stored, and only published counts are told. Who withdrew, objected or is
restricted is left alone even here, which is a policy choice; so a rate is of the others. It says
how many of a group are there, not why the rest are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from expectations.coherence.population import part_for_excluded
from expectations.disclosure import Count, Disclosure
from expectations.errors import SourceError
from expectations.policy.policy import Policy
from expectations.policy.population import ExcludedPeople, Margin
from expectations.policy.vocabulary import MISSING
from ledgers.vault.stages import Collected, Roster
from tasks.account.published import InclusionRate
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.deidentify import treat
from tasks.anonymization.labels import Undeclared
from tasks.consent.meaning import Standing
from tasks.consent.standing import Standings, decide
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.people.ingestion import (
    CATEGORIES,
    DRAW,
    PERSON,
    RECORD,
    SAMPLE,
    attach_keys,
    collect_columns,
    people_source,
)
from tasks.people.population import derive_columns, keep_eligible
from tasks.representation.comparison import NOBODY, count_labels, wilson_interval

if TYPE_CHECKING:
    from ledgers.evidence import JSON

LEFT_ALONE: Final = (
    Standing.REVOKED,
    Standing.WITHDRAWN,
    Standing.OBJECTED,
    Standing.RESTRICTED,
)
"""Where those stand who are not looked at without their consent, whatever the basis."""


def tell_inclusion(
    margin: Margin,
    included: Mapping[str, Count],
    absent: Mapping[str, Count],
    disclosure: Disclosure,
) -> list[InclusionRate]:
    """Give the inclusion of each label of a margin, and of people without a value if any."""
    unknown = [MISSING] if MISSING in included or MISSING in absent else []
    rows = []
    for label in dict.fromkeys([*margin.shares, *unknown]):
        there = disclosure.publish(included.get(label, NOBODY))
        away = disclosure.publish(absent.get(label, NOBODY))
        figures: list[float | None] = [None] * 3
        if there.about is not None and away.about is not None:
            people = there.about + away.about
            rate = there.about / people
            figures = [round(figure, 3) for figure in (rate, *wilson_interval(rate, people))]
        rows.append(InclusionRate(label, str(there), str(away), *figures))
    return rows


def keep_absent(roster: pa.Table, standings: Standings, policy: Policy) -> pa.Table:
    """Give those of the roster who are not permitted and may be looked at, as they are read."""
    seen = ~standings.permitted & ~np.isin(standings.standing, LEFT_ALONE)
    people = roster.select([PERSON, RECORD, DRAW, SAMPLE]).filter(pa.array(seen))
    every = (1 << len(policy.categories)) - 1
    return people.append_column(CATEGORIES, pa.array(np.full(people.num_rows, every, np.uint32)))


def count_eligible(
    table: pa.Table,
    policy: Policy,
    columns: Sequence[str],
    today: date,
    own: Mapping[str, OwnCode] = NO_CODE,
) -> tuple[Count, dict[str, dict[str, Count]]]:
    """Count who of some people is eligible, and by column how many of them have each label."""
    eligible, _ = keep_eligible(table, policy, today)
    derived = derive_columns(eligible, policy, today, own)
    counts = {}
    for name in columns:
        try:
            treated = treat(derived.column(name), policy.treated[name].treatment, b"")
        except Undeclared as error:
            raise SourceError(
                f"source: {name}: {error}; declare them under the column's treatment (values, "
                "rename), or correct the source"
            ) from None
        counts[name] = count_labels(pa.table({name: treated}).to_pandas(), name)
    return Count(eligible.num_rows), counts


@step("Count the eligible without consent", gives=Collected)
def count_absent(desk: Desk, roster: Opened[Roster], collected: Opened[Collected]) -> None:
    """Count eligible people who did not consent, by declared columns; nothing is stored."""
    run, policy, today = desk.run, desk.policy, desk.run.now.date()
    reference, excluded = policy.population.reference, policy.population.excluded_people
    assert reference is not None
    assert excluded is not None, "they are looked at only where the policy says on what basis"
    part, everybody = part_for_excluded(policy), roster.table()
    note_basis(desk, excluded, part)
    ledger = run.consent
    people = keep_absent(everybody, decide(run.file, everybody, ledger, run.now), part)
    read = attach_keys(collect_columns(people_source(run.file), part, people), people)
    away, absent = count_eligible(read, part, excluded.by, today, run.own)
    _, included = count_eligible(collected.table(), policy, excluded.by, today, run.own)
    desk.count("people.absent", away)
    for name in excluded.by:
        margin = reference.margins[name]
        rows = tell_inclusion(margin, included[name], absent[name], run.disclosure)
        desk.note("table", f"inclusion.{name}", [asdict(row) for row in rows])


def note_basis(desk: Desk, excluded: ExcludedPeople, part: Policy) -> None:
    """Note on which basis people who did not consent are looked at, and what is read of them."""
    body: dict[str, JSON] = {
        "article_6": str(excluded.article_6),
        "assessment": excluded.assessment,
        "columns": list(part.columns),
        "left_alone": [standing.label for standing in LEFT_ALONE],
    }
    desk.note("basis", "excluded people", body)
