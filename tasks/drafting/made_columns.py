"""What was made of rows, as columns of the roster that a draft decides about like any others."""

from __future__ import annotations

from dataclasses import replace

from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import FhirExport
from expectations.policy.treatments import Bin
from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting.deciding import ORDER, edges_at_words, make_bins
from tasks.drafting.decisions import Decided, Decision
from tasks.drafting.examination import Examined
from tasks.drafting.tables import Linked


def know_person(examined: Examined, linked: Linked) -> Examined:
    """Say which column names the person: the one by which tables are linked, and no other.

    What was made of a hospital's records tells of health, whatever it is called.
    """
    columns = []
    for found in examined.columns:
        if found.profile.name != linked.people.person:
            made = linked.made.get(found.profile.name)
            consent = () if made else found.consent
            told = replace(found, person=False, consent=consent)
            if made and isinstance(linked.people.tables[str(made.of)].location, FhirExport):
                told = replace(told, category=Category.HEALTH, doubtful=False)
            columns.append(told)
            continue
        category = found.category if found.category in ORDER else Category.IDENTIFYING
        columns.append(replace(
            found, person=True, category=category, identifiability=Identifiability.IDENTIFIER,
            free_text=False,
        ))  # fmt: skip
    return replace(examined, columns=tuple(columns))


def tell_rows(decided: Decided, linked: Linked) -> Decided:
    """Say of each column whether it is made of rows, and of which.

    What is counted or measured is a number, however few of them there are.
    """
    columns = (_tell(column, linked) for column in decided.columns)
    return replace(decided, columns=tuple(columns))


def _tell(column: Decision, linked: Linked) -> Decision:
    profile = column.found.profile
    take = linked.made.get(profile.name)
    if take is None:
        return column
    able = take.type_of(linked.people.tables[str(take.of)].fields)
    column = replace(column, rows=take)
    if column.type in able or column.treatment is None:
        return column
    kind = profile.type if profile.type in able else ColumnType.NUMBER
    told = column.treatment
    edges = told.edges if isinstance(told, Bin) else edges_at_words(profile)
    return replace(column, type=kind, treatment=make_bins(kind, edges))
