"""What may be changed of a refused table: one place of the policy at a time, in its own words.

Changes of what a column becomes before it is released (other bins, other groupings) are not among
them: there are too many, and what they are worth is for who knows the column. Of columns made of
many rows, those of one table are left out together too, and a shorter window is an idea that cannot
be tried, since rows are not read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.coherence.rules import find_problems
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.privacy_models import (
    AlphaK,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)
from expectations.policy.treatments import public_labels
from expectations.policy.vocabulary import Use
from tasks.account.published import Way

USUAL_K: Final = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
USUAL_SHARES: Final = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of people who may be left out; a policy allows no more than half."""
PERIODS: Final = ("year", "quarter", "month")
TWENTIETHS: Final = tuple(round(n / 20, 2) for n in range(1, 21))
FACTORS: Final = (1.25, 1.5, 2, 3, 4, 6, 10)
"""By how much a bound without a largest value is loosened."""


@dataclass(frozen=True)
class Change:
    """What is changed, in words, and the outlet as it then is."""

    words: str
    outlet: TableOutlet

    def then(self, other: Change) -> Change:
        """Take the columns that another change leaves out, out of this one's outlet too."""
        out = self.outlet
        for column in [name for name in out.columns if name not in other.outlet.columns]:
            out = drop_column(out, column)
        return Change(f"{self.words}, and {other.words}", out)


def drop_column(outlet: TableOutlet, column: str) -> TableOutlet:
    """Leave a column out of an outlet and of all that the outlet says of columns."""
    parts = ("columns", "sensitive", "loss_ratio", "not_linkable")
    return outlet.model_copy(
        update={
            part: {name: said for name, said in getattr(outlet, part).items() if name != column}
            for part in parts
        }
    )


def leave_out(outlet: TableOutlet) -> Iterator[Change]:
    """Leave out one linkable column, as long as another one stays."""
    for column in outlet.linkable if len(outlet.linkable) > 1 else ():
        yield Change(f"leave out {column}", drop_column(outlet, column))


def coarsen(policy: Policy, outlet: TableOutlet) -> Iterator[Change]:
    """Generalize one column that was kept, where its treatment declares labels."""
    for column in outlet.linkable:
        treatment, kind = policy.treated[column].treatment, policy.column_type(column)
        if outlet.columns[column] == "keep" and public_labels(treatment, kind) is not None:
            columns = {**outlet.columns, column: "generalize"}
            changed = outlet.model_copy(update={"columns": columns})
            yield Change(f"{column}: generalize", changed)


def coarsen_more(outlet: TableOutlet, columns: Sequence[str]) -> list[Change]:
    """Generalize two and more of these columns together, in their order."""
    return [
        Change(
            f"{', '.join(some)}: generalize",
            outlet.model_copy(
                update={"columns": {**outlet.columns, **dict.fromkeys(some, "generalize")}}
            ),
        )
        for some in (columns[:count] for count in range(2, len(columns) + 1))
    ]


def list_of_rows(policy: Policy, columns: Iterable[str]) -> dict[str, list[str]]:
    """Give those of these columns that are made of many rows, by the table of those rows."""
    tables: dict[str, list[str]] = {}
    for column in columns:
        made = policy.columns[column].rows if column in policy.columns else None
        if made is not None and made.of is not None:
            tables.setdefault(made.of, []).append(column)
    return tables


def thin(outlet: TableOutlet, table: str, columns: Sequence[str]) -> Iterator[Change]:
    """Leave out two and more of a table's columns, in their order, as long as others stay."""
    left = outlet
    for count, column in enumerate(columns, 1):
        left = drop_column(left, column)
        kept = ", ".join(columns[count:])
        if count > 1 and left.linkable:
            but = f" but {kept}" if kept else ""
            yield Change(f"of {table}, leave out all{but}", left)


def shorten(policy: Policy, columns: Sequence[str]) -> Iterator[Way]:
    """Look back half as far; nobody knows what that comes to before rows are read again."""
    for column in columns:
        made = policy.columns[column].rows
        if made is not None and (made.days_before or 0) > 1:
            days = (made.days_before or 0) // 2
            told = "to try it, rows must be read again"
            yield Way(f"{column}: rows: days_before: {days}", None, told, {})


def lower_k(outlet: TableOutlet) -> list[Change]:
    """Ask for a smaller k, the nearest first."""
    return [
        Change(f"k: {k}", outlet.model_copy(update={"k": k}))
        for k in reversed(USUAL_K)
        if k < outlet.k
    ]


def renew(outlet: TableOutlet) -> list[Change]:
    """Have a new plan now, and more often from then on; the longest such period first."""
    return [
        Change(f"period: {period}", outlet.model_copy(update={"period": period}))
        for period in PERIODS[PERIODS.index(outlet.period) + 1 :]
    ]


def leave_more_out(outlet: TableOutlet, least: float) -> list[Change]:
    """Let more people be left out, from the share that was found on (a bound that may be told)."""
    shares = sorted({least, *(share for share in USUAL_SHARES if share > least)})
    return [
        Change(f"max_suppressed: {share:g}", outlet.model_copy(update={"max_suppressed": share}))
        for share in shares
        if outlet.max_suppressed < share <= USUAL_SHARES[-1]
    ]


def allow_ratio(outlet: TableOutlet, column: str) -> list[Change]:
    """Let the worst-treated group of a column lose more, the nearest ratio first."""
    asked = outlet.loss_ratio[column]
    return [
        Change(
            f"loss_ratio: {column}: {ratio:g}",
            outlet.model_copy(update={"loss_ratio": {**outlet.loss_ratio, column: ratio}}),
        )
        for ratio in (round(asked * factor, 1) for factor in FACTORS)
        if ratio > asked
    ]


def weaken_models(outlet: TableOutlet) -> Iterator[list[Change]]:
    """Ask less of one privacy model of a sensitive column, the nearest first; a list for each."""
    for column, models in outlet.sensitive.items():
        for at, model in enumerate(models):
            yield [
                Change(
                    f"{column}: {weaker.kind} with {said}",
                    put_model(outlet, column, (*models[:at], weaker, *models[at + 1 :])),
                )
                for said, weaker in weaker_than(model)
            ]


def put_model(outlet: TableOutlet, column: str, models: tuple[PrivacyModel, ...]) -> TableOutlet:
    """Give an outlet other models for one sensitive column."""
    return outlet.model_copy(update={"sensitive": {**outlet.sensitive, column: models}})


def weaker_than(model: PrivacyModel) -> list[tuple[str, PrivacyModel]]:
    """Give ever weaker models of the same kind, each with its bound in words."""
    name, bounds = list_bounds(model)
    return [(f"{name}: {bound:g}", model.model_copy(update={name: bound})) for bound in bounds]


def list_bounds(model: PrivacyModel) -> tuple[str, Sequence[float]]:
    """Name what a model bounds, and give ever weaker bounds."""
    match model:
        case DistinctLDiversity(l=asked):
            return "l", range(asked - 1, 1, -1)
        case EntropyLDiversity(l=asked):
            return "l", [b for b in (asked - n / 4 for n in range(1, 13)) if b > 1]
        case TCloseness(t=asked):
            return "t", [bound for bound in TWENTIETHS if bound > asked]
        case AlphaK(alpha=asked):
            return "alpha", [bound for bound in TWENTIETHS[:-1] if bound > asked]
        case RecursiveLDiversity(c=asked):
            return "c", [round(asked * factor, 2) for factor in FACTORS]
    name = "beta" if model.kind == "beta-likeness" else "delta"
    return name, [round(getattr(model, name) * factor, 2) for factor in FACTORS]


def change_policy(policy: Policy, name: str, outlet: TableOutlet) -> Policy:
    """Put a changed outlet into a policy, and take `release` off what no table releases any more.

    A column that was there only to be released is not read at all.
    """
    changed = policy.model_copy(update={"outlets": {**policy.outlets, name: outlet}})
    return end_use(changed, {*policy.used_as(Use.RELEASE)} - changed.released, Use.RELEASE)


def end_use(policy: Policy, gone: Collection[str], use: Use) -> Policy:
    """Take one use off some columns; what has no other use is not read at all."""
    parts: dict[str, Mapping[str, object]] = {}
    for part in ("columns", "derived"):
        kept = {
            column: said
            if column not in gone
            else said.model_copy(update={"use": tuple(u for u in said.use if u != use)})
            for column, said in getattr(policy, part).items()
        }
        parts[part] = {column: said for column, said in kept.items() if said.use}
    there = parts["columns"].keys() | parts["derived"].keys()
    rules = tuple(rule for rule in policy.expectations if rule.column in there)
    return policy.model_copy(update={**parts, "expectations": rules})


def find_faults(policy: Policy) -> set[tuple[str, str]]:
    """Give where and what `check` finds wrong with a policy."""
    return {(problem.path, problem.what) for problem in find_problems(policy)}
