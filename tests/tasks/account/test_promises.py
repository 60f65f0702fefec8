"""What was promised stands beside what was reached, in figures, and checks fold by subject."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployments.run.screen import look_lines, say_verdict, screen_lines
from expectations.policy.vocabulary import CheckVerdict
from ledgers.home.home import Home
from tasks.account.published import Promise
from tasks.account.subjects import fold, join_names
from tasks.account.summary import Summary, summarize
from tasks.pages.words import say_promise
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    RELEASED,
    SERVED,
    TRAINED,
    Note,
    make_entries,
    make_policy,
    make_record,
    note_check,
    refused_run,
)

JUDGED: tuple[Note, ...] = (
    note_check("differential privacy", "passed", "ward"),
    note_check("privacy budget", "passed", "ward"),
    note_check("membership inference", "inconclusive", "ward"),
    ("measure", "privacy.lifetime_epsilon", 2.5),
    ("measure", "privacy.membership_auc_high", 0.613),
    note_check("k-anonymity of partner", "passed", "partner"),
)


def tell(*notes: Note) -> Summary:
    """Sum up a run that passed with these notes."""
    entries = make_entries(*GATHERED, *TRAINED, *RELEASED, *notes, PASSED, *SERVED)
    return summarize(make_record("passed"), make_policy(), entries)


def test_each_promise_is_told_as_it_was_reached_and_asked() -> None:
    """The figure first, then the limit with its direction; a share in percent."""
    assert [(p.outlet, p.name, say_promise(p)) for p in tell(*JUDGED).promises] == [
        ("ward", "differential privacy", "ε = 0.999 (at most 1 asked)"),
        ("ward", "privacy budget", "lifetime ε = 2.5 (at most 10 asked)"),
        ("ward", "membership inference", "AUC up to 0.613 (at most 0.6 asked)"),
        ("partner", "k-anonymity", "k = 11 (at least 10 asked)"),
        ("partner", "people left out", "1.1 % (at most 10 % asked)"),
    ]


def test_a_filter_is_not_told_as_an_epsilon_that_was_spent() -> None:
    """It starts high: after one run of ε = 1 it may stand at 2.4."""
    summary = tell(*JUDGED, ("measure", "privacy.filtered", 1.0))
    found = {promise.name: say_promise(promise) for promise in summary.promises}
    assert found["privacy budget"] == "RDP total so far = 2.5 (at most 10 asked)"


def test_under_a_private_models_promises_stands_how_many_more_runs_fit(home: Home) -> None:
    """A filter's total says nothing of what the next run needs; their number does."""
    left: Note = ("measure", "privacy.runs_left", 3.0)
    said = " ".join(" ".join(screen_lines(tell(*JUDGED, left), home)).split())
    assert "Under the lifetime ceiling 3 more runs like this fit." in said


def test_a_promise_has_the_verdict_of_the_check_that_judged_it() -> None:
    """Not that of a comparison of two figures: an interval may pass its limit and be no failure."""
    found = {promise.name: promise.verdict for promise in tell(*JUDGED).promises}
    assert found["membership inference"] is CheckVerdict.INCONCLUSIVE
    assert found["k-anonymity"] is CheckVerdict.PASSED


def test_a_promise_without_a_figure_is_absent() -> None:
    """A run that stopped before does not show it as nothing."""
    assert summarize(*refused_run()).promises == ()


def test_a_share_that_would_tell_a_hidden_count_is_no_promise_reached() -> None:
    """Where the number left out is hidden, its share is too."""
    hidden: Note = ("count", "people.partner.suppressed", {"about": None, "text": "fewer than 10"})
    assert "people left out" not in {promise.name for promise in tell(hidden).promises}


@pytest.mark.parametrize(
    ("symbol", "at_least", "said"),
    [
        ("t", False, "t = 0.2 (at most 0.25 asked)"),
        ("share", False, "20 % (at most 25 % asked)"),
        ("people", True, "0.2 people (at least 0.25 people asked)"),
    ],
)
def test_a_figure_carries_its_unit(symbol: str, at_least: bool, said: str) -> None:
    """A symbol, percent or people."""
    verdict = CheckVerdict.PASSED
    assert say_promise(Promise("o", "n", symbol, at_least, 0.25, 0.2, verdict)) == said


def test_checks_of_one_subject_fold_into_one_with_the_worst_verdict() -> None:
    """Near-equal checks of an outlet are one matter; another outlet's are another."""
    notes = [
        note_check("homogeneity of age in partner", "passed", "partner"),
        note_check("homogeneity of general health in partner", "warned", "partner"),
        note_check("homogeneity of age in ward", "passed", "ward"),
    ]
    folded = [one for one in fold(tell(*notes).checks) if one.subject == "homogeneity"]
    assert [(one.name, one.verdict) for one in folded] == [
        ("homogeneity of age and general health in partner", CheckVerdict.WARNED),
        ("homogeneity of age in ward", CheckVerdict.PASSED),
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a of b"], "a of b"),
        (["a of b in c", "a of d in c", "a of e f in c"], "a of b, d and e f in c"),
        (["share of x in y", "share of z in w"], "share of x in y and z in w"),
        (["linking", "linking"], "linking and linking"),
    ],
)
def test_names_are_joined_by_the_words_they_share(names: list[str], said: str) -> None:
    """Each keeps at least one word of its own."""
    assert join_names(names) == said


def test_a_passed_run_says_first_that_no_check_failed() -> None:
    """Warnings and what could not be judged come after, and are not called failures."""
    summary = tell(*JUDGED, note_check("representation", "warned"))
    assert say_verdict(summary) == (
        "Passed. No check failed; 1 warning, 1 could not be judged on this data."
    )


def test_the_attack_that_gains_most_is_told_with_its_figure() -> None:
    """The others by name; a subject without a gain, as homogeneity, comes after."""
    attacks = [
        note_check(name, "warned", "partner")
        for name in ("homogeneity of ill in partner", "singling out from partner",
                     "linking from partner")
    ]  # fmt: skip
    gains: tuple[Note, ...] = (
        ("measure", "privacy.partner.risk.singling_out", 0.31),
        ("measure", "privacy.partner.risk.linking", 0.84),
    )
    said = " ".join(" ".join(look_lines(tell(*attacks, *gains))).split())
    assert "Warning linking from partner: linking from partner measured. Warning" in said
    assert "homogeneity of ill in partner; singling out from partner (figures in" in said


def test_open_decisions_of_a_draft_are_told_first(home: Home) -> None:
    """With their lines; a run goes on with what was drafted."""
    record = make_record("passed", policy_text="# DECIDE: what for?\nname: a\n  # DECIDE: whom?\n")
    summary = summarize(record, make_policy(), make_entries(*GATHERED, PASSED, *SERVED))
    said = " ".join(" ".join(screen_lines(summary, home)).split())
    assert "2 decisions of the draft are still open (lines 1, 3): the run used" in said
    assert "still open" not in " ".join(screen_lines(tell(), home))


def test_what_needs_more_runs_stands_in_one_line() -> None:
    """It is neither a warning nor a lack of data of this run."""
    kind, name, body = note_check("reconstructing published counts", "inconclusive")
    assert isinstance(body, dict)
    other = {**body, "name": "differencing published counts", "power": "needs 5 runs, has 1"}
    waiting: tuple[Note, ...] = (
        (kind, name, body | {"power": "needs 5 runs, has 1"}),
        (kind, "differencing published counts", other),
    )
    lines = list(look_lines(tell(*waiting)))
    assert lines == [
        "",
        "Not yet  reconstructing and differencing published counts: needs 5 runs, has 1",
    ]


def test_a_refused_run_says_what_failed_and_how_to_go_on(home: Home) -> None:
    """What was measured and asked, what to change, and the command that explains it."""
    lines = list(screen_lines(summarize(*refused_run()), home))
    said = " ".join(" ".join(lines).split())
    assert "Refused. Nothing was handed over. refused membership: membership measured" in said
    assert "asked: membership asked to do: membership remedy" in said
    assert 'Why tutela explain "membership"' in said
    other = replace(summarize(*refused_run()), causes=(), reason="12 people withdrew; run again")
    assert "12 people withdrew; run again" in " ".join(screen_lines(other, home))
