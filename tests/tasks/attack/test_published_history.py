"""Several runs' figures are put together: a rule that leaks is found, one that does not is not."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import TEN, Count, Disclosure
from expectations.policy.vocabulary import CheckVerdict
from ledgers.evidence import JSON, Entry
from ledgers.home.home import Home
from tasks.attack import published_history
from tasks.attack.count_reconstruction import PublishedFigure, Sums, believe, reconstruct
from tasks.attack.published_history import (
    attack_history,
    find_sums,
    judge_history,
    read_figures,
    recover_counts,
    tell_changes,
)
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tests.conftest import Folder, opened

Runs = list[dict[str, PublishedFigure]]
Rule = Callable[[int, int, int], int | None]
"""Publishes an exact count, given the sum of its people's record keys and the run's number."""
NAMES = [f"part {n}" for n in range(40)]
SUMS: Sums = {"all": [NAMES]}


def rounded(exact: int, people: int, run: int) -> int | None:
    """Publish as tutela does: in tens, rounded where the number says."""
    del people, run
    return Disclosure(b"k" * 32).publish(Count(exact)).about


def moved(exact: int, people: int, run: int) -> int | None:
    """Publish by the rule that stood before: an offset up to 3 that depends on who is counted."""
    del run
    return max(10, exact + draw(b"k", people))


def drawn_anew(exact: int, people: int, run: int) -> int | None:
    """Publish with another offset in every run."""
    return max(10, exact + draw(b"in run %d" % run, people))


def unmoved(exact: int, people: int, run: int) -> int | None:
    """Publish the exact count."""
    del people, run
    return exact


def draw(key: bytes, number: int) -> int:
    """Draw an offset from -3 to 3."""
    return hmac.digest(key, b"%d" % number, "sha256")[0] % 7 - 3


def publish_runs(runs: int, rule: Rule, leaving: int = 1, people: int = 8000) -> Runs:
    """Count people by the parts they are in, run by run, some of them leaving after each."""
    generator = np.random.default_rng(5)
    records = generator.integers(0, 2**40, people)
    part, there = generator.integers(0, len(NAMES), people), np.ones(people, dtype=bool)
    found: Runs = []
    for run in range(runs):
        marks = {name: there & (part == n) for n, name in enumerate(NAMES)} | {"all": there}
        counts = {name: (int(mark.sum()), int(records[mark].sum())) for name, mark in marks.items()}
        found.append({n: PublishedFigure(rule(*c, run), c[0]) for n, c in counts.items()})
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
    """Thirty figures of the same people give most of their numbers away."""
    recovered, _ = recover_counts(publish_runs(30, drawn_anew, leaving=0), SUMS)
    assert recovered.low > 0.2


def test_the_same_people_asked_again_give_nothing_away() -> None:
    """Thirty runs say what one does: no better than chance, and power to see it."""
    history = publish_runs(30, rounded, leaving=0)
    for recovered in recover_counts(history, {}):
        assert recovered.low < 0 < recovered.high
        assert abs(recovered.gap) < 0.15


def test_one_leaver_a_run_is_not_told_from_rounded_counts() -> None:
    """Neither who left nor how many there are, and the attack could have found it."""
    history = publish_runs(60, rounded)
    assert verdicts(history) == [CheckVerdict.PASSED, CheckVerdict.PASSED]
    assert CheckVerdict.WARNED not in verdicts(history[:12])
    assert tell_changes(history).gap == pytest.approx(0, abs=0.12)


def test_who_knows_who_left_narrows_counts_that_change_much() -> None:
    """Each place where a figure changes is known by its distance from the others."""
    alone, knowing = recover_counts(publish_runs(25, rounded, leaving=200), {})
    assert knowing.low > 0
    assert knowing.gap > alone.gap


def test_who_knows_who_left_recovers_counts_moved_by_offsets() -> None:
    """Each known change is another offset around the same number: twenty of them pin it down."""
    history = publish_runs(25, moved, leaving=100)
    _, knowing = recover_counts(history, {})
    assert knowing.low > 0.5
    assert verdicts(history)[0] is CheckVerdict.WARNED


def test_an_offset_of_the_people_counted_tells_that_somebody_left() -> None:
    """Six times in seven, where figures of the same people stay as they are."""
    history = publish_runs(20, moved)
    assert tell_changes(history).gap == pytest.approx(6 / 7 - 1 / 10, abs=0.15)
    assert verdicts(history)[1] is CheckVerdict.WARNED


def test_a_rule_that_redraws_all_figures_does_not_tell_who_left() -> None:
    """Every figure changes as often whether or not somebody left."""
    history = publish_runs(60, drawn_anew)
    assert tell_changes(history).low < 0
    assert verdicts(history)[1] is CheckVerdict.PASSED


def test_few_runs_are_inconclusive() -> None:
    """Even of exact counts, for nothing was averaged or differenced yet."""
    assert set(verdicts(publish_runs(4, unmoved))) == {CheckVerdict.INCONCLUSIVE}
    assert set(verdicts([])) == {CheckVerdict.INCONCLUSIVE}
    alone = judge_history(publish_runs(1, unmoved), SUMS)
    assert all(check.measured.endswith("from 1 run") for check in alone)
    assert all(check.power == "needs 5 runs, has 1; nothing to do until then" for check in alone)


def test_few_counts_are_inconclusive() -> None:
    """Three names say nothing of a share of names."""
    history = [{n: run[n] for n in NAMES[:3]} for run in publish_runs(8, rounded)]
    assert verdicts(history)[0] is CheckVerdict.INCONCLUSIVE


def test_a_hidden_part_is_found_from_its_total() -> None:
    """About 100 less about 90 leaves more rather than fewer, of ten hidden numbers."""
    run = {"all": PublishedFigure(100), "most": PublishedFigure(90), "few": PublishedFigure(None)}
    (found,) = reconstruct([run], {"all": [["most", "few"]]})
    assert found["few"].guess == 9
    assert found["few"].weights[9] > 1.5 * found["few"].weights[1]


def test_two_figures_that_add_up_narrow_each_other() -> None:
    """20 and 20 make 50 by likely deviations of all three: found by trying all numbers."""
    run = {"all": PublishedFigure(50), "a": PublishedFigure(20), "b": PublishedFigure(20)}
    (found,) = reconstruct([run], {"all": [["a", "b"]]})
    ways = {
        a: sum((10 - abs(a - 20)) * (10 - abs(b - 20)) * max(10 - abs(a + b - 50), 0)
               for b in range(11, 30))
        for a in range(11, 30)
    }  # fmt: skip
    assert found["a"].guess == max(ways, key=lambda number: ways[number])
    assert found["a"].chance == pytest.approx(max(ways.values()) / sum(ways.values()), abs=0.01)
    assert found["a"].chance > 0.1


def test_known_changes_locate_a_count_between_two_turns() -> None:
    """At 19 tens the turn is at most at 1, at 18 never: 191 is the one number that fits."""
    figures = [(200, 0), (190, -1), (190, -11), (180, -12)]
    history = [{"n": PublishedFigure(about, 191 + change)} for about, change in figures]
    found = reconstruct(history, {}, knows_changes=True)
    # By trying every number and all turns: what is left lies between 191 and 200.
    fits = [n for n in range(191, 201) if found[0]["n"].weights[n - found[0]["n"].start] > 0]
    turns = range(1, 11)

    def show(number: int, turn: dict[int, int]) -> int:
        tens, digit = divmod(number, 10)
        return 10 * (tens + (digit >= turn[tens]))

    assert fits == [
        n
        for n in range(191, 201)
        if any(
            all(show(n + change, {17: low, 18: mid, 19: high, 20: 10}) == about
                for about, change in figures)
            for low in turns
            for mid in turns
            for high in turns
        )
    ]  # fmt: skip


@given(st.integers(0, 60), st.integers(2, 20))
def test_the_exact_count_is_always_held_possible(exact: int, threshold: int) -> None:
    """By enumeration of the places where tens are rounded; its chance is that of the best guess."""
    about = Disclosure(b"x", threshold).publish(Count(exact)).about
    belief = believe(PublishedFigure(about, None, threshold))
    place = exact - belief.start
    assert belief.weights[place] > 0
    ways = {
        n: sum(
            max(threshold, n - n % TEN + (TEN if n % TEN >= turn else 0)) == about
            for turn in range(1, TEN + 1)
        )
        for n in range(threshold, exact + 30)
    }
    if about is not None:
        assert belief.weights[place] == pytest.approx(ways[exact] / sum(ways.values()))


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
    found = read_figures(list(zip(entries, (22, 0, None, None), strict=True)), 20)
    assert found == {
        "people.excluded.refused": PublishedFigure(20, 22, 20),
        "people.excluded.old": PublishedFigure(None, 0, 20),
        "representation.sex: Female": PublishedFigure(1665, None, 20),
        "representation.sex: Male": PublishedFigure(None, None, 20),
    }
    sums = find_sums(entries)
    assert sums["people.roster"] == [["people.permitted", "people.excluded.refused"]]
    assert sums["people.permitted"] == [["people.selected", "people.excluded.old"]]
    labels = ["representation.sex: Female", "representation.sex: Male"]
    sides = ["people.train", "people.test", "people.unlabelled"]
    assert sums["people.selected"] == [sides, labels]


def test_nothing_exact_is_said() -> None:
    """Neither in what is measured nor where a figure is printed."""
    assert "4711" not in repr(PublishedFigure(4700, 4711))
    for check in judge_history(publish_runs(12, rounded), SUMS):
        assert "8,000" not in check.measured + check.power


def test_a_home_that_hides_more_is_attacked_by_its_own_threshold(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hidden count may be anything under it, not under ten only."""
    (home.root / "settings.toml").write_text("disclosure_threshold = 15\n")
    seen: list[PublishedFigure] = []

    def judge(
        history: Sequence[dict[str, PublishedFigure]], _sums: Sums, _rates: object
    ) -> tuple[()]:
        seen.extend(figure for run in history for figure in run.values())
        return ()

    monkeypatch.setattr(published_history, "judge_history", judge)
    with opened(folder.write()):
        attack_history(select_population(collect(filter_consent(read_roster()))))
    assert seen
    assert {figure.threshold for figure in seen} == {15}
