"""Where each person stands at one moment, as known at another: one narwhals expression.

The events form a set; in what order they came changes nothing. Of a person's answers on a
category the latest counts, of several at the same moment the one recorded last, of those recorded
together the more restrictive. The same code runs on DuckDB and on pandas.

First it is asked what each event answers (`list_questions`). Most events answer alike on every
category, so one question is asked of them for all categories at once; the few others have questions
of their own, whose answers are then brought together. What an event answers follows from its terms'
number alone, so it is looked up before the engine begins: an engine would compare each event with
hundreds of numbers.

Then the latest answer to each question is picked, and `judge` knows no event any more: of each
answer its code (a `Standing`), its moment and when it was recorded, in columns whose names end as
`PARTS` say.

What statuses and notices mean for a purpose is decided in `meaning`; who the people are behind the
tokens is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from tasks.consent.meaning import BARS, GIFTS, IDLE, Meaning, Reads, Standing

if TYPE_CHECKING:
    import narwhals as nw

    Frame: TypeAlias = nw.LazyFrame[Any]
    Wrap: TypeAlias = Callable[[pa.Table], Frame]

PARTS: Final = ("", "_at", "_rec")
"""What is kept of an answer, by the end of its columns' names: code, moment, recorded when."""
ALWAYS: Final = -62_135_596_800_000_000
"""The year 1 in microseconds since 1970; no event begins before it."""
ANSWERED: Final = 1_000_000_000_000_000_000
"""Added to the moment of what is not idle, so that it is later than anything idle."""
NOTHING: Final = -1
"""No answer, and its moment."""
TOKEN: Final = ["token_high", "token_low"]
OWN_FROM: Final = "own_from"
STANDING, COVERED = "standing", "covered"
NOBODY: Final = pa.schema(
    [*((name, pa.int64()) for name in TOKEN), (STANDING, pa.int8()), (COVERED, pa.int32())]
)
"""What is found where nobody said anything."""
DAY: Final = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Question:
    """Events that answer alike on some classes of categories, or on a right: the latest counts."""

    name: str
    reads: Reads
    classes: tuple[int, ...] = ()
    ends: bool = False
    """Whether its answers may be gifts, which come to an end."""


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
        for number, (classes, reads) in enumerate(group_reads(by_class).items()):
            yield Question(f"{kind}_{number}", reads, classes, ends=True)
    for name, right in (("objection", meaning.objections), ("restriction", meaning.restrictions)):
        if right:
            yield Question(name, right)


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


def judge(people: Frame, meaning: Meaning, questions: Sequence[Question], *, aged: bool) -> Frame:
    """Bring each person's latest answers together to where they stand.

    `people` holds the token, the latest answer to each question and, if `aged`, `own_from`.
    """
    import narwhals as nw

    classes = range(len(meaning.classes))
    parts = [f"{q.name}{part}" for q in questions for part in PARTS]
    # Who gave no answer to a question has one before all others, so that no null decides anything.
    stood = people.with_columns(*(nw.col(part).fill_null(NOTHING) for part in parts))
    for number in classes:
        for kind in ("answer", "renewal", "expiry"):
            stood = combine(stood, questions, kind, number)
        stood = expire(extend(stood), number)
        if aged:
            stood = stood.with_columns(require_guardian(number))
    gifts = [is_gift(nw.col(f"class_{n}")) for n in classes]
    # A bit for each class: their sum is the mask that `settle` promises.
    covered = [gift.cast(nw.Int64) * 2**n for n, gift in enumerate(gifts)]
    # Who gave nothing has a moment too, since pandas would make floats of whole numbers with gaps.
    # It lies after every answer, so that it is never the least.
    none = nw.lit(2 * ANSWERED, nw.Int64)
    begun = [
        nw.when(gift).then(nw.col(f"begun_{n}")).otherwise(none) for n, gift in enumerate(gifts)
    ]
    joined = stood.with_columns(
        nw.max_horizontal(*(nw.col(f"class_{n}") for n in classes)).alias("worst"),
        nw.sum_horizontal(*covered).alias(COVERED),
        nw.min_horizontal(*begun).alias("begun"),
    )
    standing = stand(meaning, [one.name for one in questions])
    return joined.with_columns(standing.alias(STANDING)).select(
        *TOKEN, nw.col(STANDING).cast(nw.Int8), nw.col(COVERED).cast(nw.Int32)
    )


def is_gift(code: nw.Expr) -> nw.Expr:
    """Whether an answer permits."""
    return (code >= min(GIFTS)) & (code <= max(GIFTS))


def combine(people: Frame, questions: Sequence[Question], kind: str, number: int) -> Frame:
    """Give the latest of the answers on one class, to whichever question they were given."""
    import narwhals as nw

    asked = [q.name for q in questions if q.name.startswith(kind) and number in q.classes]
    first = [nw.col(f"{asked[0]}{p}") if asked else nw.lit(NOTHING, nw.Int64) for p in PARTS]
    found = people.with_columns(*(e.alias(f"{kind}{p}") for e, p in zip(first, PARTS, strict=True)))
    for name in asked[1:]:
        found = take(found, kind, name, is_later(name, kind))
    return found


def is_later(name: str, than: str) -> nw.Expr:
    """Whether one answer counts before another: later, recorded later, or more restrictive."""
    import narwhals as nw

    (code, at, recorded), (other, other_at, other_recorded) = (
        [nw.col(f"{one}{part}") for part in PARTS] for one in (name, than)
    )
    restricts = (recorded > other_recorded) | ((recorded == other_recorded) & (code > other))
    return (at > other_at) | ((at == other_at) & restricts)


def take(people: Frame, into: str, name: str, where: nw.Expr) -> Frame:
    """Put one answer in place of another for some people."""
    import narwhals as nw

    marked = people.with_columns(where.alias("taken"))
    return marked.with_columns(
        *(
            nw.when(nw.col("taken")).then(nw.col(f"{name}{p}")).otherwise(nw.col(f"{into}{p}"))
            .alias(f"{into}{p}")
            for p in PARTS
        )
    )  # fmt: skip


def extend(people: Frame) -> Frame:
    """Let a renewal extend what was given and not taken back; of itself it gives nothing."""
    import narwhals as nw

    # A gift that lapsed can be renewed; one that was withdrawn has another code by now.
    given = is_gift(nw.col("answer")) | (nw.col("answer") == int(Standing.LAPSED))
    later = ~is_later("answer", "renewal") & (nw.col("renewal_at") >= ANSWERED)
    begun = people.with_columns(nw.col("answer_at").alias("begun"))
    return take(begun, "answer", "renewal", given & later)


def expire(people: Frame, number: int) -> Frame:
    """Let what was said to be expired be so, and keep the answer on one class."""
    import narwhals as nw

    ended = take(people, "answer", "expiry", is_later("expiry", "answer"))
    return ended.with_columns(
        nw.col("answer").alias(f"class_{number}"),
        nw.col("answer_at").alias(f"since_{number}"),
        nw.col("begun").alias(f"begun_{number}"),
    )


def require_guardian(number: int) -> nw.Expr:
    """A gift counts if it was made by who could make it then: the guardian, or the person."""
    import narwhals as nw

    code, own_from = nw.col(f"class_{number}"), nw.col(OWN_FROM)
    by_guardian = code == int(Standing.BY_GUARDIAN)
    # `since` is counted as `pick_latest` counts what is not idle, so the bound must be as well.
    as_child = nw.col(f"since_{number}") < own_from - ALWAYS + ANSWERED
    wrong = is_gift(code) & (by_guardian != as_child)
    lacking = nw.lit(int(Standing.NEEDS_GUARDIAN), nw.Int64)
    return nw.when(wrong).then(lacking).otherwise(code).alias(f"class_{number}")


def stand(meaning: Meaning, names: Sequence[str]) -> nw.Expr:
    """Give each person's one standing; rights exercised since the gift go before it."""
    import narwhals as nw

    found = permitted_in_part(meaning) if meaning.asks_consent else barred(meaning)
    permitted = (found == int(Standing.BY_SELF)) & nw.lit(meaning.asks_consent)
    for name, standing in (("objection", Standing.OBJECTED), ("restriction", Standing.RESTRICTED)):
        if name in names:
            # Every gift must be later, so the first of them; at the same moment the right prevails.
            consents = permitted & (nw.col("begun") > nw.col(f"{name}_at"))
            bars = (nw.col(name) == 1) & ~consents
            found = nw.when(bars).then(nw.lit(int(standing), nw.Int64)).otherwise(found)
    return found


def permitted_in_part(meaning: Meaning) -> nw.Expr:
    """Give the standing of a policy that rests on consent: on all classes, on some, or on none."""
    import narwhals as nw

    yes, part, never = (
        nw.lit(int(one), nw.Int64)
        for one in (Standing.BY_SELF, Standing.ONLY_IN_PART, Standing.NEVER_ASKED)
    )
    full, worst = 2 ** len(meaning.classes) - 1, nw.col("worst")
    enough = nw.col(COVERED) > 0 if meaning.on_partial == "blank" else nw.col(COVERED) == full
    none = nw.when(worst < 0).then(never).otherwise(worst)
    return (
        nw.when(enough).then(yes).otherwise(nw.when(nw.col(COVERED) > 0).then(part).otherwise(none))
    )


def barred(meaning: Meaning) -> nw.Expr:
    """Give the standing under another basis than consent: out if consent was taken back."""
    import narwhals as nw

    by_class = []
    for number in range(len(meaning.classes)):
        code = nw.col(f"class_{number}")
        bars = nw.any_horizontal(*(code == int(one) for one in BARS), ignore_nulls=True)
        by_class.append(nw.when(bars).then(code).otherwise(nw.lit(NOTHING, nw.Int64)))
    worst = nw.max_horizontal(*by_class)
    return nw.when(worst < 0).then(nw.lit(int(Standing.BY_SELF), nw.Int64)).otherwise(worst)


@dataclass(frozen=True, slots=True)
class Moment:
    """The two moments of a decision, in microseconds since 1970 UTC."""

    valid_at: int
    known_at: int


def settle(
    events: pa.Table, wrap: Wrap, meaning: Meaning, moment: Moment, ages: pa.Table | None = None
) -> pa.Table:
    """Give token, standing and `covered` of everybody who said something, in any order.

    `events` holds the token, `terms`, `valid_from`, `recorded_at` and `valid_until` (null: no
    end), and `wrap` gives a table to the engine; `covered` is a bit mask over the meaning's
    classes. `ages` holds tokens and `own_from`, the moment (microseconds since 1970) from which a
    person's own word counts; who is not in it always could, and without `ages` nobody's word lacks
    a guardian. No event begins before year 1.
    """
    import narwhals as nw

    questions = tuple(list_questions(meaning))
    if not questions:
        return NOBODY.empty_table()
    known = wrap(append_answers(events, questions)).filter(
        nw.col("valid_from") <= moment.valid_at, nw.col("recorded_at") <= moment.known_at
    )
    lapsed = is_over(meaning, moment)
    latest = reduce(join_answers, (pick_latest(known, one, lapsed) for one in questions))
    if ages is not None:
        joined = latest.join(wrap(ages).select(*TOKEN, OWN_FROM), on=TOKEN, how="left")
        latest = joined.with_columns(nw.col(OWN_FROM).fill_null(ALWAYS))
    judged = judge(latest, meaning, questions, aged=ages is not None)
    table: pa.Table = judged.collect("pyarrow").to_native()
    return table


def append_answers(events: pa.Table, questions: Iterable[Question]) -> pa.Table:
    """Add a column for each question: what an event answers to it, `NOTHING` where that is none."""
    terms = events.column("terms").to_numpy()
    numbers = int(terms.max(initial=0)) + 1
    for question in questions:
        codes = np.full(numbers, NOTHING, np.int8)
        for code, reads in question.reads.items():
            codes[[number for number in reads if number < numbers]] = code
        events = events.append_column(question.name, pa.array(codes[terms]))
    return events


def pick_latest(events: Frame, question: Question, lapsed: nw.Expr) -> Frame:
    """Give the latest answer to a question by token, its moment, and when it was recorded.

    An answer that is idle has a moment before all others.
    """
    import narwhals as nw

    name = question.name
    spoken = events.filter(nw.col(name) != NOTHING).with_columns(nw.col(name).cast(nw.Int64))
    if question.ends:
        gift = nw.any_horizontal(*(nw.col(name) == int(one) for one in GIFTS), ignore_nulls=True)
        over = nw.lit(int(Standing.LAPSED), nw.Int64)
        read = nw.when(gift & lapsed).then(over).otherwise(nw.col(name))
        spoken = spoken.with_columns(read.alias(name))
    idle = nw.any_horizontal(*(nw.col(name) == int(one) for one in IDLE), ignore_nulls=True)
    # From year 1 on, so that no moment is negative and idle ones stay below `ANSWERED`.
    since = nw.col("valid_from") - ALWAYS
    spoken = spoken.with_columns(nw.when(idle).then(since).otherwise(since + ANSWERED).alias("at"))
    # Codes rise with how much they restrict, so the last of a tie is the most restrictive.
    return spoken.unique(TOKEN, keep="last", order_by=["at", "recorded_at", name]).select(
        *TOKEN, name, nw.col("at").alias(f"{name}_at"), nw.col("recorded_at").alias(f"{name}_rec")
    )


def join_answers(ours: Frame, theirs: Frame) -> Frame:
    """Put the answers to two questions side by side, whoever answered either."""
    import narwhals as nw

    joined = ours.join(theirs, on=TOKEN, how="full", suffix="_theirs")
    both = (nw.coalesce(nw.col(name), nw.col(f"{name}_theirs")).alias(name) for name in TOKEN)
    return joined.with_columns(*both).drop([f"{name}_theirs" for name in TOKEN])


def is_over(meaning: Meaning, moment: Moment) -> nw.Expr:
    """Whether a gift's own end, or the policy's maximum age, has come."""
    import narwhals as nw

    over = nw.col("valid_until").fill_null(moment.valid_at + 1) <= moment.valid_at
    if meaning.maximum_age_days is None:
        return over
    return over | (nw.col("valid_from") <= moment.valid_at - meaning.maximum_age_days * DAY)
