"""From the words and moments of a source's consent events to ours, every broken rule told once.

Words: a million events say a few dozen different things. Words are numbered column by column, the
combinations that occur are found on the numbers, and only they are judged.

Moments, in microseconds since 1970 UTC: a time is a timestamp of the source's own, or text in the
form of ISO 8601 (RFC 3339) with or without an offset. One without belongs to the source's zone,
where it may mean more than one moment: an hour that the clocks passed twice, or a day of which no
hour is known (a date, or midnight to the microsecond). Both ends are given, and whoever reads an
event takes the one that permits less: a gift begins at the first, what forbids at the last, so that
on the day of a withdrawal no gift of the same day stands against it; and what ends an objection or
a restriction at the last, until when that may have held. A time that the clocks left out is wrong.

Of the people whose events these are nothing is known here: what is wrong is told by how many events
have it, and by their numbers to whoever is at a terminal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.coherence.consent import enumerates
from expectations.disclosure import roughly
from expectations.errors import SourceError
from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.event_words import (
    ALL,
    DAYS,
    LISTS,
    LOCAL,
    LONGEST,
    NUMBERS,
    ZONED,
    suggest_words,
    translate,
)
from expectations.policy.legal_basis import EventField
from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)
from ledgers.consent.events import to_micros
from tasks.sources.naming import canonical
from tasks.sources.source import name_places

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


MOST: Final = 1_000
"""The most different words of one column: a column of more is no column of words."""
GIFTS: Final = (ConsentStatus.GIVEN, ConsentStatus.RENEWED)
IDLE: Final = (ConsentStatus.REQUESTED, ConsentStatus.DEFERRED)
RIGHTS_ENDED: Final = (ConsentStatus.OBJECTION_ENDED, ConsentStatus.RESTRICTION_ENDED)
"""With a gift, what lets more be read than before; every other status lets less."""
LESS: Final = frozenset({*ConsentStatus} - {*GIFTS, *IDLE, *RIGHTS_ENDED})
"""What takes something back."""
Said: TypeAlias = Mapping[EventField, str]
"""Our words by field, of one combination; empty where nothing is said."""
Fault: TypeAlias = tuple[str, str]
"""What is wrong, and how to mend it."""
DAY: Final = 86_400_000_000
"""Microseconds; a duration counts days of 24 hours."""
CALENDAR: Final = (-62_104_060_800_000_000, 253_370_764_800_000_000)
"""From year 2 to year 9999: a local reading beyond, such as 9999-12-31, counts as its bound, since
Python knows no moment outside of the years 1 to 9999, in whatever zone."""
NEVER: Final = int(np.iinfo(np.int64).min)
"""What pandas holds where there is no time."""


@dataclass(slots=True)
class BadRows:
    """The rules that events of the source at `place` break; the first event is number 1."""

    place: str
    row: str = "event"
    """What a row is."""
    numbers: NDArray[np.int64] | None = None
    """The number of each row, where it is not its place."""
    _told: list[str] = field(default_factory=list)
    _places: list[str] = field(default_factory=list)

    def note(self, broken: NDArray[np.bool_], what: str, fix: str) -> None:
        """Keep a rule, if any event breaks it; `what` and `fix` hold no value of a person."""
        numbers = np.flatnonzero(broken) + 1
        if self.numbers is not None:
            numbers = np.unique(self.numbers[broken])
        if len(numbers):
            self._told.append(f"  {roughly(len(numbers))} {self.row}s: {what}; {fix}")
            self._places.append(f"{name_places(self.row, numbers.tolist())}: {what}")

    def refuse(self) -> None:
        """Raise one `SourceError` for all that was kept."""
        if self._told:
            lines = "\n".join(self._told)
            raise SourceError(
                f"{self.place}: some consent {self.row}s are wrong\n{lines}",
                "\n".join(self._places),
            )


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one column: each event's place among `ours`, of which the first is no word.

    Of ours, None is a word that is not known.
    """

    places: NDArray[np.int64]
    ours: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """The different terms of a source's events, and each event's place among them."""

    places: NDArray[np.int64]
    terms: tuple[Terms, ...]

    def have(self, statuses: Collection[ConsentStatus]) -> NDArray[np.bool_]:
        """Tell of each event whether it has one of these statuses."""
        kinds = np.array([one.status in statuses for one in self.terms], dtype=np.bool_)
        return kinds[self.places] if len(kinds) else np.zeros(0, dtype=np.bool_)


def read_words(
    column: pa.ChunkedArray, field: EventField, words: Mapping[str, str], bad: BadRows
) -> Words:
    """Give the words of a column as ours; `words` is a tidy mapping. The unknown go to `bad`."""
    place = f"{bad.place}: the column of `{field}`"
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if len(encoded.dictionary) > MOST:
        raise SourceError(
            f"{place} holds more than {MOST:,} different words, so it does not say {field}; name "
            f"another under `columns.{field}`"
        )
    theirs = canonical(pa.chunked_array([encoded.dictionary]), place).to_pylist()
    known = ["", *((word or "").strip() for word in theirs)]
    ours = tuple(translate(field, word, words) for word in known)
    places = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy() + 1
    _note_unknown(Words(places, ours), field, known, bad)
    return Words(places, ours)


def _note_unknown(words: Words, field: EventField, theirs: Sequence[str], bad: BadRows) -> None:
    unknown = np.array([word is None for word in words.ours])
    if not unknown.any():
        return
    odd = [word for word, ours in zip(theirs, words.ours, strict=True) if ours is None]
    if field in LISTS:
        what = f"its {'category' if field is EventField.CATEGORIES else field} is an unknown word"
        fix = f"{suggest_words(field, odd)}, or say under `words.{field}` what it stands for"
    elif field in NUMBERS:
        what, fix = f"its {field} is not a whole number from 1", suggest_words(field, odd)
    elif field in DAYS:
        what, fix = f"its {field} is not a day", suggest_words(field, odd)
    else:
        what, fix = f"its {field} is longer than {LONGEST} characters", suggest_words(field, odd)
    bad.note(unknown[words.places], what, fix)


def agree(
    words: Mapping[EventField, Words],
    by_guardian: NDArray[np.bool_],
    notices: Collection[NoticeTerms],
    bad: BadRows,
) -> Agreed:
    """Give the terms of all events; those that break a rule go to `bad` and have the first terms.

    `notices` are those that the policy declares.
    """
    combination, firsts = _combine([*(one.places for one in words.values()), by_guardian])
    terms: dict[Terms, int] = {}
    chosen = np.zeros(len(firsts), dtype=np.int64)
    faulty: dict[Fault, list[int]] = {}
    for number, row in enumerate(firsts):
        said = {field: one.ours[one.places[row]] for field, one in words.items()}
        clear = {field: word for field, word in said.items() if word is not None}
        if len(clear) < len(said):
            continue  # told already, by its word
        found = _find_notice(clear, notices)
        faults = [found] if isinstance(found, tuple) else [*_faults(clear, found)]
        for fault in faults:
            faulty.setdefault(fault, []).append(number)
        if not isinstance(found, tuple) and not faults:
            one = _make_terms(clear, found, by_guardian=bool(by_guardian[row]))
            chosen[number] = terms.setdefault(one, len(terms))
    for (what, fix), numbers in faulty.items():
        bad.note(np.isin(combination, numbers), what, fix)
    return Agreed(chosen[combination], tuple(terms))


def _combine(
    parts: Sequence[NDArray[np.int64] | NDArray[np.bool_]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the combinations that occur; give each row's number, and a row of each number."""
    import pandas as pd

    combination = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        width = int(part.max(initial=0)) + 1
        # Numbered anew after each column, so that the joint number cannot overflow.
        combination = pd.factorize(combination * width + part)[0].astype(np.int64)
    firsts = np.zeros(int(combination.max(initial=-1)) + 1, dtype=np.int64)
    # Written backwards, so that the first row of each number stays.
    firsts[combination[::-1]] = np.arange(len(combination))[::-1]
    return combination, firsts


def _find_notice(said: Said, notices: Collection[NoticeTerms]) -> NoticeTerms | Fault | None:
    """Give the declared notice that is named; one of several versions must be named by it."""
    name = said.get(EventField.NOTICE, "")
    if not name:
        return None
    version, language = said.get(EventField.NOTICE_VERSION), said.get(EventField.LANGUAGE)
    found = [
        one
        for one in notices
        if one.id == name
        and version in {None, "", str(one.version)}
        and language in {None, "", one.language}
    ]
    declared = ", ".join(f"{one.id} {one.version} ({one.language})" for one in notices)
    if not found:
        return "its notice is not declared", f"the policy's `notices` are: {declared or 'none'}"
    if len(found) > 1:
        fix = f"name its `notice_version` or `language`; declared are {declared}"
        return "its notice is declared more than once", fix
    return found[0]


def _faults(said: Said, notice: NoticeTerms | None) -> Iterator[Fault]:
    """Tell what a combination of words lacks; a gift says more than what ends one."""
    status = said.get(EventField.STATUS, "")
    if not status:
        yield "its status is missing", 'add it, or say under `words.status` what "" stands for'
    first, last = (said.get(one, "") for one in DAYS)
    if first and last and last < first:
        yield "its data_until is before its data_from", "correct one of them"
    if status not in GIFTS:
        return
    if notice is None:
        fix = "name its column under `columns.notice`, or state it under `stated.notice`"
        yield "it gives consent without a notice", fix
    for needed in (EventField.PURPOSE, EventField.CATEGORIES):
        if said.get(needed) == "":
            fix = f'add it, or say under `words.{needed}` that "" stands for `{ALL}`'
            yield f"it gives consent without a {needed}", fix
    purpose, categories = (_named(said, one) for one in (EventField.PURPOSE, EventField.CATEGORIES))
    if notice and not all(enumerates(notice, Purpose(one)) for one in purpose):
        yield "its notice does not name its purpose", "correct the event, or the notice"
    if notice and not {*categories} <= {*notice.categories}:
        yield "its notice does not name its categories", "correct the event, or the notice"


def _named(said: Said, field: EventField) -> list[str]:
    """Give the purpose or the categories that are named one by one."""
    return [word for word in said.get(field, "").split() if word != ALL]


def _make_terms(said: Said, notice: NoticeTerms | None, *, by_guardian: bool) -> Terms:
    """Give the terms that faultless words say."""

    def word(field: EventField) -> str:
        return said.get(field, "")

    return Terms(
        status=ConsentStatus(word(EventField.STATUS)),
        purpose=next(map(Purpose, _named(said, EventField.PURPOSE)), None),
        categories=tuple(map(Category, _named(said, EventField.CATEGORIES))),
        notice=notice,
        article_6=Article6(article) if (article := word(EventField.ARTICLE_6)) else None,
        article_9=Article9(article) if (article := word(EventField.ARTICLE_9)) else None,
        indication=Indication(shown) if (shown := word(EventField.INDICATION)) else None,
        method=word(EventField.METHOD) or None,
        jurisdiction=word(EventField.JURISDICTION) or None,
        by_guardian=by_guardian,
        data_from=word(EventField.DATA_FROM) or None,
        data_until=word(EventField.DATA_UNTIL) or None,
    )


@dataclass(frozen=True, slots=True)
class Times:
    """The first and the last moment that each event's time can mean; undefined where none is."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    there: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Clock:
    """What a column's times say: a clock's reading, and whether that is local, there, readable."""

    reading: NDArray[np.int64]
    local: NDArray[np.bool_]
    there: NDArray[np.bool_]
    wrong: NDArray[np.bool_]

    def take(self, places: NDArray[np.int64]) -> _Clock:
        """Give the times at some places."""
        return _Clock(
            self.reading[places], self.local[places], self.there[places], self.wrong[places]
        )


def read_times(
    column: pa.ChunkedArray,
    name: str,
    zone: ZoneInfo | None,
    bad: BadRows,
    form: str | None = None,
) -> Times:
    """Read a column of times; those without an offset are in `zone`, and wrong where that is None.

    Text is written as `form` says, in the codes of strptime, or by ISO 8601 where that is None.
    What is wrong goes to `bad`. Raises `SourceError` for a column that cannot hold times.
    """
    clock = _read_clock(column, f"{bad.place}: the column of `{name}`", form)
    if zone is None:
        like = "write it like 2026-01-31T12:00:00+01:00, or name the source's `zone`"
        bad.note(clock.wrong | clock.local, f"its `{name}` is not a time with a zone", like)
        return Times(clock.reading, clock.reading, clock.there)
    as_said = "write it like 2026-01-31T12:00:00, or name the source's `time_format`"
    like = as_said if form is None else "write it as `time_format` says"
    bad.note(clock.wrong, f"its `{name}` is not a time", like)
    first, last = clock.reading.copy(), clock.reading.copy()
    local = np.flatnonzero(clock.local)
    first[local], last[local] = _find_moments(clock.reading[local], zone)
    bad.note(
        clock.local & (first == NEVER),
        f"its `{name}` is an hour that does not exist in {zone} (clocks went forward)",
        "correct it, or `zone`",
    )
    return Times(first, last, clock.there)


def _find_moments(
    readings: NDArray[np.int64], zone: ZoneInfo
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the first and the last moment of local readings; NEVER for an hour left out."""
    if not len(readings):
        return readings, readings
    days = readings % DAY == 0  # whose hour is not known
    first, last = _place(readings, zone), _place(readings, zone, later=True)
    first[days] = find_midnights(readings[days], zone)
    last[days] = find_midnights(readings[days] + DAY, zone) - 1
    return first, last


def find_midnights(days: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """Give the moment at which each day begins in a zone; days are readings of its clocks."""
    return _place(days, zone, gap="shift_forward")


def _place(
    readings: NDArray[np.int64],
    zone: ZoneInfo,
    *,
    later: bool = False,
    gap: Literal["NaT", "shift_forward"] = "NaT",
) -> NDArray[np.int64]:
    """Give the moment of each local reading; of two, the later or the earlier."""
    import pandas as pd

    clock = pd.DatetimeIndex(np.clip(readings, *CALENDAR).view("datetime64[us]"))
    # For pandas, true means daylight saving time, which is the earlier of the two everywhere.
    earlier = np.full(len(readings), not later)
    found = clock.tz_localize(zone, ambiguous=earlier, nonexistent=gap)
    plain = found.tz_convert("UTC").tz_localize(None)
    return np.array(plain.to_numpy("datetime64[us]")).view(np.int64)


def _read_clock(column: pa.ChunkedArray, place: str, form: str | None) -> _Clock:
    """Read a column of times, of whatever type."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        whole = column.unify_dictionaries().combine_chunks()
        places = pc.fill_null(whole.indices.cast(pa.int64()), len(whole.dictionary)).to_numpy()
        each = pa.concat_arrays([whole.dictionary, pa.nulls(1, kind.value_type)])
        return _read_clock(pa.chunked_array([each]), place, form).take(places)
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        text = canonical(column, place)
        return _read_text(text) if form is None else _read_formatted(text, form)
    local = pa.types.is_date(kind) or kind.tz is None
    return _as_clock(column.cast(pa.timestamp("us", None if local else "UTC"), safe=False))


def _as_clock(times: pa.ChunkedArray) -> _Clock:
    """Give times that are all local, or all in UTC."""
    there = pc.is_valid(times).to_numpy()
    reading = times.cast(pa.int64()).fill_null(NEVER).to_numpy()
    wrong = np.zeros(len(there), dtype=np.bool_)
    return _Clock(reading, there & (times.type.tz is None), there, wrong)


def _read_text(text: pa.ChunkedArray) -> _Clock:
    """Read times that are written as text: fast where all are in order and of one kind."""
    for zone in ("UTC", None):
        with contextlib.suppress(pa.ArrowInvalid):
            return _as_clock(text.cast(pa.timestamp("us", zone)))
    return _read_mixed(text)


def _read_formatted(text: pa.ChunkedArray, form: str) -> _Clock:
    """Read times that are written as `form` says; each different text is read once."""
    encoded = pc.utf8_trim_whitespace(text).dictionary_encode().unify_dictionaries()
    whole = encoded.combine_chunks()
    reading = np.full(len(whole.dictionary) + 1, NEVER)
    local = np.ones(len(reading), np.bool_)
    there = np.zeros(len(reading), np.bool_)
    for place, one in enumerate(whole.dictionary.to_pylist()):
        there[place] = bool(one)
        with contextlib.suppress(ValueError, OverflowError):
            read = datetime.strptime(one, form)  # noqa: DTZ007  # the zone is the source's
            local[place] = read.tzinfo is None
            reading[place] = to_micros(read if read.tzinfo else read.replace(tzinfo=UTC))
    wrong = there & (reading == NEVER)
    places = pc.fill_null(whole.indices.cast(pa.int64()), len(whole.dictionary)).to_numpy()
    return _Clock(reading, local & there & ~wrong, there, wrong).take(places)


def _read_mixed(text: pa.ChunkedArray) -> _Clock:
    """Read times of which some are local, some are not, and some are perhaps wrong."""
    import pandas as pd

    # Digits beyond microseconds would make pandas count in nanoseconds, up to 2262 only.
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"(\.\d{6})\d{1,3}", r"\1")
    text = pc.replace_substring_regex(text, r" ?UTC$", "Z")
    local, zoned = (pc.match_substring_regex(text, form) for form in (LOCAL, ZONED))
    series = pc.if_else(pc.or_(local, zoned), text, None).to_pandas()
    read = pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce", cache=False)
    plain = read.dt.as_unit("us").dt.tz_localize(None)
    reading = plain.to_numpy("datetime64[us]").view(np.int64)
    there = pc.is_valid(text).to_numpy()
    wrong = there & (reading == NEVER)
    return _Clock(reading, pc.fill_null(local, False).to_numpy() & ~wrong, there, wrong)
