"""The whole table: every column judged, and which of them together single people out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from expectations.errors import SourceError
from expectations.expressions.expressions import ColumnType
from expectations.policy.vocabulary import Identifiability
from tasks.drafting.context import see_context
from tasks.drafting.header import HEADLESS, holds, refuse_headless
from tasks.drafting.names import read_name
from tasks.drafting.profile import LEAST, Profile, count_people, count_values
from tasks.drafting.reading import SAMPLE, read_samples, wants_reading
from tasks.drafting.signs import Found, judge, sample_texts
from tasks.drafting.singling_out import Codes, find_joint, first_of_each, number_values
from tasks.sources import Source

CELLS: Final = 8_000_000
"""Values held at a time, but for one column at the least."""
MOST: Final = 8
"""Columns that are tried beside those whose names tell."""
NAME: Final = "a person's name"
FIRST: Final = 4
"""Columns read before the number of rows is known."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A whole table."""

    rows: int
    columns: tuple[Found, ...]
    joint: tuple[tuple[str, ...], float]
    """The quasi-identifiers together, and the share of rows whose combination of them is shared by
    fewer than 5 people, or rows where no key tells people apart."""


def examine(source: Source) -> Examined:
    """Say what a table looks like.

    It reads every row of every column, some columns at a time. Those that may single people out are
    read once more; all are, where a key with several rows a person tells how many people
    hold a value. A key whose name does not say so is taken for none, and rows are counted. Raises
    what `source` raises, and SourceError for a table without rows.
    """
    refuse_headless(source.columns())
    found = list(_judge_each(source))
    rows = found[0].profile.rows if found else 0
    if not rows:
        raise SourceError("the table has no rows, so nothing can be said of it; name another")
    key = _repeated_key(found)
    if key is not None:
        found = list(_count_by_people(source, found, key))
    found, joint = _single_out(source, list(see_context(found)), key)
    return Examined(rows, tuple(found), joint)


def _judge_each(source: Source) -> Iterator[Found]:
    """Judge all columns, those of many texts with what is read in a sample."""
    found, samples, own = [], {}, 0
    for name, column in _each_column(source):
        values = count_values(name, column)
        own += holds(values, name)
        if own > 1:
            raise SourceError(HEADLESS)
        found.append(judge(values))
        if wants_reading(found[-1]):
            samples[name] = sample_texts(values, SAMPLE)
    return read_samples(found, samples)


def _each_column(source: Source) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Read all columns, as many at a time as fit."""
    names, start, width = source.columns(), 0, FIRST
    while start < len(names):
        table = source.read(names[start : start + width])
        yield from zip(table.column_names, table.columns, strict=True)
        start, width = start + width, max(1, CELLS // max(1, len(table)))


def _repeated_key(found: Sequence[Found]) -> str | None:
    """Give the column that names people who have several rows.

    Of those whose names say so it is the coarsest, else the finest of what identifies in any way:
    an e-mail address rather than a manager's name. Where another column numbers the rows, a name
    tells nobody apart, since namesakes share it, nor do fewer than ten: they may be whom people
    work for.
    """
    numbered = any(each.person for each in found)
    named = [each.profile for each in found
             if any(sign.person for sign in read_name(each.profile.name))
             and _repeats(each.profile)]  # fmt: skip
    if named:
        return min(named, key=lambda profile: profile.distinct).name
    others = [each for each in found
              if each.identifiability is Identifiability.IDENTIFIER
              and _repeats(each.profile)
              and not (numbered and _may_be_shared(each.profile))]  # fmt: skip
    finest = max(others, key=lambda each: (not each.doubtful, each.profile.distinct), default=None)
    return finest.profile.name if finest else None


def _may_be_shared(profile: Profile) -> bool:
    """Whether several people may have one value: a name, or one of a few."""
    named = any(sign.says == NAME for sign in read_name(profile.name))
    return named or profile.distinct < LEAST


def _repeats(profile: Profile) -> bool:
    """Whether the values could name people and stand in several rows each."""
    able = profile.type in (ColumnType.INTEGER, ColumnType.TEXT)
    return able and 1 < profile.distinct < profile.rows * (1 - profile.missing)


def _count_by_people(source: Source, found: Sequence[Found], key: str) -> Iterator[Found]:
    """Count people where rows were counted, so that one person's rows do not share a value."""
    width = max(1, CELLS // (2 * found[0].profile.rows))
    for start in range(0, len(found), width):
        part = found[start : start + width]
        table = source.read([*dict.fromkeys([key, *(each.profile.name for each in part)])])
        people = number_values(table.column(key))
        for each in part:
            yield replace(each, profile=_by_people(each.profile, table, people))


def _by_people(profile: Profile, table: pa.Table, people: Codes) -> Profile:
    if not profile.words and profile.low is None:
        return profile
    held = first_of_each(people, table.column(profile.name))
    return count_people(profile, count_values(profile.name, held))


def _single_out(
    source: Source, found: Sequence[Found], key: str | None
) -> tuple[list[Found], tuple[tuple[str, ...], float]]:
    """Find the columns that single people out together, and mark those that no sign had told."""
    usable = [each for each in found if not each.free_text and each.profile.distinct > 1]
    known = [e.profile.name for e in usable if e.identifiability is Identifiability.QUASI]
    others = [each.profile for each in usable if _may_join(each)]
    others.sort(key=lambda profile: -profile.distinct)
    names = [*known, *(profile.name for profile in others[:MOST])]
    rows = found[0].profile.rows
    people = number_values(source.read([key]).column(key)) if key else None
    joint = find_joint(_number_each(source, names, rows), known, rows, people)
    added = set(joint[0]) - set(known)
    return [_add(each) if each.profile.name in added else each for each in found], joint


def _number_each(source: Source, names: Sequence[str], rows: int) -> Iterator[tuple[str, Codes]]:
    """Number the values of some columns, as many at a time as fit."""
    width = max(1, CELLS // rows)
    for start in range(0, len(names), width):
        table = source.read(names[start : start + width])
        for name, column in zip(table.column_names, table.columns, strict=True):
            yield name, number_values(column)


def _may_join(found: Found) -> bool:
    """Tell whether others may know it of a person: no sign said so, but it is no measurement."""
    return (
        found.identifiability is Identifiability.NONE
        and found.profile.type is not ColumnType.NUMBER
        and not (found.category and found.category.special)
    )


def _add(found: Found) -> Found:
    seen = "together with other columns it singles out many more rows"
    return replace(found, identifiability=Identifiability.QUASI, seen=(*found.seen, seen))
