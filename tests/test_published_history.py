"""Several runs' figures are put together: a rule that leaks is found, one that does not is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.disclosure import SPREAD, Count, Disclosure
from expectations.vocabulary import CheckVerdict
from ledgers.evidence import JSON, Entry
from tasks.attack.count_reconstruction import PublishedFigure, Sums, believe, reconstruct
from tasks.attack.published_history import (
    find_sums,
    judge_history,
    read_figures,
    recover_counts,
    tell_changes,
)

Runs = list[dict[str, PublishedFigure]]
Rule = Callable[[Count, int], int | None]
NAMES = [f"part {n}" for n in range(40)]
SUMS: Sums = {"all": [NAMES]}


def cell_keyed(count: Count, run: int) -> int | None:
    """Publish as tutela does: the offset depends on who is counted."""
    del run
    return Disclosure(b"k" * 32).publish(count).about


def drawn_anew(count: Count, run: int) -> int | None:
    """Publish with another offset in every run, as a rule without cell keys would."""
    return Disclosure(b"in run %d" % run).publish(count).about


def unmoved(count: Count, run: int) -> int | None:
    """Publish the exact count."""
    del run
    return count.exact


def publish_runs(runs: int, rule: Rule, leaving: int = 1, people: int = 8000) -> Runs:
    """Count people by the parts they are in, run by run, some of them leaving after each."""
    generator = np.random.default_rng(5)
    records = generator.integers(0, 2**62, people).astype(np.uint64)
    part, there = generator.integers(0, len(NAMES), people), np.ones(people, dtype=bool)
    found: Runs = []
    for run in range(runs):
        marks = {name: there & (part == n) for n, name in enumerate(NAMES)} | {"all": there}
        counts = {
            name: Count(int(mark.sum()), int(records[mark].sum(dtype=np.uint64)))
            for name, mark in marks.items()
        }
        found.append({n: PublishedFigure(rule(c, run), c.exact) for n, c in counts.items()})
        there = there.copy()
        there[generator.choice(np.flatnonzero(there), leaving, replace=False)] = False
    return found


def verdicts(history: Runs) -> list[CheckVerdict]:
    """Judge a history: reconstruction, then differencing."""
    return [check.verdict for check in judge_history(history, SUMS)]


def test_exact_counts_are_recovered_and_warned_of() -> None:
    """A rule that forgot to move counts is found by all attackers."""
    history = publish_runs(8, unmoved, leaving=5)
    assert verdicts(history) == [CheckVerdict.WARNED, CheckVerdict.WARNED]
    assert min(one.low for one in recover_counts(history, SUMS)) > 0.5


def test_offsets_drawn_anew_average_out() -> None:
    """Twenty figures of nearly the same people give most of their numbers away."""
    recovered, _ = recover_counts(publish_runs(30, drawn_anew, leaving=0), SUMS)
    assert recovered.low > 0.2


def test_the_same_people_asked_again_give_nothing_away() -> None:
    """With cell keys thirty runs say what one does: no better than chance, and power to see it."""
    history = publish_runs(30, cell_keyed, leaving=0)
    recovered, _ = recover_counts(history, {})
    assert recovered.low < 0 < recovered.high
    assert abs(recovered.gap) < 0.15


def test_who_knows_who_left_recovers_counts_that_change_often() -> None:
    """Each known change is another offset around the same number: twenty of them pin it down."""
    history = publish_runs(25, cell_keyed, leaving=100)
    alone, knowing = recover_counts(history, {})
    assert knowing.low > 0.5
    assert knowing.gap > alone.gap
    assert verdicts(history)[0] is CheckVerdict.WARNED


def test_a_figure_that_changes_tells_that_somebody_in_it_left() -> None:
    """Six times in seven, where figures of the same people stay as they are."""
    told = tell_changes(publish_runs(60, cell_keyed))
    assert told.gap == pytest.approx(6 / 7, abs=0.12)
    assert verdicts(publish_runs(60, cell_keyed))[1] is CheckVerdict.WARNED


def test_a_rule_that_redraws_all_figures_does_not_tell_who_left() -> None:
    """Every figure changes as often whether or not somebody left."""
    history = publish_runs(60, drawn_anew)
    told = tell_changes(history)
    assert told.low < 0 < told.high
    assert verdicts(history)[1] is CheckVerdict.PASSED


def test_few_runs_are_inconclusive() -> None:
    """Even of exact counts, for nothing was averaged or differenced yet."""
    assert set(verdicts(publish_runs(4, unmoved))) == {CheckVerdict.INCONCLUSIVE}
    assert set(verdicts([])) == {CheckVerdict.INCONCLUSIVE}


def test_few_counts_are_inconclusive() -> None:
    """Three names say nothing of a share of names."""
    history = [{n: run[n] for n in NAMES[:3]} for run in publish_runs(8, cell_keyed)]
    assert verdicts(history)[0] is CheckVerdict.INCONCLUSIVE


def test_a_hidden_part_is_found_from_its_total() -> None:
    """About 100 less about 97 leaves 3, by far the likeliest of ten hidden numbers."""
    run = {"all": PublishedFigure(100), "most": PublishedFigure(97), "few": PublishedFigure(None)}
    (found,) = reconstruct([run], {"all": [["most", "few"]]})
    assert found["few"].guess == 3
    assert found["few"].weights[9] < found["few"].weights[3] / 5


def test_two_figures_that_add_up_narrow_each_other() -> None:
    """23 and 23 make 55 in one way only: each part is 3 more, and the total 3 less."""
    run = {"all": PublishedFigure(55), "a": PublishedFigure(23), "b": PublishedFigure(23)}
    (found,) = reconstruct([run], {"all": [["a", "b"]]})
    assert (found["all"].guess, found["a"].guess, found["b"].guess) == (52, 26, 26)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(2, 20), st.integers(0, 2**63))
def test_the_exact_count_is_always_held_possible(exact: int, threshold: int, key: int) -> None:
    """By enumeration of the offsets; and its chance is that of the best guess."""
    about = Disclosure(b"x", threshold).publish(Count(exact, key)).about
    belief = believe(PublishedFigure(about, None, threshold))
    place = exact - belief.start
    assert belief.weights[place] > 0
    ways = {
        n: sum(max(threshold, n + offset) == about for offset in range(-SPREAD, SPREAD + 1))
        for n in range(threshold, exact + 7)
    }
    if about is not None:
        total = sum(ways.values())
        assert belief.weights[place] == pytest.approx(ways[exact] / total)


def entry(kind: str, name: str, body: JSON, step: str = "") -> Entry:
    """Make a piece of evidence."""
    return Entry("run", 1, "", step, kind, name, body, None)


def test_evidence_is_read_into_figures_and_their_sums() -> None:
    """Counts with what was under their seal, and the people of compared labels, without."""
    told: list[JSON] = [
        {"label": "Female", "people": "1,665"},
        {"label": "Male", "people": "fewer than 10"},
    ]
    entries: Sequence[Entry] = [
        entry("count", "people.excluded.refused", {"about": 20, "text": "20"}, "filter_consent"),
        entry("count", "people.excluded.old", {"about": None, "text": "few"}, "select_population"),
        entry("table", "representation.sex", told),
        entry("measure", "utility.auc", 0.8),
    ]
    found = read_figures(list(zip(entries, (22, 0, None, None), strict=True)))
    assert found == {
        "people.excluded.refused": PublishedFigure(20, 22),
        "people.excluded.old": PublishedFigure(None, 0),
        "representation.sex: Female": PublishedFigure(1665),
        "representation.sex: Male": PublishedFigure(None),
    }
    sums = find_sums(entries)
    assert sums["people.roster"] == [["people.permitted", "people.excluded.refused"]]
    assert sums["people.permitted"] == [["people.selected", "people.excluded.old"]]
    labels = ["representation.sex: Female", "representation.sex: Male"]
    assert sums["people.selected"] == [["people.train", "people.test"], labels]


def test_nothing_exact_is_said() -> None:
    """Neither in what is measured nor where a figure is printed."""
    assert "4711" not in repr(PublishedFigure(4700, 4711))
    for check in judge_history(publish_runs(12, cell_keyed), SUMS):
        assert "8,000" not in check.measured + check.power
