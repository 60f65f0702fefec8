"""Where each person stands at one moment, as known at another: one narwhals expression.

The events form a set; in what order they came changes nothing. Of a person's answers on a
category the latest counts, of several at the same moment the one recorded last, of those recorded
together the more restrictive. The same code runs on DuckDB and on pandas.

Most events answer alike on every category, so one question is asked of them for all categories at
once; the few others have questions of their own, whose answers are then brought together. What an
event answers follows from its terms' number alone, so it is looked up before the engine begins: an
engine would compare each event with hundreds of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from tasks.consent.judgement import COVERED, OWN_FROM, STANDING, TOKEN, judge
from tasks.consent.meaning import GIFTS, IDLE, Meaning, Standing
from tasks.consent.questions import ALWAYS, ANSWERED, NOTHING, Question, list_questions

if TYPE_CHECKING:
    import narwhals as nw

    Frame: TypeAlias = nw.LazyFrame[Any]
    Wrap: TypeAlias = Callable[[pa.Table], Frame]

NOBODY: Final = pa.schema(
    [*((name, pa.int64()) for name in TOKEN), (STANDING, pa.int8()), (COVERED, pa.int32())]
)
"""What is found where nobody said anything."""
DAY: Final = 86_400_000_000
"""Microseconds."""


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
    since = nw.col("valid_from") - ALWAYS
    spoken = spoken.with_columns(nw.when(idle).then(since).otherwise(since + ANSWERED).alias("at"))
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
