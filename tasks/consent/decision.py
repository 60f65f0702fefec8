"""Where each person stands at one moment, as known at another: one narwhals expression.

The events form a set; in what order they came changes nothing. Of a person's answers on a
category the latest counts, of several at the same moment the one recorded last, of those recorded
together the more restrictive. The same code runs on DuckDB and on pandas.

Most events answer alike on every category, so one question is asked of them for all categories at
once; the few others have questions of their own, whose answers are then brought together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa

from tasks.consent.judgement import COVERED, OWN_FROM, STANDING, TOKEN, judge
from tasks.consent.meaning import GIFTS, IDLE, Meaning, Standing
from tasks.consent.questions import ALWAYS, ANSWERED, Question, list_questions

if TYPE_CHECKING:
    import narwhals as nw

    Frame: TypeAlias = nw.LazyFrame[Any]

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


def settle(events: Frame, meaning: Meaning, moment: Moment, ages: Frame | None = None) -> pa.Table:
    """Give token, standing and `covered` of everybody who said something, in any order.

    `events` holds the token, `terms`, `valid_from`, `recorded_at` and `valid_until` (null: no
    end); `covered` is a bit mask over the meaning's classes. `ages` holds tokens and `own_from`,
    the moment (microseconds since 1970) from which a person's own word counts; who is not in it
    always could, and without `ages` nobody's word lacks a guardian. No event begins before year 1.
    """
    import narwhals as nw

    questions = tuple(list_questions(meaning))
    if not questions:
        return NOBODY.empty_table()
    known = events.filter(
        nw.col("valid_from") <= moment.valid_at, nw.col("recorded_at") <= moment.known_at
    )
    lapsed = is_over(meaning, moment)
    latest = reduce(join_answers, (pick_latest(known, one, lapsed) for one in questions))
    if ages is not None:
        joined = latest.join(ages.select(*TOKEN, OWN_FROM), on=TOKEN, how="left")
        latest = joined.with_columns(nw.col(OWN_FROM).fill_null(ALWAYS))
    judged = judge(latest, meaning, questions, aged=ages is not None)
    table: pa.Table = judged.collect("pyarrow").to_native()
    return table


def pick_latest(events: Frame, question: Question, lapsed: nw.Expr) -> Frame:
    """Give the latest answer to a question by token, its moment, and when it was recorded.

    An answer that is idle has a moment before all others.
    """
    import narwhals as nw

    name = question.name
    terms = [one for numbers in question.reads.values() for one in numbers]
    spoken = events.filter(is_one_of(terms)).with_columns(read_code(question, lapsed).alias(name))
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


def is_one_of(terms: Iterable[int]) -> nw.Expr:
    """Whether an event has one of these terms; compared one by one, as DuckDB does best."""
    import narwhals as nw

    return nw.any_horizontal(*(nw.col("terms") == n for n in sorted(terms)), ignore_nulls=True)


def is_over(meaning: Meaning, moment: Moment) -> nw.Expr:
    """Whether a gift's own end, or the policy's maximum age, has come."""
    import narwhals as nw

    over = nw.col("valid_until").fill_null(moment.valid_at + 1) <= moment.valid_at
    if meaning.maximum_age_days is None:
        return over
    return over | (nw.col("valid_from") <= moment.valid_at - meaning.maximum_age_days * DAY)


def read_code(question: Question, lapsed: nw.Expr) -> nw.Expr:
    """Give what an event answers to a question that it is one of."""
    import narwhals as nw

    found: nw.Expr | None = None
    for code, numbers in question.reads.items():
        value = nw.lit(code, nw.Int64)
        if question.ends and code in GIFTS:
            value = nw.when(lapsed).then(nw.lit(int(Standing.LAPSED), nw.Int64)).otherwise(value)
        found = value if found is None else nw.when(is_one_of(numbers)).then(value).otherwise(found)
    assert found is not None, "a question without answers is not asked"
    return found
