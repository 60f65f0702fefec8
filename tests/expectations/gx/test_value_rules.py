"""A policy's value rules are judged as they say, by GX, and nothing of a value comes out."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from expectations.checks import Check
from expectations.errors import Refusal, UsageError
from expectations.gx.quiet_validation import validate
from expectations.gx.suites import build_suite, run_suite, tell_share
from expectations.policy.policy import MissingAtMost, Rule, ShareBetween, ValuesBetween, ValuesIn
from expectations.policy.vocabulary import CheckVerdict
from tasks.validation import validation

NAN = float("nan")
PLANTED = 48151.6234
WORD = "zanzibarite"
WAIST = ValuesBetween(rule="between", column="waist", low=60, high=160)
HEALTH = ValuesIn(rule="one-of", column="health", values=("good", "poor"))
MISSING = MissingAtMost(rule="missing-at-most", column="waist", share=0.2)
ILL = ShareBetween(rule="share-between", column="ill", value="yes", low=0.2, high=0.4)
RULES: tuple[Rule, ...] = (WAIST, HEALTH, MISSING, ILL)


def words(*values: str | None) -> pd.Series[str]:
    """Make a column as an Arrow dictionary comes out in pandas."""
    column: pd.Series[str] = pa.array(values, pa.string()).dictionary_encode().to_pandas()
    return column


def keeping() -> pd.DataFrame:
    """A frame that keeps every rule, at the very bounds."""
    return pd.DataFrame(
        {
            "waist": [60.0, 160.0, 100.0, 100.0, NAN],
            "health": words("good", "poor", None, "good", "good"),
            "ill": words("yes", "yes", "no", "no", None),
        }
    )


def breaking() -> pd.DataFrame:
    """A frame that breaks every rule, each by one person, its odd values planted."""
    return keeping().assign(
        waist=[60.0, NAN, 100.0, PLANTED, NAN],
        health=words("good", "poor", None, "good", WORD),
        ill=words("yes", "yes", "yes", "no", None),
    )


def judge(frame: pd.DataFrame, *rules: Rule) -> list[Check]:
    """Run rules on a frame."""
    return run_suite(frame, build_suite(rules))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_each_rule_passes_what_keeps_it_and_refuses_what_breaks_it(rule: Rule) -> None:
    """Bounds are included, and one person beyond them is found."""
    verdicts = [judge(frame, rule)[0].verdict for frame in (keeping(), breaking())]

    assert verdicts == [CheckVerdict.PASSED, CheckVerdict.REFUSED]


def test_checks_come_one_per_rule_in_the_order_of_the_policy() -> None:
    """GX sorts by column and puts errors first; the policy's order counts."""
    again = ValuesBetween(rule="between", column="waist", low=0, high=12345678)
    checks = judge(breaking(), *RULES, again, WAIST)

    first, *rest = (check.name for check in checks)
    assert first == "values of waist"
    assert rest[:2] == ["words of health", "missing values of waist"]
    assert rest[2:] == ["share of yes in ill", first, first]
    assert checks[4].verdict is CheckVerdict.PASSED
    assert checks[4].asked == "0 to 12345678"
    assert checks[0].asked == "60 to 160"
    assert checks[1].asked == "one of 2 declared words: good, poor"
    assert checks[2].asked == "at most 20 % missing"
    assert checks[3].asked == "20 % to 40 % of all people"


def test_each_expectation_is_described_in_the_words_of_its_rule() -> None:
    """Who opens the suite in GX reads what the policy asks for."""
    described = [e.description for e in build_suite([WAIST, ILL]).expectations]

    assert described[0] == "values of waist: 60 to 160"
    assert described[1] == "share of yes in ill: 20 % to 40 % of all people"


def test_no_value_is_in_a_result_or_a_check() -> None:
    """Not even the values that broke a rule are in what GX returns."""
    results = validate(breaking(), build_suite(RULES))
    text = repr([result.to_json_dict() for result in results]) + repr(judge(breaking(), *RULES))

    assert not any(result.success for result in results)
    assert str(PLANTED) not in text
    assert WORD not in text


def test_check_of_a_large_table_tells_a_range_and_no_exact_share() -> None:
    """1 of 1,000 lies outside and 103 lack a value: ranges that span 10 people or more."""
    waist = [PLANTED, *[100.0] * 896, *[None] * 103]
    outside, missing = judge(pd.DataFrame({"waist": waist}), WAIST, MISSING)

    assert outside.measured == "under 2 % of the values are outside"
    assert missing.measured == "10 % to 11 % of the values are missing"


def test_nothing_outside_is_told_only_where_the_verdict_tells_it() -> None:
    """A passed rule without exception says none; another keeps its small share."""
    frame = pd.DataFrame({"waist": [100.0] * 1000})
    strict = MissingAtMost(rule="missing-at-most", column="waist", share=0)
    measured = [check.measured for check in judge(frame, WAIST, strict, MISSING)]

    assert measured == [
        "none of the values are outside",
        "none of the values are missing",
        "under 1 % of the values are missing",
    ]


@given(st.integers(0, 5000), st.integers(1, 5000), st.integers(1, 50))
@example(5000, 5000, 10)
def test_a_told_range_holds_the_share_and_hides_a_threshold(
    found: int, total: int, threshold: int
) -> None:
    """The share lies in its range, whose width is at least `threshold` rows."""
    found = min(found, total)
    told = tell_share(found, total, threshold)
    numbers = [float(number) / 100 for number in re.findall(r"[\d.]+", told)]
    if not numbers:
        assert total < 2 * threshold
        return
    low = 0.0 if told.startswith("under") else numbers[0]
    high = 1.0 if told.startswith("at least") else numbers[-1]

    assert low - 1e-9 <= found / total <= high + 1e-9
    assert (high - low) * total >= threshold - 1e-6


NUMBERS = st.one_of(st.none(), st.integers(0, 4).map(float))
SHARES = st.integers(0, 20).map(lambda n: n / 20)


@given(st.lists(NUMBERS, min_size=1, max_size=20), SHARES.filter(lambda share: share < 1))
@example([None] * 7 + [1.0] * 3, 0.7)
@example([2.0, 1.0, 1.0, 1.0], 0.25)
def test_verdicts_agree_with_counting_by_hand(values: list[float | None], share: float) -> None:
    """A plain loop gives the same verdicts, exactly at the bounds too."""
    there = [value for value in values if value is not None]
    frame = pd.DataFrame({"n": pd.Series(values, dtype=float), "w": words(*map(word_of, values))})
    between = ValuesBetween(rule="between", column="n", low=1, high=3)
    missing = MissingAtMost(rule="missing-at-most", column="n", share=share)
    two = ShareBetween(rule="share-between", column="w", value="2", low=share, high=1)
    verdicts = [check.verdict for check in judge(frame, between, missing, two)]

    kept = [
        all(1 <= value <= 3 for value in there),
        (len(values) - len(there)) * 20 <= round(share * 20) * len(values),
        there.count(2.0) * 20 >= round(share * 20) * len(values),
    ]
    powerless = [not there, False, share == 0]
    for verdict, fine, none in zip(verdicts, kept, powerless, strict=True):
        wanted = CheckVerdict.PASSED if fine else CheckVerdict.REFUSED
        assert verdict is (CheckVerdict.INCONCLUSIVE if none else wanted)


def word_of(value: float | None) -> str | None:
    """Write a number as a word."""
    return None if value is None else f"{value:.0f}"


NO_VALUES = keeping().assign(waist=[NAN] * 5, health=words(*[None] * 5))
ALWAYS = MissingAtMost(rule="missing-at-most", column="waist", share=1)


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        pytest.param(NO_VALUES, WAIST, id="no number"),
        pytest.param(NO_VALUES, HEALTH, id="no word"),
        pytest.param(keeping().iloc[:0], MISSING, id="no row to miss a value"),
        pytest.param(keeping().iloc[:0], ILL, id="no row to have a share"),
        pytest.param(keeping(), ALWAYS, id="everything allowed"),
        pytest.param(keeping(), ILL.model_copy(update={"low": 0, "high": 1}), id="any share"),
    ],
)
def test_a_rule_that_could_not_fail_is_inconclusive(frame: pd.DataFrame, rule: Rule) -> None:
    """A check without power is never passed."""
    (check,) = judge(frame, rule)

    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert check.power.startswith("nothing")


def test_no_rules_give_no_checks() -> None:
    """A policy may ask for nothing."""
    assert judge(keeping()) == []


def test_unknown_column_is_named() -> None:
    """A rule about a column that is not there is an error, not a pass."""
    with pytest.raises(UsageError, match="waist"):
        judge(keeping().drop(columns="waist"), *RULES)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(WAIST.model_copy(update={"column": "health"}), id="bounds on words"),
        pytest.param(WAIST.model_copy(update={"low": 200}), id="bounds the wrong way round"),
    ],
)
def test_a_rule_that_does_not_fit_its_column_is_an_error_without_values(
    rule: Rule, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """GX may log an error with the values; neither they nor its log get out."""
    caplog.set_level("DEBUG")
    with pytest.raises(UsageError, match=rule.column) as caught:
        judge(breaking(), rule)

    assert WORD not in str(caught.value)
    assert caught.value.__context__ is None
    assert caplog.text + "".join(capfd.readouterr()) == ""


def test_rows_do_not_outlive_the_check() -> None:
    """GX keeps its last context, but not people's rows in it."""

    class Watched(pd.DataFrame):
        @property
        def _constructor(self) -> Callable[..., Any]:
            return Watched

    gc.collect()
    judge(Watched(breaking()), *RULES)
    gc.collect()

    assert not [item for item in gc.get_objects() if type(item) is Watched]


def test_judging_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GX would make a folder for its documents; ours lives in memory alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.chdir(tmp_path)
    judge(breaking(), *RULES)

    assert list(tmp_path.iterdir()) == []


def test_importing_the_rules_and_steps_imports_no_gx() -> None:
    """The command line starts without the seconds that GX takes."""
    code = (
        "import sys, expectations.gx.suites, tasks.validation.validation\n"
        "tasks.validation.validation.check_values(None, [], 10)\n"
        "print([m for m in sys.modules if m.startswith(('great_expectations', 'prefect'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def desk_of(rules: tuple[Rule, ...], noted: list[Check]) -> SimpleNamespace:
    """Stand in for a step's desk, with a policy that holds nothing but value rules."""
    return SimpleNamespace(
        policy=SimpleNamespace(expectations=rules),
        run=SimpleNamespace(
            disclosure=SimpleNamespace(threshold=10),
            keys=SimpleNamespace(seal_incident=lambda _: "000000000000"),
        ),
        check=noted.append,
    )


def test_step_notes_every_check_and_gives_the_same_data() -> None:
    """Values that keep the rules go on untouched; columns without a rule are not read."""
    noted: list[Check] = []
    named = keeping()[["waist", "health", "ill"]]
    opened = SimpleNamespace(frame=lambda columns: {tuple(named): named}[tuple(columns)])
    given = validation.validate.function(desk_of(RULES, noted), opened)  # type: ignore[attr-defined]  # a step's function

    assert given is opened
    assert len(noted) == len(RULES)


def test_step_refuses_after_noting_every_check() -> None:
    """A broken rule ends the run; the record holds what was found, and the message names all."""
    noted: list[Check] = []
    opened = SimpleNamespace(frame=lambda columns: breaking()[columns])
    with pytest.raises(Refusal, match="words of health") as caught:
        validation.validate.function(desk_of(RULES, noted), opened)  # type: ignore[attr-defined]  # a step's function

    assert caught.value.check == "values of waist"
    assert WORD not in str(caught.value)
    assert len(noted) == len(RULES)
