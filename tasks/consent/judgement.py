"""From each person's latest answers to where they stand: the rules that join them, as expressions.

It knows no event any more, only the latest answer to each question: its code (a `Standing`), its
moment and when it was recorded, in columns whose names end as `PARTS` say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tasks.consent.meaning import BARS, GIFTS, Meaning, Standing
from tasks.consent.questions import ALWAYS, ANSWERED, NOTHING, PARTS, Question

if TYPE_CHECKING:
    import narwhals as nw

    Frame: TypeAlias = nw.LazyFrame[Any]

TOKEN: Final = ["token_high", "token_low"]
OWN_FROM: Final = "own_from"
STANDING, COVERED = "standing", "covered"


def judge(people: Frame, meaning: Meaning, questions: Sequence[Question], *, aged: bool) -> Frame:
    """Bring each person's latest answers together to where they stand.

    `people` holds the token, the latest answer to each question and, if `aged`, `own_from`.
    """
    import narwhals as nw

    classes = range(len(meaning.classes))
    parts = [f"{q.name}{part}" for q in questions for part in PARTS]
    stood = people.with_columns(*(nw.col(part).fill_null(NOTHING) for part in parts))
    for number in classes:
        for kind in ("answer", "renewal", "expiry"):
            stood = combine(stood, questions, kind, number)
        stood = expire(extend(stood), number)
        if aged:
            stood = stood.with_columns(require_guardian(number))
    gifts = [is_gift(nw.col(f"class_{n}")) for n in classes]
    covered = [gift.cast(nw.Int64) * 2**n for n, gift in enumerate(gifts)]
    # Who gave nothing has a moment too, since pandas would make floats of whole numbers with gaps.
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
