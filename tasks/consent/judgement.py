"""Where each person stands at one moment, as known at another: arrays of whole numbers.

The events form a set; in what order they came changes nothing. Of a person's answers on a
category the latest counts, of several at the same moment the one recorded last, of those recorded
together the more restrictive.

First it is asked what each event answers (`list_questions`). Most events answer alike on every
category, so one question is asked of them for all categories at once; the few others have questions
of their own, whose answers are then brought together. What an event answers follows from its terms'
number alone, so it is looked up.

The events are sorted by person once. Then the latest answer to each question is picked, and `judge`
knows no event any more: of each answer its code (a `Standing`), its moment and when it was
recorded. A person's standing follows from their own events alone, so any part of the people can be
decided without the others.

What statuses and notices mean for a purpose is decided in `meaning`; who the people are behind the
tokens is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.consent.meaning import BARS, GIFTS, IDLE, LAPSED, Meaning, Reads, Standing

Flags = NDArray[np.bool_]
Moments = NDArray[np.int64]
Codes = NDArray[np.int8]
Events = dict[str, NDArray[np.int64]]
"""Columns, a row for each event or person."""

ALWAYS: Final = -62_135_596_800_000_000
"""The year 1 in microseconds since 1970; no event begins before it."""
ANSWERED: Final = 1_000_000_000_000_000_000
"""Added to the moment of what is not idle, so that it is later than anything idle."""
NOTHING: Final = -1
"""No answer, and its moment."""
CORES: Final = os.cpu_count() or 1
TOKEN: Final = ("token_high", "token_low")
OWN_FROM: Final = "own_from"
CHILD_UNTIL: Final = "child_until"
STANDING, COVERED = "standing", "covered"
DAY: Final = 86_400_000_000
"""Microseconds."""


RIGHTS: Final = {"objection": Standing.OBJECTED, "restriction": Standing.RESTRICTED}


@dataclass(frozen=True, slots=True)
class Question:
    """Events that answer alike on some classes of categories, or on a right: the latest counts."""

    kind: str
    reads: Reads
    classes: tuple[int, ...] = ()


def list_questions(meaning: Meaning) -> Iterator[Question]:
    """Give the questions that some event answers.

    Most events answer alike on every class; so one question asks for all classes, and few events
    are left to those that ask for some of them.
    """
    expired = int(Standing.EXPIRED)
    by_kind = {
        "answer": [{c: t for c, t in reads.items() if c != expired} for reads in meaning.answers],
        "expiry": [{c: t for c, t in reads.items() if c == expired} for reads in meaning.answers],
        "renewal": meaning.renewals,
    }
    for kind, by_class in by_kind.items():
        for classes, reads in group_reads(by_class).items():
            yield Question(kind, reads, classes)
    for kind, right in zip(RIGHTS, (meaning.objections, meaning.restrictions), strict=True):
        if right:
            yield Question(kind, right)


def group_reads(by_class: Sequence[Reads]) -> dict[tuple[int, ...], dict[int, tuple[int, ...]]]:
    """Give the answers that each set of classes has in common, with the terms that give them."""
    heard: dict[tuple[int, int], list[int]] = {}
    for number, reads in enumerate(by_class):
        for code, terms in reads.items():
            for one in terms:
                heard.setdefault((one, code), []).append(number)
    groups: dict[tuple[int, ...], dict[int, tuple[int, ...]]] = {}
    for (one, code), classes in sorted(heard.items()):
        reads_alike = groups.setdefault(tuple(classes), {})
        reads_alike[code] = (*reads_alike.get(code, ()), one)
    if len(groups) <= len(by_class):
        return groups
    # Where events name many sets of categories, one question for each class is fewer.
    return {(n,): dict(reads) for n, reads in enumerate(by_class) if reads}


@dataclass(frozen=True, slots=True)
class Moment:
    """The two moments of a decision, in microseconds since 1970 UTC."""

    valid_at: int
    known_at: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Some people's latest answers to a question: whose, what, as of when, recorded when.

    `person` rises; moments are counted from year 1, those that are not idle `ANSWERED` later.
    """

    person: NDArray[np.int64]
    code: Codes
    at: Moments
    recorded: Moments

    @classmethod
    def none(cls, people: int) -> Self:
        """Give everybody's answer where nobody gave one: before all others."""
        code = np.full(people, NOTHING, np.int8)
        at = np.full(people, NOTHING, np.int64)
        return cls(np.arange(people), code, at, at.copy())

    def of(self, person: NDArray[np.int64]) -> Answers:
        """Give the answers of some people, where there is one of everybody."""
        return Answers(person, self.code[person], self.at[person], self.recorded[person])

    def copy(self) -> Answers:
        """Give the same answers, to be changed."""
        return Answers(self.person, self.code.copy(), self.at.copy(), self.recorded.copy())

    def is_later(self, than: Answers) -> Flags:
        """Say which count before others: later, recorded later, or more restrictive."""
        restricts = (self.recorded > than.recorded) | (
            (self.recorded == than.recorded) & (self.code > than.code)
        )
        later: Flags = (self.at > than.at) | ((self.at == than.at) & restricts)
        return later

    def put(self, others: Answers, where: Flags) -> None:
        """Put some of others' answers in place of those of everybody."""
        person = others.person[where]
        self.code[person] = others.code[where]
        self.at[person] = others.at[where]
        self.recorded[person] = others.recorded[where]


@dataclass(frozen=True, slots=True)
class Histories:
    """Events in the order of their people, each with its person's place, and the people's tokens.

    No event is later than the decision, or was not known then.
    """

    table: Events
    person: NDArray[np.int64]
    tokens: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, events: Events, speaks: Flags, moment: Moment) -> Self:
        """Sort what was known by then; `speaks` says of each terms whether they answer anything."""
        known = speaks[events["terms"]] & (events["valid_from"] <= moment.valid_at)
        known &= events["recorded_at"] <= moment.known_at
        order = sort_tokens(*(events[name] for name in TOKEN))
        # Most events are known and speak, so sorting them all and leaving some out is quickest.
        order = order if known.all() else order[known[order]]
        table = {name: column[order] for name, column in events.items()}
        high, low = (table.pop(name) for name in TOKEN)
        new = np.ones(len(order), np.bool_)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        return cls(table, np.cumsum(new) - 1, (high[new], low[new]))

    @property
    def people(self) -> int:
        """How many people said something."""
        return len(self.tokens[0])


def sort_tokens(high: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the order in which equal tokens are side by side and their first halves rise."""
    # Stable, since a ledger's events come in runs that are in order already.
    order = np.argsort(high, kind="stable")
    same = high[order[1:]] == high[order[:-1]]
    if np.any(low[order[1:]][same] != low[order[:-1]][same]):
        return np.lexsort((low, high))  # two people of the same first half: hardly ever
    return order


def find_places(
    tokens: tuple[NDArray[np.int64], NDArray[np.int64]],
    asked: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Give the place of each token that is asked for among `tokens`, whose first halves rise.

    -1 for those that are not there.
    """
    known = tuple(np.append(half, 0) for half in tokens)
    with ThreadPoolExecutor(max_workers=CORES) as pool:
        parts = zip(*(np.array_split(half, CORES) for half in asked), strict=True)
        return np.concatenate([*pool.map(lambda some: _find_some(known, some), parts)])


def _find_some(
    known: Sequence[NDArray[np.int64]], asked: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Give the places of some; the last of `known` is nobody's."""
    high, low = known
    place, order = np.empty(len(asked[0]), np.int64), np.argsort(asked[0])
    # Looking them up in their order keeps to memory that is near.
    place[order] = np.searchsorted(high[:-1], asked[0][order])
    while True:
        same = (place < len(high) - 1) & (high[place] == asked[0])
        there = same & (low[place] == asked[1])
        if not np.any(same & ~there):
            return np.where(there, place, NOTHING)
        place += same & ~there


PART: Final = 1 << 20
"""About how many events are decided at once, which bounds the memory that takes."""


def settle(
    events: pa.Table, meaning: Meaning, moment: Moment, ages: pa.Table | None = None
) -> pa.Table:
    """Give token, standing and `covered` of everybody who said something, tokens' halves rising.

    `events` are laid out as `STANDING_EVENTS`; `covered` is a bit mask over the meaning's classes.
    `ages` holds tokens and two moments (microseconds since 1970): `child_until`, until when a
    guardian's word counts, and `own_from`, from which the person's own does, which is no earlier.
    Who is not in it always could speak, and without `ages` nobody's word lacks a guardian. No event
    begins before year 1.
    """
    # As many for each core, or the last would be decided while the others wait.
    parts = 1 if events.num_rows < PART else CORES * -(-events.num_rows // (PART * CORES))
    ends = [-(2**63) + 2**64 * part // parts for part in range(parts + 1)]
    columns = read_columns(events, meaning, moment)
    known = None if ages is None else {n: ages.column(n).to_numpy() for n in ages.column_names}

    def settle_part(low: int, high: int) -> pa.Table:
        some = {**cut(columns, low, high)} if parts > 1 else columns
        young = known if known is None or parts == 1 else cut(known, low, high)
        return settle_people(some, meaning, moment, young)

    # Each part holds whole people, and numpy lets the other cores work meanwhile.
    with ThreadPoolExecutor(max_workers=CORES) as pool:
        return pa.concat_tables(pool.map(settle_part, ends[:-1], (end - 1 for end in ends[1:])))


def read_columns(events: pa.Table, meaning: Meaning, moment: Moment) -> Events:
    """Give the events' columns, and whether a gift is over by then."""
    names = (*TOKEN, "terms", "valid_from", "recorded_at")
    columns: Events = {name: events.column(name).to_numpy() for name in names}
    until = pc.fill_null(events.column("valid_until"), moment.valid_at + 1)
    columns["over"] = until.to_numpy() <= moment.valid_at
    if meaning.maximum_age_days is not None:
        oldest = moment.valid_at - meaning.maximum_age_days * DAY
        columns["over"] |= columns["valid_from"] <= oldest
    return columns


def cut(columns: Events, low: int, high: int) -> Events:
    """Give the rows of the people whose tokens' first halves are within bounds."""
    (where,) = np.nonzero((columns[TOKEN[0]] >= low) & (columns[TOKEN[0]] <= high))
    return {name: column[where] for name, column in columns.items()}


def settle_people(
    events: Events, meaning: Meaning, moment: Moment, ages: Events | None
) -> pa.Table:
    """Decide on the people of some events."""
    questions = tuple(list_questions(meaning))
    numbers = 1 + int(events["terms"].max(initial=0))
    codes = [read_codes(question, numbers) for question in questions]
    speaks = np.any([*(code != NOTHING for code in codes), np.zeros(numbers, np.bool_)], axis=0)
    histories = Histories.of(events, speaks, moment)
    latest = [
        (question, pick_latest(histories, question, code))
        for question, code in zip(questions, codes, strict=True)
    ]
    of_age = None if ages is None else place_ages(ages, histories)
    standing, covered = judge(latest, histories.people, meaning, of_age)
    return pa.table([*histories.tokens, standing, covered], [*TOKEN, STANDING, COVERED])


def read_codes(question: Question, numbers: int) -> Codes:
    """Give what each terms answer to a question, by their number; `NOTHING` where that is none."""
    codes = np.full(numbers, NOTHING, np.int8)
    for code, reads in question.reads.items():
        codes[[number for number in reads if number < numbers]] = code
    return codes


@dataclass(frozen=True, slots=True)
class OfAge:
    """Until when each person's guardian speaks, and from when they do; between, nobody can."""

    child_until: Moments
    own_from: Moments


def place_ages(ages: Events, histories: Histories) -> OfAge:
    """Give when each person comes of age."""
    place = find_places(histories.tokens, (ages[TOKEN[0]], ages[TOKEN[1]]))
    bounds = []
    for name in (CHILD_UNTIL, OWN_FROM):
        bound = np.full(histories.people, ALWAYS)
        bound[place[place >= 0]] = ages[name][place >= 0]
        bounds.append(bound)
    return OfAge(*bounds)


def pick_latest(histories: Histories, question: Question, codes: Codes) -> Answers:
    """Give each person's latest answer to a question, if they gave any.

    An answer that is idle has a moment before all others.
    """
    code = codes[histories.table["terms"]]
    spoken = np.flatnonzero(code != NOTHING)
    code, person = code[spoken], histories.person[spoken]
    if question.kind in {"answer", "expiry", "renewal"}:
        code[is_gift(code) & histories.table["over"][spoken]] += LAPSED[0] - GIFTS[0]
    # From year 1 on, so that no moment is negative and idle ones stay below `ANSWERED`.
    at = histories.table["valid_from"][spoken] - ALWAYS
    at += np.array([0 if one in IDLE else ANSWERED for one in Standing])[code]
    recorded = histories.table["recorded_at"][spoken]
    # Codes rise with how much they restrict, so the greatest of a tie is the most restrictive. Of a
    # right that is exercised and ended at one moment it does not matter what was recorded last.
    tied = (code, recorded) if question.kind in RIGHTS else (recorded, code)
    last = find_greatest(person, (at, *tied))
    return Answers(person[last], code[last], at[last], recorded[last])


def find_greatest(
    group: NDArray[np.int64], keys: Iterable[NDArray[np.int64] | Codes]
) -> NDArray[np.int64]:
    """Give the place of the greatest of each group, by the first key and then by the next.

    Equal groups are side by side.
    """
    place = np.arange(len(group))
    for key in keys:
        # Among `place` are still all that no earlier key has put behind another of its group.
        own, of = key[place], group[place]
        new = np.flatnonzero(np.diff(of, prepend=NOTHING))
        if len(new) == len(place):
            return place
        most = np.maximum.reduceat(own, new)
        place = place[own == np.repeat(most, np.diff(new, append=len(own)))]
    return place[np.flatnonzero(np.diff(group[place], prepend=NOTHING))]


def is_gift(code: Codes) -> Flags:
    """Say which answers permit."""
    gift: Flags = (code >= min(GIFTS)) & (code <= max(GIFTS))
    return gift


def is_lapsed(code: Codes) -> Flags:
    """Say which answers permitted, and are over."""
    lapsed: Flags = (code >= min(LAPSED)) & (code <= max(LAPSED))
    return lapsed


Latest = Sequence[tuple[Question, Answers]]


def judge(
    latest: Latest, people: int, meaning: Meaning, of_age: OfAge | None
) -> tuple[Codes, NDArray[np.int32]]:
    """Bring each person's latest answers together to where they stand, and what that covers."""
    worst = np.full(people, NOTHING, np.int8)
    covered = np.zeros(people, np.int32)
    # Who gave nothing has a moment after every answer, so that it is never the least.
    begun = np.full(people, 2 * ANSWERED)
    for number in range(len(meaning.answers)):
        code, since = judge_class(latest, people, number, of_age)
        if number < len(meaning.classes):
            gift = is_gift(code)
            # A bit for each class: their sum is the mask that `settle` promises.
            covered |= gift.astype(np.int32) << number
            np.minimum(begun, since, out=begun, where=gift)
        if not meaning.asks_consent:
            code = np.where(np.isin(code, BARS), code, np.int8(NOTHING))
        np.maximum(worst, code, out=worst)
    found = stand(meaning, worst, covered)
    permitted = (found == Standing.BY_SELF) & meaning.asks_consent
    for question, right in latest:
        if (bars := RIGHTS.get(question.kind)) is not None:
            # Every gift must be later, so the first of them; at the same moment the right prevails.
            consents = permitted[right.person] & (begun[right.person] > right.at)
            found[right.person[(right.code == 1) & ~consents]] = bars
    return found, covered


def judge_class(
    latest: Latest, people: int, number: int, of_age: OfAge | None
) -> tuple[Codes, Moments]:
    """Give everybody's answer on one class, and when what they gave began."""
    answer = combine(latest, people, "answer", number)
    answer = answer.copy() if len(answer.person) == people else spread(answer, people)
    begun = answer.at.copy()
    barred = None if of_age is None else find_barred(answer, of_age)
    extend(answer, combine(latest, people, "renewal", number), barred)
    expiry = combine(latest, people, "expiry", number)
    answer.put(expiry, expiry.is_later(answer.of(expiry.person)))
    if of_age is not None:
        answer.code[is_gift(answer.code) & find_barred(answer, of_age)] = Standing.NEEDS_GUARDIAN
    return answer.code, begun


def combine(latest: Latest, people: int, kind: str, number: int) -> Answers:
    """Give the latest of the answers on one class, to whichever question they were given."""
    asked = [one for q, one in latest if q.kind == kind and number in q.classes]
    asked.sort(key=lambda one: -len(one.person))
    if len(asked) == 1:
        return asked[0]
    found = spread(asked[0], people) if asked else Answers.none(0)
    for one in asked[1:]:
        found.put(one, one.is_later(found.of(one.person)))
    return found


def spread(answers: Answers, people: int) -> Answers:
    """Give everybody's answers, `NOTHING` of those who gave none."""
    found = Answers.none(people)
    found.put(answers, np.ones(len(answers.person), np.bool_))
    return found


def extend(answer: Answers, renewal: Answers, barred: Flags | None) -> None:
    """Let a renewal extend what was given and not taken back; of itself it gives nothing.

    Nor does it extend a gift that is `barred`, since who made it could not.
    """
    before = answer.of(renewal.person)
    # A gift that lapsed can be renewed; one that was withdrawn has another code by now.
    given = is_gift(before.code) | is_lapsed(before.code)
    if barred is not None:
        given &= ~barred[renewal.person]
    answer.put(renewal, given & ~before.is_later(renewal) & (renewal.at >= ANSWERED))


def find_barred(answer: Answers, of_age: OfAge) -> Flags:
    """Find gifts, over or not, that were not made by who could make them then.

    Before they come of age that is the guardian, from then on the person.
    """
    # `at` is counted as `pick_latest` counts what is not idle, so moments must be as well.
    at = answer.at + ALWAYS - ANSWERED
    code = answer.code
    by_self = (code == Standing.BY_SELF) | (code == Standing.LAPSED)
    by_guardian = (code == Standing.BY_GUARDIAN) | (code == Standing.LAPSED_BY_GUARDIAN)
    barred: Flags = by_self & (at < of_age.own_from) | by_guardian & (at >= of_age.child_until)
    return barred


def stand(meaning: Meaning, worst: Codes, covered: NDArray[np.int32]) -> Codes:
    """Give each person's standing, rights aside, by their worst answer and what is covered.

    Under another basis than consent, out are those who took consent back.
    """
    if not meaning.asks_consent:
        return np.where(worst < 0, np.int8(Standing.BY_SELF), worst)
    full = 2 ** len(meaning.classes) - 1
    enough = covered > 0 if meaning.on_partial == "blank" else covered == full
    none = np.where(worst < 0, np.int8(Standing.NEVER_ASKED), worst)
    some = np.where(covered > 0, np.int8(Standing.ONLY_IN_PART), none)
    return np.where(enough, np.int8(Standing.BY_SELF), some)
