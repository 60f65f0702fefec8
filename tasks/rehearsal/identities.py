"""What names a made-up person, and what is written about them; nobody is real.

Such columns stand apart from the others: every person has values of their own, which no
combination of declared values gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import Column, Policy
from expectations.policy.treatments import Categories, Level, Mask, Redact, Token
from expectations.policy.vocabulary import Identifiability
from tasks.rehearsal.crowd import Rows, Texts
from tasks.rehearsal.values import Draw
from tasks.sources.examples.identities import Identity, make_identities

TOGETHER: Final = 2
"""How many people share one value of the column by which people are split."""
SENTENCES: Final = (
    "{name} came in on Tuesday and was well.",
    "Spoke with {name}; nothing else to report.",
    "Nothing new since the last time.",
    "{name} asked to be called back.",
)


def columns_apart(policy: Policy) -> set[str]:
    """Name the source's columns that have a value of their own for each person or household."""
    apart = {policy.source_name(n) for n, c in policy.columns.items() if _is_apart(c)}
    split = policy.population.split_by
    household = {policy.source_name(split)} if split and _can_be_household(policy, split) else set()
    person = {policy.source.person} & {policy.source_name(n) for n in policy.columns}
    return apart | household | person


def _can_be_household(policy: Policy, name: str) -> bool:
    """Whether people are split by a column whose values are not declared."""
    column = policy.columns.get(name)
    return column is not None and not isinstance(column.treatment, Categories | Level)


def _is_apart(column: Column) -> bool:
    """Whether a column names a person, or holds what is written about one."""
    if column.type not in {ColumnType.TEXT, ColumnType.INTEGER, ColumnType.NUMBER}:
        return False
    if isinstance(column.treatment, Categories | Level):
        return False
    named = column.identifiability is Identifiability.IDENTIFIER
    return named or isinstance(column.treatment, Token | Redact | Mask)


def fill_apart(rows: Rows, policy: Policy, draw: Draw) -> Rows:
    """Give every person values of their own in the columns that stand apart."""
    count = len(next(iter(rows.values())))
    people = make_identities(draw, list(draw.random(count) < 0.5))
    made = dict(rows)
    texts = []
    for name, column in policy.columns.items():
        source = policy.source_name(name)
        if source not in columns_apart(policy):
            continue
        if isinstance(column.treatment, Redact):
            texts.append((source, column.treatment))
        elif name == policy.population.split_by and source != policy.source.person:
            made[source] = _as_texts(f"{1000 + n // TOGETHER}" for n in range(count))
        else:
            made[source] = name_people(source, column.type, people)
    for source, treatment in texts:
        known = [made[policy.source_name(one)] for one in treatment.known]
        made[source] = write_texts(people, known)
    return made


def name_people(name: str, held: ColumnType, people: list[Identity]) -> Texts:
    """Give each person a value such as the column's name speaks of; numbers where it says none."""
    low = name.lower()
    if held is not ColumnType.TEXT:
        return _as_texts(f"{100_001 + n}" for n in range(len(people)))
    if "mail" in low:
        return _as_texts(f"made.up.{n}@example.org" for n in range(len(people)))
    if any(word in low for word in ("phone", "mobile", "tel")):
        return _as_texts(
            f"({200 + n // 100 % 800}) 555-{100 + n % 100:04d}" for n in range(len(people))
        )
    if "name" in low:
        return _as_texts(person.full_name for person in people)
    if "address" in low or "street" in low:
        return _as_texts(person.address for person in people)
    return _as_texts(f"M-{100_001 + n}" for n in range(len(people)))


def write_texts(people: list[Identity], known: list[Texts]) -> Texts:
    """Write a sentence about each person that names them, and all that is known to name them."""
    return _as_texts(
        " ".join(
            [
                SENTENCES[n % len(SENTENCES)].format(name=person.full_name),
                *(f"See also {texts[n]}." for texts in known if texts[n] is not None),
            ]
        )
        for n, person in enumerate(people)
    )


def _as_texts(values: Iterator[str]) -> Texts:
    return np.array(list(values), dtype=object)
