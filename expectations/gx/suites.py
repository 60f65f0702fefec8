"""A policy's value rules, judged by Great Expectations (GX).

GX decides; what leaves here is a `Check` in words. Shares are told as a range that is wide enough
for a threshold of people, because an exact share of a table whose size is known is an exact count.
A range still shows when one person moves a share over its edge, and a verdict on a rule that
allows no exception says that there is none. Nothing here knows a column's treatment: a rule that
the treatment makes true can't fail, and is passed here all the same.

GX is imported late, and its results go no further (`expectations/gx/quiet_validation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never

from expectations.checks import Check
from expectations.disclosure import EXACT, percent
from expectations.errors import UsageError
from expectations.gx.quiet_validation import quiet, refuse_unknown, validate
from expectations.policy.policy import MissingAtMost, Rule, ShareBetween, ValuesBetween, ValuesIn
from expectations.policy.vocabulary import CheckVerdict

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

RANGES: Final = (1000, 500, 200, 100, 50, 20, 10, 5, 2)
"""Into how many equal ranges shares may be cut, the finest first."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a rule is called, asks, and advises; travels with its expectation as `meta`."""

    name: str
    asked: str
    counted: str
    """What the measured share is a share of, and what those rows do."""
    remedy: str
    strict: bool = False
    """The rule allows no exception: that it passed says that there is none."""
    can_fail: bool = True


def word(rule: Rule) -> Words:
    """Put a value rule into words; values in them are the policy's own."""
    match rule:
        case ValuesBetween(column=column, low=low, high=high):
            advice = (
                "look for codes and other units in the source, clip the column, or widen the rule"
            )
            asked, counted = f"{low:.15g} to {high:.15g}", "of the values are outside"
            return Words(f"values of {column}", asked, counted, advice, strict=True)
        case ValuesIn(column=column, values=values):
            advice = "declare the words that the source uses, or map them by categories"
            shown = f": {', '.join(values)}" if len(values) <= 6 else ""
            asked = f"one of {len(values)} declared words{shown}"
            counted = "of the values are other words"
            return Words(f"words of {column}", asked, counted, advice, strict=True)
        case MissingAtMost(column=column, share=share):
            advice = "find out why the source lacks them, leave the column out, or allow more"
            asked, counted = f"at most {percent(share, EXACT)} missing", "of the values are missing"
            name, strict = f"missing values of {column}", share == 0
            return Words(name, asked, counted, advice, strict, can_fail=share < 1)
        case ShareBetween(column=column, value=value, low=low, high=high):
            advice = (
                "check whether the column still means the same, or move the bounds with a reason"
            )
            asked = f"{percent(low, EXACT)} to {percent(high, EXACT)} of all people"
            counted = f"of all people have {value}"
            name, can_fail = f"share of {value} in {column}", (low, high) != (0, 1)
            return Words(name, asked, counted, advice, can_fail=can_fail)
        case _:
            assert_never(rule)


def build_suite(rules: Sequence[Rule]) -> ExpectationSuite:
    """Make a GX suite of a policy's value rules, each described in the rule's words."""
    with quiet():
        import great_expectations as gx

        made = [expect(rule, number) for number, rule in enumerate(rules)]
        return gx.ExpectationSuite(name="value rules", expectations=made)


def expect(rule: Rule, number: int) -> Expectation:
    """Give the expectation that judges a rule; GX sorts them, so `meta` keeps the number."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    import expectations.gx.table_expectations  # noqa: F401  # registers our own with GX

    words = word(rule)
    kind, arguments = translate(rule)
    return ExpectationConfiguration(
        type=kind,
        kwargs={"column": rule.column, **arguments},
        meta={"number": number, "words": asdict(words)},
        description=f"{words.name}: {words.asked}",
    ).to_domain_obj()


def translate(rule: Rule) -> tuple[str, dict[str, object]]:
    """Give the name of the expectation that judges a rule, and its arguments."""
    match rule:
        case ValuesBetween(low=low, high=high):
            return "expect_column_values_to_be_between", {"min_value": low, "max_value": high}
        case ValuesIn(values=values):
            return "expect_column_values_to_be_in_set", {"value_set": list(values)}
        case MissingAtMost(share=share):
            # By decimals: 1 - share in floating point can refuse a share that is just allowed.
            mostly = float(1 - Decimal(repr(share)))
            return "expect_column_values_to_not_be_null", {"mostly": mostly}
        case ShareBetween(value=value, low=low, high=high):
            return "expect_column_value_share_to_be_between", {
                "value": value, "min_value": low, "max_value": high,
            }  # fmt: skip
        case _:
            assert_never(rule)


def run_suite(frame: pd.DataFrame, suite: ExpectationSuite, threshold: int = 10) -> list[Check]:
    """Judge a frame by a suite of `build_suite`: one check per rule, in the rules' order.

    `threshold` is the fewest people that a told range of shares spans. Raises `UsageError` for a
    column that is not there, and for one that its rule can't be asked of.
    """
    if not suite.expectations:
        return []
    columns = list(dict.fromkeys(str(e.configuration.kwargs["column"]) for e in suite.expectations))
    refuse_unknown(frame, columns)
    results = {numbered(result)[0]: result for result in validate(frame[columns], suite)}
    # By number: a rule whose result GX lost is an error here and not a check less.
    return [judge(results[number], threshold) for number in range(len(suite.expectations))]


def judge(result: ExpectationValidationResult, threshold: int) -> Check:
    """Turn one result of GX into a check, without its exact counts."""
    _, words = numbered(result)
    counts = result.result
    if "element_count" not in counts:
        raise UsageError(
            f"{words.name}: Great Expectations could not judge the column by "
            f"'{words.asked}'; bounds need a column of numbers, the lower one first"
        )
    total = counts["element_count"] - (counts.get("missing_count") or 0)
    found = counts["matching_count" if "matching_count" in counts else "unexpected_count"]
    if total == 0 or not words.can_fail:
        verdict, power = (
            CheckVerdict.INCONCLUSIVE,
            "nothing: "
            + ("there is no value to look at" if total == 0 else "the rule allows every value"),
        )
    else:
        verdict = CheckVerdict.PASSED if result.success else CheckVerdict.REFUSED
        power = "a single person outside the rule; every row was checked"
    none = words.strict and verdict is CheckVerdict.PASSED
    share = "none" if none else tell_share(found, total, threshold)
    return Check(words.name, words.asked, f"{share} {words.counted}", verdict, power, words.remedy)


def numbered(result: ExpectationValidationResult) -> tuple[int, Words]:
    """Read back a rule's number and words."""
    config = result.expectation_config
    assert config is not None
    assert config.meta is not None
    return config.meta["number"], Words(**config.meta["words"])


def tell_share(found: int, total: int, threshold: int) -> str:
    """Tell a share as the range of equal width that holds it and spans `threshold` rows."""
    ends = find_range(found, total, threshold)
    if ends is None:
        return "an undisclosed share"
    low, high = map(percent, ends)
    if ends[0] == 0:
        return f"under {high}"
    return f"at least {low}" if ends[1] == 1 else f"{low} to {high}"


def find_range(found: int, total: int, threshold: int) -> tuple[float, float] | None:
    """Give the ends, 0 to 1, of the range in which a share is told; None where it is not told."""
    ranges = next((n for n in RANGES if n * threshold <= total), None)
    if ranges is None:
        return None
    at = min(found * ranges // total, ranges - 1)
    return at / ranges, (at + 1) / ranges
