"""The whole table: is there a header, what is each column, and which of them single people out.

Without a header the first person's values would be taken for names, and told; a first line of words
that nobody else has looks like any header. Each column is judged by itself, then by the company it
keeps: in a table that is about people's health more is taken for health.

Columns of many texts are read on a sample as free text is read, by Presidio's recognizers and the
language model: for names, numbers and places. They know English, and of single words without a
sentence around them they miss more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError
from expectations.expressions.expressions import ColumnType
from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting.profile import (
    LEAST,
    MOST_WORDS,
    Profile,
    Values,
    count_people,
    count_values,
    hide_values,
)
from tasks.drafting.signs import Found, choose_category, judge, read_name, sample_texts, split_name
from tasks.drafting.singling_out import Codes, find_joint, first_of_each, number_values
from tasks.drafting.value_signs import FORMS, WRITTEN_DATE
from tasks.sources import Source

if TYPE_CHECKING:
    from tasks.anonymization.free_text.mentions import Span


HEADLESS: Final = (
    "the first line looks like a row of data, not like a header, so it is not shown; "
    "write a line with the columns' names above it, or rename columns that are named by numbers, "
    "by dates or as one of their values"
)
SURE: Final = (
    "e-mail addresses", "IBANs", "card numbers", "internet addresses", "device addresses",
    "UUIDs or long keys", "telephone numbers", "web addresses or user names",
)  # fmt: skip
"""Forms of values that no column is named in."""
# fmt: off
TIMES: Final = {
    "time", "futime", "ftime", "rtime", "stime", "dtime", "ptime", "survtime", "followup", "follow",
    "tte", "duration", "durat",
}
EVENTS: Final = {
    "status", "event", "cens", "censor", "censored", "death", "delta", "fustat", "dead", "died",
    "pstat",
}
# fmt: on
"""Whole names that together tell how long something took, and whether it came."""
MAYBE: Final = frozenset({"grade", "visit"})
"""Words that speak of health in a table about health, and of school, credit or a gym elsewhere."""
SAMPLE: Final = 40
"""Values read of each column."""
MOST_READ: Final = 0.4
"""The share of sampled values that must be, for half of their length, of one kind."""
OFTEN: Final = 0.1
"""The share of sampled free texts in which a kind must stand to be told of."""
CELLS: Final = 8_000_000
"""Values held at a time, but for one column at the least."""
MOST: Final = 8
"""Columns that are tried beside those whose names tell."""
NAME: Final = "a person's name"
FIRST: Final = 4
"""Columns read before the number of rows is known."""


def refuse_headless(names: Sequence[str]) -> None:
    """Raise `SourceError`, without quoting, if a name of a column looks like a person's value."""
    if any(looks_like_data(name.strip()) for name in names):
        raise SourceError(HEADLESS)


def looks_like_data(name: str) -> bool:
    """Whether a name is a number, a date or of the form of an identifier."""
    forms = [form for form in FORMS if form.says in SURE]
    return is_number(name) or WRITTEN_DATE(name) or any(form.matches(name) for form in forms)


def is_number(name: str) -> bool:
    """Whether a name is a number; `nan` and `inf` are words."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def holds(values: Values, name: str) -> bool:
    """Whether a column's own name is one of its values; of two columns that is no chance."""
    return bool(name.strip()) and bool(pc.any(pc.equal(values.texts, name)).as_py())


def _see_context(found: Sequence[Found]) -> Iterator[Found]:
    """Take what is not known for health, in doubt, where the table seems to be about health."""
    medical = is_medical(found)
    for each in found:
        maybe = each.category is None or not MAYBE.isdisjoint(split_name(each.profile.name)[0])
        if medical and maybe and not each.consent and not (each.category and each.category.special):
            seen = (*each.seen, "the table seems to be about health")
            yield replace(each, category=Category.HEALTH, seen=seen, doubtful=True)
        else:
            yield each


def is_medical(found: Sequence[Found]) -> bool:
    """Tell whether a third of the known columns are of health, or the table follows up an event."""
    known = [each for each in found if each.category]
    health = [each for each in known if each.category is Category.HEALTH]
    names = {split_name(each.profile.name)[1] for each in found}
    followed = not names.isdisjoint(TIMES) and not names.isdisjoint(EVENTS)
    return followed or (len(health) >= 2 and 3 * len(health) >= len(known))


class Kind(NamedTuple):
    """What Presidio calls a kind of finding, and what it makes of a column."""

    says: str
    identifiability: Identifiability
    category: Category


_ID, _QUASI = Identifiability.IDENTIFIER, Identifiability.QUASI
KINDS: Final = {
    "PERSON": Kind("names of people", _ID, Category.IDENTIFYING),
    "EMAIL_ADDRESS": Kind("e-mail addresses", _ID, Category.CONTACT),
    "PHONE_NUMBER": Kind("telephone numbers", _ID, Category.CONTACT),
    "STREET_ADDRESS": Kind("street addresses", _ID, Category.LOCATION),
    "MEDICAL_RECORD_NUMBER": Kind("record numbers", _ID, Category.IDENTIFYING),
    "RECORD_NUMBER": Kind("record numbers", _ID, Category.IDENTIFYING),
    "URL": Kind("web addresses", _ID, Category.IDENTIFYING),
    "LOCATION": Kind("places", _QUASI, Category.LOCATION),
    "ORGANIZATION": Kind("organizations", _QUASI, Category.PROFESSIONAL),
    "NRP": Kind("nationality, religion or politics", _QUASI, Category.ETHNIC_ORIGIN),
}


def _wants_reading(found: Found) -> bool:
    """Tell whether a column is of text with many values, and no identifier anyway."""
    text = found.profile.type is ColumnType.TEXT and found.profile.distinct > MOST_WORDS
    return text and (found.free_text or found.identifiability is not Identifiability.IDENTIFIER)


def read_samples(found: Sequence[Found], samples: Mapping[str, Sequence[str]]) -> Iterator[Found]:
    """Give the columns with what reading found in their samples, which are named by column."""
    spans = _read([text for sample in samples.values() for text in sample])
    for each in found:
        sample = samples.get(each.profile.name, ())
        told = Counter(kind for text in sample for kind in _kinds_of(text, spans[text], each))
        least = OFTEN if each.free_text else MOST_READ
        kinds = [KINDS[kind] for kind, times in told.most_common() if times >= least * len(sample)]
        yield _with_mentions(each, kinds) if each.free_text else _with_kinds(each, kinds)


def _read(texts: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    if not texts:
        return {}
    from tasks.anonymization.free_text.text import find_identifiers  # slow to load

    return dict(zip(texts, find_identifiers(texts, processes=1), strict=True))


def _kinds_of(text: str, spans: Sequence[Span], found: Found) -> set[str]:
    """Give the kinds that stand in a text, or that half of a short value is of."""
    return {
        span.entity
        for span in spans
        if span.entity in KINDS and (found.free_text or 2 * (span.end - span.start) >= len(text))
    }


def _with_mentions(found: Found, kinds: Sequence[Kind]) -> Found:
    seen = tuple(f"{kind.says} were found in sampled texts (Presidio)" for kind in kinds)
    return replace(found, seen=(*found.seen, *dict.fromkeys(seen)))


def _with_kinds(found: Found, kinds: Sequence[Kind]) -> Found:
    """Make the column what its values are; a reading alone is doubtful."""
    if not kinds:
        return found
    seen = tuple(f"many sampled values look like {kind.says} (Presidio)" for kind in kinds)
    strongest = _ID if any(kind.identifiability is _ID for kind in kinds) else _QUASI
    categories = [each for each in (found.category, *(kind.category for kind in kinds)) if each]
    return replace(
        found,
        identifiability=strongest,
        category=choose_category(categories),
        profile=hide_values(found.profile) if strongest is _ID else found.profile,
        seen=(*found.seen, *dict.fromkeys(seen)),
        doubtful=found.doubtful or strongest is _ID,
    )


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
        raise SourceError("the table has no rows; name another")
    key = _repeated_key(found)
    if key is not None:
        found = list(_count_by_people(source, found, key))
    found, joint = _single_out(source, list(_see_context(found)), key)
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
        if _wants_reading(found[-1]):
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
