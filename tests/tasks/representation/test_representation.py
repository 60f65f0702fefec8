"""People are compared with published margins, and what is told of it tells of nobody."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.run.screen import screen_lines
from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, Disclosure, in_steps
from expectations.errors import PolicyError, Refusal, VaultError
from expectations.policy.population import Margin, Population, Reference, Weighting
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import parse_policy
from ledgers.consent.ledger import Head
from ledgers.evidence import JSON
from ledgers.home.home import Home
from ledgers.vault.stages import Compared, DatasetRef, Permitted, Roster, Validated, Weighted
from tasks.account import summary as room
from tasks.account.published import LabelShares
from tasks.account.summary import summarize
from tasks.airlock.run import Run
from tasks.consent.judgement import Moment
from tasks.consent.meaning import Standing
from tasks.consent.permission import keep_permitted
from tasks.consent.standing import Standings
from tasks.pages.report import render_report
from tasks.people.ingestion import PERSON, RECORD, collect, people_source, read_roster
from tasks.people.population import TEST
from tasks.representation import inclusion
from tasks.representation.compare import Comparison, compare, weigh
from tasks.representation.comparison import (
    add_up_labels,
    compare_column,
    count_labels,
    detectable_difference,
    tell_column,
    wilson_interval,
)
from tasks.representation.raking import WEIGHT
from tasks.sources import Source
from tests.conftest import BASIS, Folder, counts, opened, small_policy
from tests.recorded_runs import GATHERED, PASSED, make_entries, make_record, note_check

SCHEMA = Path(room.__file__).with_name("evidence.schema.json")
HALVES = Margin(shares={"f": 0.5, "m": 0.5})
RULE = Disclosure(b"key")


def people(**columns: list[str | None]) -> pd.DataFrame:
    """Give de-identified people by their labels, with record keys."""
    frame = pd.DataFrame({name: pd.Categorical(values) for name, values in columns.items()})
    keys = np.random.default_rng(5).integers(0, 2**63, len(frame)).astype(np.uint64)
    return frame.assign(**{RECORD: keys})


def population(
    margins: Mapping[str, Margin], when: str = "warn", *, weighted: bool = False
) -> Population:
    """Declare a population by its margins."""
    reference = Reference.model_validate(
        {"source": "the census", "margins": dict(margins), "when_exceeded": when}
    )
    weighting = Weighting() if weighted else None
    return Population(smallest=10, reference=reference, weighting=weighting)


def judge(frame: pd.DataFrame, asked: Population) -> list[Check]:
    """Compare people and give what the checks found."""
    assert asked.reference is not None
    found = Comparison.of(frame, asked)
    return list(found.judge(asked, found.tell(asked.reference, RULE)))


def test_each_share_stands_beside_the_references() -> None:
    """With its standardized difference, by hand: 0.1 / sqrt((0.24 + 0.25) / 2)."""
    found = compare_column("sex", {"f": 60, "m": 40}, HALVES)
    assert [(one.label, one.share, one.reference) for one in found.labels] == [
        ("f", 0.6, 0.5),
        ("m", 0.4, 0.5),
    ]
    assert found.labels[0].difference == pytest.approx(0.1 / math.sqrt(0.245))
    assert found.drift == pytest.approx(0.1)
    assert found.farthest.label == "f"


def test_people_without_a_value_are_apart_unless_the_reference_counts_them() -> None:
    """Shares are of those with a value; or `missing` is a label like another."""
    counted = {"f": 30, "m": 30, "missing": 40}
    apart = compare_column("sex", counted, HALVES)
    assert (apart.people, apart.drift) == (60, 0)
    named = Margin(shares={"f": 0.4, "m": 0.4, "missing": 0.2})
    together = compare_column("sex", counted, named)
    assert together.people == 100
    assert together.drift == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        pytest.param(81, 263, 0.2553, 0.3662, id="81-of-263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15-of-148"),
        pytest.param(0, 20, 0.0, 0.1611, id="none-of-20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1-of-29"),
    ],
)
def test_intervals_are_those_of_newcombes_table(
    hits: int, trials: int, low: float, high: float
) -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, 3."""
    found = wilson_interval(hits / trials, trials)
    assert found == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    """Whatever the share: samples of people who differ by it, against the 5 % test's limit."""
    rng = np.random.default_rng(11)
    for reference in (0.1, 0.5):
        size = 900
        deviation = math.sqrt(reference * (1 - reference))
        share = reference + detectable_difference(size) * deviation
        found = rng.binomial(size, share, 20_000) / size
        limit = reference + 1.959964 * deviation / math.sqrt(size)
        assert (found > limit).mean() == pytest.approx(0.8, abs=0.03)


def test_everybody_is_counted_under_a_label() -> None:
    """Nobody's label is lost, a missing one has a name."""
    frame = people(sex=["f", "m", None, "f"])
    counts = count_labels(frame, "sex")
    assert {label: count.exact for label, count in counts.items()} == {"f": 2, "m": 1, "missing": 1}
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert add_up_labels(frame["sex"], weights) == {"f": 5.0, "m": 2.0, "missing": 3.0}


def tell(counts: dict[str, int], margin: Margin = HALVES) -> list[LabelShares]:
    """Tell counts of people under the disclosure rule."""
    exact = {label: Count(number) for label, number in counts.items()}
    return tell_column(compare_column("sex", counts, margin), margin, exact, RULE)


@given(st.integers(10, 4000), st.integers(10, 4000))
def test_what_is_told_follows_from_published_counts(women: int, men: int) -> None:
    """No share is the exact one: the figures are those of the numbers that anybody may see."""
    rows = tell({"f": women, "m": men})
    total = RULE.publish(Count(women + men)).about
    assert total is not None
    for row in rows:
        shown = int(row.people.replace(",", ""))
        assert row.share == round(min(shown / total, 1), 3)
        assert row.ratio == round(min(shown / total, 1) / 0.5, 2)
        assert row.ratio_low is not None
        assert row.ratio_high is not None
        assert row.ratio_low <= row.ratio <= row.ratio_high


def test_of_few_people_nothing_is_told() -> None:
    """Under the threshold there is no share, no difference, no ratio and no weighted share."""
    frame = people(sex=["f"] * 100 + ["m"] * 9)
    found = Comparison.of(frame, population({"sex": HALVES}, weighted=True))
    asked = population({"sex": HALVES}).reference
    assert asked is not None
    loose = replace(found, weighted={"sex": compare_column("sex", {"f": 50, "m": 50}, HALVES)})
    row = loose.tell(asked, RULE)["sex"][1]
    assert row == LabelShares("m", "fewer than 10", None, 0.5, *[None] * 6)


@settings(max_examples=20)
@given(st.integers(0, 100), st.integers(10, 100_000))
def test_a_step_of_a_told_share_is_ten_people(percent: int, size: int) -> None:
    """Or more of them, so that one person more or less is seen in none of them for sure."""
    told = sorted({in_steps(n / 1e4, size, 10) for n in range(10001)})
    least = min(after - before for before, after in pairwise(told))
    assert least * size >= 10 - 1e-6
    assert least <= max(1e-3, 2.5 * 10 / size) + 1e-9
    assert abs(in_steps(percent / 100, size, 10) - percent / 100) <= least / 2 + 1e-9


@given(st.floats(-1, 1), st.integers(300, 3000))
def test_a_told_share_does_not_tell_of_how_many_people_it_is(share: float, size: int) -> None:
    """It could be told of all numbers near: no step is made for one number of people."""
    told = in_steps(share, size, 10)
    alike = [in_steps(told, near, 10) == told for near in range(size - 9, size + 10)]
    assert sum(alike) >= 10


CASES = [
    pytest.param(53, "warn", "passed", id="alike"),
    pytest.param(70, "warn", "warned", id="warned"),
    pytest.param(70, "refuse", "refused", id="refused"),
]


@pytest.mark.parametrize(("women", "when", "verdict"), CASES)
def test_a_share_that_is_farther_than_allowed_warns_or_refuses(
    women: int, when: str, verdict: str
) -> None:
    """As the policy says; the check names the farthest share, and what it could have found."""
    frame = people(sex=(["f"] * women + ["m"] * (100 - women)) * 20)
    (check,) = judge(frame, population({"sex": HALVES}, when))
    assert (check.name, check.verdict) == ("representation", verdict)
    assert check.asked == (
        "standardized differences of at most 0.1 from the reference's shares of sex"
    )
    assert "any difference above 0.1" in check.power
    assert "one of 0.06 or more" in check.power
    told = (
        "none of 2 shares differ more than allowed"
        if women == 53
        else "2 of 2 shares differ more than allowed"
    )
    assert told in check.measured
    if verdict == "refused":
        with pytest.raises(Refusal, match="representation: refused: representation: 2 of 2"):
            refuse_failed([check])
    else:
        refuse_failed([check])


def test_a_verdict_is_reached_on_exact_figures_and_told_in_published_ones() -> None:
    """Somebody under the threshold is missed, and their number is not said."""
    frame = people(sex=["f"] * 500 + ["m"] * 400 + ["x"] * 3)
    margin = Margin(shares={"f": 0.5, "m": 0.4, "x": 0.1})
    (check,) = judge(frame, population({"sex": margin}))
    assert check.verdict is CheckVerdict.WARNED
    assert check.measured == (
        "2 of 3 shares differ more than allowed; the farthest is sex x: fewer than 10 people here, "
        "10 % in the reference population"
    )


OTHER = Margin(shares={"y": 0.5, "n": 0.5}, role="hold-out")


def test_weights_are_judged_by_margins_that_they_were_not_told_of() -> None:
    """Mended where the hold-out follows the raked column, and where it does not, said so."""
    together = people(sex=["f"] * 700 + ["m"] * 300, other=["y"] * 700 + ["n"] * 300)
    asked = population({"sex": HALVES, "other": OTHER}, weighted=True)
    weights, held_out = judge(together, asked)
    assert (weights.name, weights.verdict) == ("weights", "passed")
    assert "largest weight under 2" in weights.measured
    assert "effective sample size about 84 % of the people" in weights.measured
    assert (held_out.name, held_out.verdict) == ("representation after weighting", "passed")
    assert "held out from the weighting" in held_out.asked
    apart = people(sex=["f"] * 700 + ["m"] * 300, other=(["y"] * 7 + ["n"] * 3) * 100)
    _, held_out = judge(apart, asked)
    assert held_out.verdict is CheckVerdict.WARNED
    assert held_out.measured.startswith(
        "weights could not close the gap of other: 2 of 2 shares differ more than allowed"
    )
    assert "consent seems to depend on more than the raked columns" in held_out.remedy


def test_without_a_margin_kept_back_weighted_people_are_not_said_to_be_alike() -> None:
    """Weights meet what they are made to meet, so the check is inconclusive."""
    frame = people(sex=["f"] * 700 + ["m"] * 300)
    weights, held_out = judge(frame, population({"sex": HALVES}, weighted=True))
    assert weights.verdict is CheckVerdict.PASSED
    assert held_out.verdict is CheckVerdict.INCONCLUSIVE
    assert held_out.power.startswith("nothing: ")


@pytest.mark.parametrize(
    ("women", "weighting", "said"),
    [
        pytest.param(1000, {}, "sex m (fewer than 10 people, where the reference has 50 %)",
                     id="nobody"),
        pytest.param(843, {"largest": 3}, "sex m (160 people", id="too-few-for-the-bound"),
        pytest.param(850, {"smallest_effective_share": 0.9}, "effective sample size about 51",
                     id="too-small-an-effective-sample"),
    ],
)  # fmt: skip
def test_weights_that_do_not_do_what_is_asked_refuse_whatever_the_policy_warns_of(
    women: int, weighting: dict[str, float], said: str
) -> None:
    """The label is named with a published count; nothing else is then judged of the weights."""
    frame = people(sex=["f"] * women + ["m"] * (1000 - women))
    asked = population({"sex": HALVES}).model_copy(update={"weighting": Weighting(**weighting)})
    check, *rest = judge(frame, asked)
    assert (check.name, check.verdict) == ("weights", "refused")
    assert said in check.measured
    assert len(rest) == ("effective" in said)
    assert not {"150", "157"} & set(re.findall("[0-9]+", check.measured))


def test_a_warning_is_no_refusal_and_no_pass() -> None:
    """A run goes on with it, and only with it."""
    warned = Check("a", "b", "c", CheckVerdict.WARNED, "d", "e")
    refuse_failed([warned])
    for verdict in (CheckVerdict.REFUSED, CheckVerdict.INCONCLUSIVE):
        with pytest.raises(Refusal):
            refuse_failed([warned, replace(warned, verdict=verdict)])


REFERENCE = """
  reference:
    source: the census
    difference_at_most: 0.25
    when_exceeded: warn
    margins:
      age: {shares: {18-34: 0.3, 35-49: 0.25, 50-64: 0.25, 65+: 0.2}}
      sex: {shares: {f: 0.5, m: 0.5}, role: hold-out}
"""
COMPARED = (
    ("  test_share: 0.4\n", f"  test_share: 0.4{REFERENCE}"),
    ("[feature, eligibility, release]", "[feature, eligibility, release, representation]"),
    ("[feature, release, audit]", "[feature, release, audit, representation]"),
)
"""The small policy with published margins of age and sex."""
WEIGHTED = ("role: hold-out}\n", "role: hold-out}\n  weighting: {largest: 4}\n")
PRIVATE = (
    "recipient: Clinic",
    "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
)


def looked_at(article: str, by: str) -> tuple[str, str]:
    """Let people without consent be counted."""
    said = f"excluded_people: {{article_6: eu-gdpr:{article}, assessment: DPIA 7, by: [{by}]}}"
    return "role: hold-out}\n", f"role: hold-out}}\n  {said}\n"


def changed(*changes: tuple[str, str]) -> str:
    """Give the small policy with margins, some of its text changed once more."""
    return small_policy(*COMPARED, *changes)


def start(folder: Folder, *changes: tuple[str, str]) -> Path:
    """Write the policy with margins beside its people."""
    path = folder.write()
    path.write_text(changed(*changes), encoding="utf-8")
    return path


def store(run: Run, women: int = 120, men: int = 80) -> DatasetRef[Validated]:
    """Put de-identified people into a run's vault, as they are once their values were checked."""
    ages = ["18-34", "35-49", "50-64", "65+"]
    count = women + men
    frame = people(
        age=[ages[n % 7 % 4] for n in range(count)],
        sex=["f"] * women + ["m"] * men,
        sick=[("yes", "no")[n % 3 % 2] for n in range(count)],
    )
    frame[TEST] = [n % 4 == 0 for n in range(count)]
    return run.vault.store(Validated, pa.Table.from_pandas(frame, preserve_index=False))


def noted(run: Run, kind: str) -> dict[str, JSON]:
    """Give what a run noted of one kind, by name."""
    return {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == kind}


def test_the_step_tells_each_column_and_judges(home: Home, folder: Folder) -> None:
    """Every label in the order of its margin; the data goes on as it is."""
    assert home.vault.is_dir()
    with opened(start(folder)) as run:
        rows = store(run)
        compared = compare(rows)
        assert compared.digest == rows.digest
        tables, measures, checks = (noted(run, kind) for kind in ("table", "measure", "check"))
    told = tables["representation.age"]
    assert isinstance(told, list)
    assert [row["label"] for row in told if isinstance(row, dict)] == [
        "18-34", "35-49", "50-64", "65+",
    ]  # fmt: skip
    assert all(row["weighted"] is None for row in told if isinstance(row, dict))
    assert set(measures) == {"representation.drift.age", "representation.drift.sex"}
    assert list(checks) == ["representation"]
    json.dumps(tables, allow_nan=False)


def test_the_step_refuses_where_the_policy_says_so(home: Home, folder: Folder) -> None:
    """What was found stands on record before the run ends."""
    assert home.vault.is_dir()
    with opened(start(folder, ("when_exceeded: warn", "when_exceeded: refuse"))) as run:
        with pytest.raises(Refusal, match=r"^representation: refused: representation: 2 of 6"):
            compare(store(run, women=150, men=50))
        assert "representation.sex" in noted(run, "table")
        assert "representation" in noted(run, "ways")
    with opened(start(folder)) as run:
        compare(store(run, women=150, men=50))
        check = noted(run, "check")["representation"]
    assert isinstance(check, dict)
    assert check["verdict"] == "warned"


def test_weights_are_noted_and_given_to_each_person(home: Home, folder: Folder) -> None:
    """The rows are the same with one column more, and their margins are the reference's."""
    assert home.vault.is_dir()
    with opened(start(folder, WEIGHTED)) as run:
        rows = store(run)
        weighted = weigh(compare(rows))
        before = run.vault.load(rows, Validated).to_table()
        after = run.vault.load(weighted, Weighted).to_table()
        tables, measures, checks = (noted(run, kind) for kind in ("table", "measure", "check"))
    assert after.drop_columns([WEIGHT]).equals(before)
    weights = after.column(WEIGHT).to_numpy()
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= 4
    sums = add_up_labels(after.column("age").to_pandas(), weights)
    assert sums["65+"] / 200 == pytest.approx(0.2)
    told = tables["representation.age"]
    assert isinstance(told, list)
    assert [row["weighted"] for row in told if isinstance(row, dict)] == [0.3, 0.25, 0.25, 0.2]
    assert measures["representation.drift_weighted.age"] == 0
    share = measures["representation.effective_sample_share"]
    assert isinstance(share, float)
    assert 0.5 < share < 1
    assert list(checks) == ["weights", "representation after weighting"]


def test_people_are_weighted_only_once_they_were_compared(home: Home, folder: Folder) -> None:
    """Weights that nobody judged go nowhere."""
    assert home.vault.is_dir()
    with opened(start(folder, WEIGHTED)) as run:
        unjudged: DatasetRef[Compared] = store(run)  # type: ignore[assignment]  # on purpose
        with pytest.raises(VaultError, match="has reached the stage 'validated'"):
            weigh(unjudged)


def test_a_warning_is_seen_in_the_report_and_on_the_screen(home: Home) -> None:
    """As what it is: neither passed nor inconclusive."""
    notes = (note_check("representation", "warned"), note_check("weights", "inconclusive"))
    summary = summarize(
        make_record("passed"), parse_policy(small_policy()), make_entries(*GATHERED, *notes, PASSED)
    )
    page = render_report(summary)
    assert "No check failed; 1 warning, 1 could not be judged on this data." in page
    assert '<span class="verdict warned">' in page
    lines = "\n".join(screen_lines(summary, home))
    assert "Passed. No check failed; 1 warning, 1 could not be judged on this data." in lines
    assert "Warning  representation: representation measured" in lines
    assert "Unclear  weights" in lines
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert "warned" in schema["$defs"]["CheckVerdict"]["enum"]


ODD = [
    pytest.param(
        [("      age: {shares", "      sugar: {shares")],
        "population.reference.margins.sugar: `drop` leaves no declared labels",
        id="dropped-column",
    ),
    pytest.param(
        [("      age: {shares", "      height: {shares")],
        "population.reference.margins.height: is not a column of this policy",
        id="no-column",
    ),
    pytest.param(
        [("identifiability: quasi\n    category: dpv-pd:Gender",
          "identifiability: identifier\n    category: dpv-pd:Gender")],
        "population.reference.margins.sex: is an identifier, which has no shares",
        id="identifier",
    ),
    pytest.param(
        [("{f: 0.5, m: 0.5}", "{f: 0.5, male: 0.5}")],
        "population.reference.margins.sex.shares: `male` is not a label of the column's treatment",
        id="other-word",
    ),
    pytest.param(
        [("{f: 0.5, m: 0.5}", "{f: 0.5, missing: 0.5}")],
        "population.reference.margins.sex.shares: has no share of m; give each label",
        id="label-without-a-share",
    ),
    pytest.param(
        [("[feature, release, audit, representation]", "[feature, release, audit]")],
        "columns.sex.use: used for representation, but `use` omits it; add `representation`",
        id="use-that-is-not-said",
    ),
    pytest.param(
        [("{f: 0.5, m: 0.5}", "{f: 0.5, m: 0.4}")],
        "population.reference.margins.sex: the shares must add up to 1",
        id="shares-that-are-not-a-whole",
    ),
    pytest.param(
        [WEIGHTED, ("65+: 0.2}}", "65+: 0.2}, role: hold-out}")],
        "population.weighting: there is no margin to rake to",
        id="nothing-to-rake-to",
    ),
    pytest.param(
        [WEIGHTED, ("when_exceeded: warn", "when_exceeded: refuse"), (", role: hold-out", "")],
        "population.reference.when_exceeded: cannot refuse: weights meet every margin",
        id="weights-judged-by-nothing",
    ),
    pytest.param(
        [WEIGHTED, PRIVATE, ("model: logistic", "model: private-logistic")],
        "population.weighting: weights by raking depend on everybody, so one person changes",
        id="weights-before-a-private-model",
    ),
    pytest.param(
        [WEIGHTED, ("logistic-regression}", "logistic-regression, input: partner}")],
        "population.weighting: the model is trained on the rows of `partner`, which are not",
        id="weights-for-a-table",
    ),
    pytest.param(
        [WEIGHTED, ("training: {model: logistic-regression}\n", "")],
        "population.weighting: no model is trained with the weights",
        id="weights-for-nothing",
    ),
    pytest.param(
        [looked_at("A6-1-a", "age")],
        "population.excluded_people.article_6: rests on consent, which is what these people did",
        id="excluded-by-consent",
    ),
    pytest.param(
        [looked_at("A6-1-e", "age"), (BASIS, "kind: other-basis"),
         ("article_6: eu-gdpr:A6-1-a", "article_6: eu-gdpr:A6-1-e"),
         ("article_9: eu-gdpr:A9-2-a", "article_9: eu-gdpr:A9-2-j\n  assessment: DPIA 4")],
        "population.excluded_people: consent is not this policy's legal basis",
        id="excluded-without-any-consent",
    ),
    pytest.param(
        [looked_at("A6-1-e", "sick")],
        "population.excluded_people.by.0: the reference has no margin of `sick`",
        id="excluded-by-a-column-without-margin",
    ),
    pytest.param(
        [looked_at("A6-1-e", "age"), ("eligible: age >= 18", "eligible: age >= 18 and sugar > 1"),
         ("[derivation]", "[derivation, eligibility]")],
        "population.excluded_people: sugar would be read of people who did not consent",
        id="excluded-by-special-categories",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), ODD)
def test_a_reference_that_does_not_fit_is_refused(
    changes: list[tuple[str, str]], said: str
) -> None:
    """Before anything is read; the problem names path and fix."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(changed(*changes), "p.yaml")
    found = [problem for problem in refused.value.problems if said in problem.render("p.yaml")]
    assert len(found) == 1, str(refused.value)
    assert found[0].fix


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([], id="compared"),
        pytest.param([WEIGHTED], id="weighted"),
        pytest.param([PRIVATE, ("model: logistic", "model: private-logistic")], id="private"),
        pytest.param([looked_at("A6-1-e", "age, sex")], id="excluded-counted"),
        pytest.param(
            [("{f: 0.5, m: 0.5}", "{f: 0.5, m: 0.4, missing: 0.1}")], id="missing-counted"
        ),
    ],
)
def test_a_reference_that_fits_is_taken(changes: list[tuple[str, str]]) -> None:
    """What the refusals are changes of is good itself; so is a private model without weights."""
    assert parse_policy(changed(*changes)).population.reference is not None


@dataclass(frozen=True)
class Watched:
    """A source that notes what is read of whom."""

    source: Source
    reads: list[tuple[set[str], set[str]]]
    place: str = "watched"

    def columns(self) -> tuple[str, ...]:
        """Give the source's columns."""
        return tuple(self.source.columns())

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Note the columns and the people, and read."""
        assert where is not None, "everybody would be read"
        self.reads.append((set(columns), set(where[1].to_pylist())))
        return self.source.read(columns, where=where)


STANDINGS = [Standing.BY_SELF] * 6 + [Standing.REFUSED, Standing.NEVER_ASKED] + [
    Standing.WITHDRAWN, Standing.OBJECTED, Standing.RESTRICTED, Standing.REVOKED,
]  # fmt: skip
"""Where the people of the test stand, again and again: six permitted, two missing, four apart."""


def stand(_file: object, roster: pa.Table, *_others: object) -> Standings:
    """Give everybody a standing by their number."""
    numbers = [int(person[1:]) for person in roster.column(PERSON).to_pylist()]
    found = np.array([STANDINGS[n % len(STANDINGS)] for n in numbers], np.int8)
    everything = np.full(len(found), 0b1111, np.uint32)
    return Standings(found, everything, Moment(0, 0), Head(0, "", ""), roster)


def test_the_absent_are_counted_and_nothing_else_is_known_of_them(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only declared columns are read, only of those who did not say no to being looked at."""
    assert home.vault.is_dir()
    folder.people = [
        {"pid": f"p{n}", "age": str(17 + (n + 54) % 60), "sex": "fm"[n % 24 // 12], "sugar": "5"}
        for n in range(480)
    ]
    monkeypatch.setattr(inclusion, "decide", stand)
    with opened(start(folder, looked_at("A6-1-e", "sex"))) as run:
        roster = read_roster()
        everybody = run.vault.load(roster, Roster).to_table()
        standings = stand(run.file, everybody)
        kept = keep_permitted(everybody, standings)
        collected = collect(run.vault.store(Permitted, kept))
        reads: list[tuple[set[str], set[str]]] = []
        watched = Watched(people_source(run.file), reads)
        monkeypatch.setattr(inclusion, "people_source", lambda _file: watched)
        before = sorted(run.vault._folder.iterdir())
        assert inclusion.count_absent(roster, collected) is None
        assert sorted(run.vault._folder.iterdir()) == before
        tables, bases = noted(run, "table"), noted(run, "basis")
        found = counts(run)
    missing = {f"p{n}" for n in range(480) if n % 12 in {6, 7}}
    assert reads == [({"pid", "age", "sex"}, missing)]
    of_age = {n for n in range(480) if n % 60 != 6}
    assert found["people.absent"] == len([n for n in of_age if n % 12 in {6, 7}])
    assert bases["excluded people"] == {
        "article_6": "eu-gdpr:A6-1-e",
        "assessment": "DPIA 7",
        "columns": ["age", "sex"],
        "left_alone": ["revoked", "withdrawn", "objected", "restricted"],
    }
    rows = tables["inclusion.sex"]
    assert isinstance(rows, list)
    for row in rows:
        assert isinstance(row, dict)
        there, away = int(str(row["included"])), int(str(row["absent"]))
        assert row["rate"] == round(there / (there + away), 3)
        assert row["rate"] == pytest.approx(0.75, abs=0.08)
    assert [row["label"] for row in rows if isinstance(row, dict)] == ["f", "m"]


def test_of_few_absent_people_no_rate_is_told() -> None:
    """Whichever side is under the threshold; who has no value stands below the labels."""
    included = {"f": Count(100), "m": Count(5), "missing": Count(30)}
    absent = {"f": Count(9), "m": Count(40), "missing": Count(20)}
    rows = inclusion.tell_inclusion(HALVES, included, absent, RULE)
    assert [(row.label, row.rate is None) for row in rows] == [
        ("f", True), ("m", True), ("missing", False),
    ]  # fmt: skip
    assert rows[0].absent == "fewer than 10"
    low, high = wilson_interval(0.6, 50)
    assert rows[2].low == pytest.approx(low, abs=0.06)
    assert rows[2].high == pytest.approx(high, abs=0.06)
