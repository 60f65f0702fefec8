"""What a table's outlet promises, k and privacy models, judged by Great Expectations (GX).

One suite per table, of the very promises that the claim names, in its words; what leaves here are
measures and checks in words. Whether classes and columns are the right ones, and what another
release about the same people adds, is not known here.

k and the number of classes are told exactly, all else to three decimals. GX is imported late
(seconds), and its results go no further (`expectations/gx/quiet_validation.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.errors import UsageError
from expectations.gx.quiet_validation import quiet, refuse_unknown, validate
from expectations.measures.sensitive_measures import INFINITE, name_measure, round_reached
from expectations.policy.outlets import Rare, TableOutlet
from expectations.policy.privacy_models import PrivacyModel, describe_model
from expectations.policy.vocabulary import CheckVerdict

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult

COARSER: Final = (
    "make the columns coarser or leave more people out; the recoding, which promises {}, erred"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One promise, judged: a measure under a name within its outlet, and the check.

    `value` is None where no number holds.
    """

    measure: str
    value: float | None
    check: Check


def judge_table(frame: pd.DataFrame, promised: TableOutlet, outlet: str) -> list[Judged]:
    """Judge a table that is to leave: k first, then sensitive columns, then rare labels.

    A table without rows meets nothing. Raises `UsageError` for a column that is not there, and for
    one that GX can't group by.
    """
    columns, models, rare = promised.linkable, list_models(promised), list_rare(promised)
    read = list(dict.fromkeys([*columns, *promised.sensitive, *(column for column, _ in rare)]))
    refuse_unknown(frame, read)
    results = {_number(each): each for each in validate(frame[read], build_table_suite(promised))}
    over = f"over {', '.join(columns)}"
    # By number: a promise whose result GX lost is an error here and not a check less.
    return [
        _judge_k(results[0], promised.k, over, outlet),
        *(
            _judge_model(results[number], asked, over, outlet)
            for number, asked in enumerate(models, start=1)
        ),
        *(
            _judge_rare(results[number], column, rule.at_least, outlet)
            for number, (column, rule) in enumerate(rare, start=1 + len(models))
        ),
    ]


def list_models(promised: TableOutlet) -> list[tuple[str, PrivacyModel]]:
    """Give each model with its column, in the order of the policy, which is that of the claim."""
    return [(column, model) for column, models in promised.sensitive.items() for model in models]


def list_rare(promised: TableOutlet) -> list[tuple[str, Rare]]:
    """Give each column whose rare labels are merged, with its rule."""
    return [(name, how) for name, how in promised.columns.items() if isinstance(how, Rare)]


def build_table_suite(promised: TableOutlet) -> ExpectationSuite:
    """Make a GX suite of all that an outlet promises; GX sorts it, so `meta` keeps the number."""
    with quiet():
        import great_expectations as gx

        from expectations.gx.sensitive_expectations import expect_model
        from expectations.gx.table_expectations import ExpectTableToBeKAnonymous

        columns, models = list(promised.linkable), list_models(promised)
        made = [
            ExpectTableToBeKAnonymous(columns=columns, k=promised.k, meta={"number": 0}),
            *(
                expect_model(model, column, columns, {"number": number})
                for number, (column, model) in enumerate(models, start=1)
            ),
            *(
                ExpectTableToBeKAnonymous(
                    columns=[column], k=rule.at_least, meta={"number": number}
                )
                for number, (column, rule) in enumerate(list_rare(promised), start=1 + len(models))
            ),
        ]
        return gx.ExpectationSuite(name="table", expectations=made)


def _judge_k(result: ExpectationValidationResult, k: int, over: str, outlet: str) -> Judged:
    """Put the k that was reached into a check."""
    reached, classes = _read(result, f"k {over}")
    # Of a single class, k is the number of people in the table, which is told to nobody.
    told = min(reached, k) if classes == 1 else reached
    check = Check(
        f"k-anonymity of {outlet}",
        f"k of at least {k} {over}",
        f"k = {told:g} in {classes:,} classes"
        if classes != 1
        else f"k of {told:g} or more: one class",
        CheckVerdict.PASSED if result.success else CheckVerdict.REFUSED,
        f"a single class of fewer than {k} people; every row was checked",
        COARSER.format("k"),
        outlet,
    )
    return Judged("k", int(told), check)


def _judge_rare(
    result: ExpectationValidationResult, column: str, at_least: int, outlet: str
) -> Judged:
    """Put how many people share the rarest label of a column into a check."""
    reached, labels = _read(result, f"labels of {column}")
    told = min(reached, at_least) if labels == 1 else reached
    check = Check(
        f"rare labels of {column} in {outlet}",
        f"each label of {column} shared by at least {at_least} people",
        f"the rarest of {labels:,} is shared by {'at least ' * (labels == 1)}{told:g}",
        CheckVerdict.PASSED if result.success else CheckVerdict.REFUSED,
        f"a single label of fewer than {at_least} people; every row was checked",
        COARSER.format("it"),
        outlet,
    )
    return Judged(f"rarest.{column}", int(told), check)


def _judge_model(
    result: ExpectationValidationResult, asked: tuple[str, PrivacyModel], over: str, outlet: str
) -> Judged:
    """Put what was reached of a column's model into a check."""
    column, model = asked
    name, kind = name_measure(model), model.kind
    reached, classes = _read(result, f"{kind} of {column}")
    told, details = round_reached(model, reached), result.result["details"]
    shown = f"{told:g}" if math.isfinite(told) else INFINITE
    verdict = CheckVerdict.PASSED if result.success else CheckVerdict.REFUSED
    advice = COARSER.format(kind) + f"; or ask for less, or release {column} in fewer words"
    if result.success and not details["can_fail"]:
        verdict = CheckVerdict.INCONCLUSIVE
        advice = (
            f"the table is one class: lower k, so that there can be more, or leave {column} out"
            if classes == 1
            else f"ask for what a table can break, or leave {column} out"
        )
    check = Check(
        f"{kind} of {column} in {outlet}",
        f"{describe_model(model, column)} in every class {over} ({_tell_bounds(model)})",
        f"{name.replace('_', ' ')} = {shown} in {classes:,} class{'es' * (classes != 1)}",
        verdict,
        details["smallest_violation_found"],
        advice,
        outlet,
    )
    return Judged(f"{name}.{column}", told if math.isfinite(told) else None, check)


def _tell_bounds(model: PrivacyModel) -> str:
    """Give a model's numbers, which the measure beside them is compared with."""
    bounds = model.model_dump(exclude={"kind", "distance", "enhanced"})
    return ", ".join(f"{name} = {bound:g}" for name, bound in bounds.items())


def _read(result: ExpectationValidationResult, what: str) -> tuple[float, int]:
    """Read what was reached, and the number of classes; an error of GX lacks both."""
    if "classes" not in result.result:
        raise UsageError(
            f"Great Expectations could not judge {what}; check the types of these columns"
        )
    observed = result.result["observed_value"]
    reached = math.inf if observed == INFINITE else float(observed)
    return reached, result.result["classes"]


def _number(result: ExpectationValidationResult) -> int:
    """Read back which promise a result is of."""
    config = result.expectation_config
    assert config is not None
    assert config.meta is not None
    number: int = config.meta["number"]
    return number


def order_labels(values: pd.Series, labels: Sequence[str]) -> pd.Series:
    """Put a column into the order of its declared labels, which an ordered distance goes by.

    What is none of them stays what it is, and comes last.
    """
    import pandas as pd

    known = dict.fromkeys([*labels, *sorted(values.dropna().unique(), key=str)])
    return values.astype(pd.CategoricalDtype(list(known), ordered=True))
