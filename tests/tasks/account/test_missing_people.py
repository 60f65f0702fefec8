"""Who is missing is said in words, alike in the report, on the screen and on Prefect's page."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.run.screen import screen_lines
from ledgers.evidence import JSON
from ledgers.home.home import Home
from tasks.account.exclusions import (
    EXCLUSIONS,
    NO_OUTCOME,
    NOT_ELIGIBLE,
    NOT_OBSERVED,
    NOT_SAMPLED,
    OVER_CAP,
)
from tasks.account.missing_people import (
    JUDGED,
    bound_difference,
    join,
    list_gaps,
    list_unmended,
    say_inclusion,
    say_missing,
    say_weighting,
    say_weights,
)
from tasks.account.projection import note_lines, promises, run_tags
from tasks.account.published import Summary
from tasks.account.summary import summarize
from tasks.consent.meaning import PERMITTED, Standing
from tasks.pages.artifacts import BLOCKS, draw_bar, missing_lines, story_lines
from tasks.pages.drawings import Axis, scale_ratios
from tests.recorded_runs import (
    COMPARED,
    GATHERED,
    HISTORY,
    PASSED,
    Note,
    Recorded,
    compared_run,
    comparing_policy,
    make_entries,
    make_record,
    make_row,
    note_check,
    note_count,
    passed_run,
    refused_run,
    weighted_run,
)

OLD = (
    "People with age “65+” are under-represented: 10 % of those used, 20 % of the reference "
    "population."
)
YOUNG = (
    "People with age “18-39” are over-represented: 40 % of those used, 30 % of the reference "
    "population."
)
ILL = OLD.replace("age “65+”", "ill “yes”")


def tell(run: Recorded) -> Summary:
    """Sum up a recorded run."""
    return summarize(*run)


def compare(verdict: str, *rows: JSON) -> Summary:
    """Sum up a run that compared one column, age, with these labels."""
    notes: list[Note] = [("table", "representation.age", list(rows))]
    notes.append(note_check("representation", verdict))
    entries = make_entries(*GATHERED, *notes, PASSED)
    return summarize(make_record("passed"), comparing_policy(), entries)


def test_every_reason_for_which_people_are_left_out_is_explained() -> None:
    """A reason that can come is in plain words, and none is explained that cannot come."""
    possible = {one.label for one in Standing} - {PERMITTED}
    chosen = {NOT_ELIGIBLE, NOT_OBSERVED, NOT_SAMPLED, OVER_CAP, NO_OUTCOME}
    differ = EXCLUSIONS.keys() ^ (possible | chosen)
    assert not differ, f"tasks/account/exclusions.py: no words, or no use of words, for {differ}"


def test_the_farthest_is_told_first_in_words_made_of_the_figures() -> None:
    """Too few before too many; of two labels that share a column, one is enough."""
    assert list(say_missing(tell(compared_run()))) == [OLD, ILL, YOUNG]


def test_what_is_farther_than_allowed_is_named_also_when_it_is_much() -> None:
    """After three sentences the others stand in one."""
    rows = [make_row(str(n), (0.1, 0.2)[n % 2], (0.2, 0.1)[n % 2]) for n in range(6)]
    said = list(say_missing(compare("warned", *rows)))

    assert len(said) == 4
    assert said[3] == (
        "Also outside the limit (a standardized difference of at most 0.1): people with age “1”, "
        "age “3” and age “5”."
    )


def test_what_is_said_never_contradicts_the_check() -> None:
    """Rounding shows a gap where the check passed, or none where it warned: the check is right."""
    near = make_row("a", 0.4, 0.5, difference=-0.11), make_row("b", 0.6, 0.5, difference=0.11)
    passed = compare("passed", *near)
    assert list_gaps(passed) == []
    assert "as frequent as in the reference population" in " ".join(say_missing(passed))
    alike = make_row("a", 0.45, 0.5, difference=-0.1), make_row("b", 0.55, 0.5, difference=0.1)
    (said,) = say_missing(compare("refused", *alike))
    assert said == (
        "Some group is outside the limit (a standardized difference of at most 0.1): "
        "representation measured."
    )


def test_a_group_that_is_so_small_that_its_number_is_hidden_is_still_missed() -> None:
    """Fewer than ten where a fifth was meant is a gap, and its number stays hidden."""
    summary = compare("warned", make_row("a", 0.99, 0.8), make_row("b", None, 0.2))
    assert next(say_missing(summary)) == (
        "People with age “b” are under-represented: fewer than 10 were used, 20 % of the reference "
        "population."
    )


def test_a_hidden_group_that_may_be_as_large_as_it_should_be_is_no_gap() -> None:
    """Of a thousand people half a percent is fewer than ten, as it is meant to be."""
    summary = compare("warned", make_row("a", 0.99, 0.995), make_row("b", None, 0.005))
    assert "age “b”" not in " ".join(say_missing(summary))


@given(st.integers(0, 9), st.integers(100, 10**6), st.floats(0, 1))
def test_what_is_said_of_a_hidden_group_is_never_more_than_the_truth(
    hidden: int, shown: int, meant: float
) -> None:
    """Whatever it holds, the least difference is no larger than its own."""
    share = hidden / (shown + hidden)
    deviation = math.sqrt((share * (1 - share) + meant * (1 - meant)) / 2)
    truth = (share - meant) / deviation if deviation else -math.inf * (meant > share)
    bound = bound_difference(meant, 10 / shown)
    assert bound <= 0
    assert abs(bound) <= max(-truth, 0) + 0.005 or math.isnan(truth)


def test_a_group_that_all_are_of_and_nobody_should_be_is_the_largest_gap() -> None:
    """Its difference is infinite, and told by its sign."""
    summary = compare("warned", make_row("a", 1.0, 0.0), make_row("b", 0.0, 1.0, difference=-2))
    assert [gap.difference for gap in list_gaps(summary)] == [math.inf, -2]


def test_without_weights_the_gaps_are_said_to_stay() -> None:
    """Nobody takes the model for one of the reference population."""
    assert list(say_weighting(tell(compared_run()))) == [
        "Nobody was weighted, so whatever was made from these people has the same gaps."
    ]
    assert say_weights(tell(compared_run())) == ""


def test_weights_are_said_to_mend_what_they_were_told_of_and_what_else_they_did() -> None:
    """What they were made for counts for nothing; what they were not told of does."""
    assert list(say_weighting(tell(weighted_run()))) == [
        "Weights bring age and sex to their published shares, by construction.",
        "They also closed the gap of ill “yes”, which was held out.",
        "They cost as much precision as 8 % fewer people would.",
    ]


@pytest.mark.parametrize("verdict", ["warned", "refused"])
def test_weights_that_fail_in_what_they_were_not_told_of_are_said_to(verdict: str) -> None:
    """Which group stays off, by which shares, and what that means for what was learned."""
    summary = tell(weighted_run(0.11, verdict))
    said = " ".join(say_weighting(summary))

    assert [gap.row.label for gap in list_unmended(summary)] == ["yes", "no"]
    assert (
        "Weights could not close the gap of ill “yes”: 11 % once weighted, 20 % of the reference "
        "population. So consent seems to depend on more than the raked columns" in said
    )
    assert "They also closed" not in said


def test_weights_that_close_a_gap_wholly_are_told_by_what_they_were_not_told_of() -> None:
    """A difference of nothing is a difference that is known."""
    said = say_weights(tell(weighted_run()))
    assert "with weights, in held-out margins: ill “no” (0.00); effective sample" in said


def test_weights_that_fail_by_less_than_is_told_are_said_to_in_the_checks_words() -> None:
    """Where no told difference is large enough, the check's own finding stands there."""
    said = list(say_weighting(tell(weighted_run(0.2, "warned"))))
    measured = "representation after weighting measured"
    assert said[1] == f"Weights could not close every gap: {measured}."


def test_weights_of_which_nothing_was_held_back_are_not_said_to_mend() -> None:
    """An inconclusive check is not taken for one that passed."""
    said = " ".join(say_weighting(tell(weighted_run(0.2, "inconclusive"))))
    assert "nothing shows whether weights close any other gap" in said
    assert "They also closed" not in said


def test_weights_that_could_not_be_used_mend_nothing() -> None:
    """Neither in words, nor on the screen."""
    summary = tell(weighted_run(weights="refused"))
    assert list(say_weighting(summary)) == ["The weights could not be used: weights measured."]
    assert say_weights(summary) == "could not be used: weights measured"


def test_gaps_that_were_not_there_are_not_said_to_be_mended() -> None:
    """What was alike before is said to be alike still."""
    record, policy, entries = weighted_run()
    rows: list[JSON] = [
        make_row("no", 0.81, 0.8, weighted=0.8, weighted_difference=0),
        make_row("yes", 0.19, 0.2, weighted=0.2, weighted_difference=0),
    ]
    entries = [replace(e, body=rows) if e.name == "representation.ill" else e for e in entries]
    said = list(say_weighting(summarize(record, policy, entries)))
    assert said[1] == "Held out: ill. There was no gap before weighting, and there is none after."


def test_the_judged_checks_have_their_names() -> None:
    """The section shows the checks that the comparison makes."""
    assert JUDGED == ("representation", "weights", "representation after weighting")


def test_the_least_and_the_most_included_are_named_and_hidden_rates_are_not() -> None:
    """Column by column, of those whose rate is known."""
    (said,) = say_inclusion(tell(compared_run()))
    assert said == (
        "Of the eligible people with age “65+”, 32.1 % are used; of those with age “40-64”, 83.1 %."
    )


def test_nothing_is_said_of_a_run_that_compared_nobody() -> None:
    """Silence, rather than that all is well."""
    summary = tell(passed_run())
    assert (list(say_missing(summary)), list(say_weighting(summary))) == ([], [])
    assert (list(say_inclusion(summary)), say_weights(summary)) == ([], "")


@pytest.mark.parametrize(
    ("names", "said"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_joined_as_they_are_spoken(names: list[str], said: str) -> None:
    """Commas, and one and."""
    assert join(names) == said


@pytest.mark.parametrize(
    "run", [passed_run, compared_run, weighted_run], ids=["passed", "compared", "weighted"]
)
def test_the_screen_is_80_columns_wide(run: object, home: Home) -> None:
    """Whatever is told of who is missing."""
    assert callable(run)
    lines = list(screen_lines(tell(run()), home))
    assert [line for line in lines if len(line) > 80 and str(home.root) not in line] == []


def test_the_screen_says_who_is_missing_what_weights_do_and_what_was_kept_back(
    home: Home,
) -> None:
    """The largest gap and how many more; before and after; the effective sample size."""
    plain = " ".join(" ".join(screen_lines(tell(compared_run()), home)).split())
    assert f"Warning {OLD} 2 more groups are outside the limit." in plain
    assert "Weights" not in plain
    assert "Blanked categories without consent: Health 78, Gender fewer than 10" in plain
    assert "fewer than 10 each, perhaps none: expired, unknown" in plain
    assert "Passed. No check failed; 1 warning." in plain

    lines = screen_lines(tell(weighted_run(0.11, "warned")), home)
    weighted = " ".join(" ".join(lines).split())
    assert (
        "Weights largest difference without weights: age “65+” (0.20, too few); with weights, in "
        "held-out margins: ill “yes” (0.18, too few); effective sample size 92 % of the people"
        in weighted
    )
    assert "weighted; without weights about 0.77" in weighted


def test_the_screen_names_the_columns_of_which_nothing_is_left(home: Home) -> None:
    """Of a table that passed all the same; what lost less is in the report."""
    losses = {"age": 0.994, "ill": 0.995, "state": 1.0, "sex": None}
    summary = tell(passed_run())
    emptied = [replace(o, losses=losses if o.released else {}) for o in summary.outlets]
    lines = list(screen_lines(replace(summary, outlets=tuple(emptied)), home))
    assert lines.count("  All detail lost: ill, state") == 1
    assert not any("All detail lost" in line for line in screen_lines(summary, home))


def test_the_screen_says_that_every_check_passed_only_where_it_did(home: Home) -> None:
    """A warning takes the sentence back."""
    held = "Passed. All 3 checks passed."
    assert held in list(screen_lines(tell(passed_run()), home))
    assert held not in list(screen_lines(tell(compared_run()), home))


def test_the_screen_names_a_model_that_left_with_its_card_and_how_it_is_loaded(home: Home) -> None:
    """In MLflow's own words; of a run without a model, or before MLflow has it, nothing."""
    lines = list(screen_lines(tell(passed_run()), home))
    at = lines.index('Model    mlflow.sklearn.load_model("models:/visits.ward/3")')
    assert lines[at + 1].startswith("Card ")
    assert lines[at + 1].endswith("-ward-card.html")
    assert not any("Model " in line for line in screen_lines(tell(refused_run()), home))


def test_prefects_page_draws_who_is_missing_in_text() -> None:
    """The sentences, a bar for each group, marks on those that are off, and the checks."""
    lines = "\n".join(missing_lines(tell(compared_run())))

    assert f"**{OLD}**" in lines
    assert f"| **65+** ◀ | `{'█' * 10}{'░' * 10}` | 50 | 10 % | 20 % |" in lines
    assert f"| 40-64 | `{'█' * 20}` | 100 | 50 % | 50 % |" in lines
    assert "| missing |  |  | 30 people | – |" in lines
    assert "**representation** warned: representation measured" in lines
    assert f"| 65+ | `{'█' * 6}{'░' * 14}` | 32.1 % | 100 | 212 |" in lines
    assert "The reference population: the register of 2025." in lines


def test_prefects_page_says_what_the_weighting_was_not_told_of() -> None:
    """Where people are weighted their weighted shares have a column."""
    lines = "\n".join(missing_lines(tell(weighted_run())))
    assert "| ill (held out from the weighting) | of 100 expected | | used | reference |" in lines
    assert "| 10 % | 20 % | 20 % |" in lines


def test_prefects_story_has_hidden_reasons_in_one_line_and_the_consent_history() -> None:
    """As the screen and the report have them."""
    lines = "\n".join(story_lines(tell(compared_run())))
    assert "And fewer than 10 each, perhaps none: expired, unknown." in lines
    assert "| expired |" not in lines
    assert "`tutela consent snapshot visits --run 20260102T030405-0a1b2c3d`" in lines
    assert "37243" not in lines


@given(st.none() | st.floats(0, 10))
def test_a_bar_of_text_has_a_block_for_each_twentieth(ratio: float | None) -> None:
    """There, missing and beyond add up, and no bar is longer than two of the whole."""
    bar = draw_bar(ratio).strip("`")
    if ratio is None:
        assert bar == ""
        return
    there = bar.count("█") + bar.count("▓")
    assert there == min(round(BLOCKS * ratio), 2 * BLOCKS)
    assert bar.count("█") + bar.count("░") == BLOCKS
    assert bar == "".join(sorted(bar, key="█░▓".index))


def test_a_label_cannot_break_a_table_on_prefects_page() -> None:
    """A word of the policy that holds a table's sign stays in its cell."""
    summary = compare("warned", make_row("a|b", 0.2, 0.4), make_row("c", 0.8, 0.6))
    assert "| **a\\|b** ◀ |" in "\n".join(missing_lines(summary))


@given(st.lists(st.floats(0, 3), min_size=2, max_size=5))
def test_ratios_are_drawn_around_the_middle(ratios: list[float]) -> None:
    """1 stands in the middle; up to 2 every ratio has its own place, beyond at the edge."""
    rows = [make_row(str(n), r, 0.1, ratio=r) for n, r in enumerate(ratios)]
    found = compare("warned", *rows).representation
    assert found is not None
    axis = scale_ratios(found)
    assert axis.place(1) == 50
    assert axis.high - 1 == pytest.approx(1 - axis.low)
    assert axis.low <= 0.7
    for ratio in ratios:
        inside = axis == Axis(0, 2) or axis.low < ratio < axis.high
        assert inside, (axis, ratio)


def test_mlflow_shows_warnings_the_consent_history_and_what_was_asked() -> None:
    """Tags for who follows a run, parameters for what its metrics stand beside."""
    record, policy, entries = weighted_run(verdict="warned")
    tags = dict(run_tags(record, policy, entries, "passed"))

    assert tags["tutela.checks"] == "4 of 5 passed, 1 warned"
    assert tags["tutela.consent_snapshot"] == "c" * 64
    assert tags["tutela.consent_history"] == "b" * 64
    assert tags["tutela.consent_valid_at"] == "2026-01-02T03:04:05+00:00"
    assert tags["tutela.consent_known_at"] == "2026-01-02T03:05:00+00:00"
    assert "37243" not in "".join(tags.values())
    notes = "\n".join(note_lines(policy, entries, "passed"))
    assert "> Warning, representation after weighting: representation after weighting" in notes
    asked = dict(promises(policy))
    assert asked["representation.difference_at_most"] == 0.1
    assert asked["weighting.largest"] == 5
    assert asked["weighting.smallest_effective_share"] == 0.3
    assert "weighting.largest" not in dict(promises(comparing_policy()))


def test_a_run_in_which_every_reason_is_hidden_is_told(home: Home) -> None:
    """On the screen and on Prefect's page the one line stands alone."""
    notes = [note_count("roster", 60), note_count("excluded.refused", None)]
    summary = summarize(make_record("passed"), comparing_policy(), make_entries(*notes, PASSED))
    assert "fewer than 10, perhaps none: refused" in "\n".join(screen_lines(summary, home))
    story = "\n".join(story_lines(summary))
    assert "And fewer than 10, perhaps none: refused." in story
    assert "Left out because" not in story


def test_a_run_that_stopped_between_its_notes_is_still_told() -> None:
    """Whatever came last, words are found for it."""
    whole = (*GATHERED, note_count("selected", 1000), HISTORY, *COMPARED)
    for stop in range(len(whole) + 1):
        summary = summarize(make_record(None), comparing_policy(), make_entries(*whole[:stop]))
        for told in (say_missing, say_weighting, say_inclusion, missing_lines, story_lines):
            assert all(isinstance(line, str) for line in told(summary))
