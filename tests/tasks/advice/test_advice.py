"""Advice on columns: what is found dispensable is, what it costs is charged, the patch is ready."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy_file import PolicyFile, parse_policy, read_policy
from expectations.privacy_loss import Gaussian, calibrate, compose
from tasks.account.advised import Advice, AtEpsilon, Dropped
from tasks.advice import twin as room
from tasks.advice.advice import Advice as Tried
from tasks.advice.advice import (
    Bench,
    Codebook,
    Loss,
    Trial,
    advise,
    encode_target,
    find_loss,
    merge_neighbours,
    rank_auc,
)
from tasks.advice.patch import Patch, write_patch
from tasks.advice.twin import draw_people, measure_twin, plan_noise
from tasks.advice.weigh import find_left_in, measure_epsilons
from tasks.pages.drawings import draw_advice
from tests.conftest import small_policy
from tests.expectations.coherence.test_many_rows_coherence import TABLES, VISITS
from tests.owned_draws import own_draws

if TYPE_CHECKING:
    from tasks.advice.advice import Codes

BOOK = Codebook(
    {"strong": ("a", "b", "c", "d"), "copy": ("a", "b", "c", "d"), "useless": ("x", "y")},
    {},
    frozenset({"strong", "copy"}),
    frozenset({"strong", "copy"}),
)


def people(rows: int = 20_000, seed: int = 1) -> tuple[Codes, Codes]:
    """Draw people whose target follows `strong`, of which `copy` says the same."""
    draw = np.random.default_rng(seed)
    strong = draw.integers(0, 4, rows)
    target = (draw.random(rows) < 0.1 + 0.25 * strong).astype(np.int64)
    return np.column_stack([strong, strong, draw.integers(0, 2, rows)]), target


def without_copy() -> Codebook:
    """Give the labels without those of the column that says the same."""
    labels = {name: words for name, words in BOOK.labels.items() if name != "copy"}
    return Codebook(labels, {}, BOOK.ordered, BOOK.binned)


def test_of_two_columns_that_say_the_same_one_is_dropped_and_not_both() -> None:
    """Each could go by itself; together they are all that the model has."""
    found = advise([people()], BOOK)
    alone = {t.column: t.loss.verdict for t in found.trials if t.change == "drop"}
    assert alone == {"strong": "not needed", "copy": "not needed", "useless": "not needed"}
    assert "useless" in found.drop
    assert len({"strong", "copy"} & set(found.drop)) == 1


def test_a_column_that_the_target_follows_is_needed() -> None:
    """Without its copy the strong column cannot go, nor be halved."""
    codes, target = people()
    book = without_copy()
    found = advise([(codes[:, [0, 2]], target)], book)
    told = {(t.column, t.change): t.loss.verdict for t in found.trials}
    assert told["strong", "drop"] == "needed"
    assert told["strong", "coarsen"] == "needed"
    assert found.drop == ("useless",)


def test_with_few_people_nothing_is_said_to_be_dispensable_or_needed() -> None:
    """The interval is as wide as the few people make it."""
    codes, target = people(60)
    draw = np.random.default_rng(0)
    found = advise([(codes, draw.permutation(target))], BOOK)
    assert {t.loss.verdict for t in found.trials} <= {"cannot tell", "not needed"}
    assert any(t.loss.verdict == "cannot tell" for t in found.trials)


def test_the_noise_of_a_twin_widens_the_interval() -> None:
    """Two worlds that disagree say less than either alone."""
    one, other = np.full(10, 0.001), np.full(10, 0.021)
    one[0] = other[0] = 0.0
    assert find_loss([one]).verdict == "not needed" or find_loss([one]).high < 0.006
    apart = find_loss([one, other])
    assert apart.low < 0 < apart.high
    assert apart.verdict == "cannot tell"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_dear_twin_gives_the_advice_of_the_people_themselves(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an ε that hides little, the same columns are needed."""
    own_draws(monkeypatch, seed)
    codes, target = people(20_000, seed)
    book = without_copy()
    made = measure_twin(codes[:, [0, 2]], target, book, plan_noise(2, 10.0, 1e-5))
    draw = np.random.default_rng(seed)
    found = advise([draw_people(made.again(draw), draw) for _ in range(4)], book)
    told = {t.column: t.loss.verdict for t in found.trials if t.change == "drop"}
    assert told == {"strong": "needed", "useless": "not needed"}


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_a_twin_costs_no_more_than_was_asked(epsilon: float) -> None:
    """What it will draw is known before anybody is read, and composes to the ε."""
    assert compose(plan_noise(12, epsilon, 1e-5), 1e-5) <= epsilon


@given(st.integers(0, 39), st.integers(0, 2**31))
def test_one_person_changes_one_cell_by_one_and_the_products_by_what_the_noise_is_for(
    who: int, seed: int
) -> None:
    """Without noise, leaving somebody out moves the figures no further than is accounted for."""
    codes, target = people(40, seed)
    codes[:, 2] = np.random.default_rng(seed).integers(0, 3, 40)
    shares = [np.full(5, 0.2), np.full(5, 0.2), np.full(3, 1 / 3), np.array([0.9, 0.1])]
    rows = np.column_stack([codes, target])
    longest = room.LONGEST * 4
    whole = room._multiply(rows, shares, longest)
    less = room._multiply(np.delete(rows, who, 0), shares, longest)
    upper = np.triu(whole - less)
    assert sum(int(step) ** 2 for step in upper.ravel()) <= (longest * room.GRID**2) ** 2
    table = room._count(codes[:, 0], target, 5)
    others = room._count(np.delete(codes[:, 0], who), np.delete(target, who), 5)
    assert np.abs(table - others).sum() == room.COUNT_STEPS


def test_no_row_of_scores_is_longer_than_allowed_in_whole_steps() -> None:
    """Not by a rounding either: the bound lies just under a whole number of steps."""
    draw = np.random.default_rng(1)
    for whole in (5734, 6000, 7001, 9999):
        longest = float(np.nextafter((whole / room.GRID) ** 2, 0))
        made = room._shorten(draw.uniform(2, 90, (500, 1)), longest)
        assert max(int(step) for step in made[:, 0]) ** 2 <= Fraction(longest) * 2**24


def test_the_noise_of_a_plan_is_sought_once() -> None:
    """Plans of as many features share it, and leave no more behind."""
    before = calibrate.cache_info().currsize
    assert plan_noise(5, 1.23, 1e-5) == plan_noise(5, 1.23, 1e-5)
    assert calibrate.cache_info().currsize == before + 1


def test_the_noise_of_a_twin_is_as_large_as_it_is_charged_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each release is made with the planned multiplier times what one person can change."""
    drawn: list[float] = []

    def spy(sums: np.ndarray, deviation: float) -> np.ndarray:
        drawn.append(deviation)
        return sums.astype(float)

    monkeypatch.setattr(room, "add_noise_to_sums", spy)
    codes, target = people(50)
    counting, multiplying = plan_noise(3, 1.0, 1e-5)
    assert isinstance(counting, Gaussian)
    assert isinstance(multiplying, Gaussian)
    measure_twin(codes, target, BOOK, (counting, multiplying))
    assert drawn[:3] == [counting.noise_multiplier * room.COUNT_STEPS] * 3
    longest = room.LONGEST * 4 * room.GRID**2
    assert drawn[3] == pytest.approx(multiplying.noise_multiplier * longest)
    assert len(drawn) == counting.count + multiplying.count


def test_what_is_missing_is_a_label_of_its_own_and_comes_back_as_missing() -> None:
    """Codes are read off the policy's words, and back."""
    import pandas as pd

    book = Codebook({"sex": ("f", "m"), "waist": tuple("0123456789")}, {"waist": (60, 160)},
                    frozenset({"waist"}))  # fmt: skip
    frame = pd.DataFrame({"sex": ["m", None, "f"], "waist": [60.0, np.nan, 500.0]})
    codes = book.encode(frame)
    assert codes.tolist() == [[1, 0], [2, 10], [0, 9]]
    back = book.decode(codes)
    assert back["sex"].fillna("none").tolist() == ["m", "none", "f"]
    assert back["waist"].isna().tolist() == [False, True, False]
    assert back["waist"][2] == 155.0
    assert encode_target(pd.Series(["yes", "no"])).tolist() == [1, 0]


def test_merging_pairs_leaves_what_is_missing_alone() -> None:
    """Five labels and the missing one become three and the missing one."""
    assert merge_neighbours(6).argmax(1).tolist() == [0, 0, 1, 1, 2, 3]
    assert merge_neighbours(4).argmax(1).tolist() == [0, 0, 1, 2]


def test_the_auc_is_that_of_the_library() -> None:
    """Ties count half."""
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(4)
    scores, target = draw.integers(0, 5, 200).astype(float), draw.integers(0, 2, 200)
    assert rank_auc(scores, target) == pytest.approx(roc_auc_score(target, scores))


def test_a_score_reads_nothing_of_a_dropped_column() -> None:
    """Detail `none` is as good as shuffling the column."""
    codes, target = people(400)
    shuffled = codes.copy()
    shuffled[:, 2] = np.random.default_rng(9).permutation(codes[:, 2])
    detail = {"strong": "all", "copy": "all", "useless": "none"}
    ours, theirs = (Bench.of((c, target), BOOK).score(detail) for c in (codes, shuffled))  # type: ignore[arg-type]
    assert ours == pytest.approx(theirs)


def make_file(*changes: tuple[str, str]) -> PolicyFile:
    """Give the small policy as a file."""
    text = small_policy(*changes)
    from pathlib import Path

    return PolicyFile(parse_policy(text), text, Path("small.yaml"))


def test_a_column_with_another_use_loses_the_one_as_feature() -> None:
    """Everything else of the file stays as it was written."""
    file = make_file()
    patch = write_patch(file, ["sex"], [])
    assert patch.left_in == {}
    minus = [line for line in patch.text.splitlines() if line.startswith("-")][1:]
    plus = [line for line in patch.text.splitlines() if line.startswith("+")][1:]
    assert minus == ["-    use: [feature, release, audit]"]
    assert plus == ["+    use: [release, audit]"]


def test_a_column_without_another_use_goes_whole() -> None:
    """Its entry is cut out of the file, and nothing beside it."""
    file = read_policy("diabetes")
    patch = write_patch(file, ["pulse"], [])
    assert [line for line in patch.text.splitlines() if line.startswith("+")] == [
        "+++ b/diabetes.yaml"
    ]
    assert sum(line.startswith("-") for line in patch.text.splitlines()) == 5
    assert patch.left_in == {}


def test_with_the_last_column_of_a_table_the_table_goes() -> None:
    """Nothing would be made of it, which `check` refuses; one that the index needs stays."""
    tables = TABLES.replace("{first: visits, where: \"ward = 'A'\"}", '{date: "2025-01-01"}')
    other = VISITS.replace("stays:", "again:")
    changes = [("  person: pid\n", tables), ("derived:\n", VISITS)]
    file = make_file(*changes, ("derived:\n", other))
    one, both = (write_patch(file, names, []) for names in (["stays"], ["stays", "again"]))
    assert one.left_in == both.left_in == {}
    assert "-  tables:" not in one.text
    assert "-  tables:" in both.text
    indexed = make_file(("  person: pid\n", TABLES), ("derived:\n", VISITS))
    assert "-  tables:" not in write_patch(indexed, ["stays"], []).text


def test_intervals_are_merged_in_pairs_from_the_lowest() -> None:
    """Labels that name ranges are joined to ranges; an odd one stays."""
    patch = write_patch(make_file(), [], ["age"])
    assert "+    treatment: {kind: bin, edges: [50], labels: [18-49, '50+']}" in patch.text
    assert patch.left_in == {}


def test_what_the_rest_of_the_policy_still_needs_is_left_to_a_person() -> None:
    """A column that a rule is about cannot simply go, nor the last feature."""
    left = write_patch(read_policy("diabetes"), ["waist"], []).left_in
    assert left.keys() == {"waist"}
    assert "refused: expectations.3.column: does not exist" in left["waist"]
    found = write_patch(make_file(), ["age", "sex"], [])
    assert found.left_in.keys() == {"sex"}


def test_whatever_is_called_free_is_in_the_patch_or_said_why_not() -> None:
    """Also what is free alone, and no longer once others are gone."""
    free, costly = Loss(0.0, -0.001, 0.004), Loss(0.02, 0.01, 0.03)
    trials = [Trial(name, "drop", free) for name in ("gone", "alone", "needed by a rule")]
    trials += [Trial("wide", "drop", costly), Trial("wide", "coarsen", free)]
    found = Tried(0.7, tuple(trials), (), ("gone", "needed by a rule"), ())
    left = find_left_in(found, Patch("", {"needed by a rule": "a rule reads it"}))
    assert left.keys() == {"alone", "needed by a rule", "wide"}
    assert left["alone"].startswith("alone it is free; once gone, needed by a rule went too")


def test_a_patch_applies_and_gives_a_policy_that_could_run(tmp_path: object) -> None:
    """`patch` takes the diff as it stands."""
    import subprocess
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    file = read_policy("diabetes")
    (tmp_path / "diabetes.yaml").write_text(file.text, encoding="utf-8")
    patch = write_patch(file, ["pulse", "sex"], ["bmi"])
    done = subprocess.run(
        ["git", "apply", "-"], input=patch.text.encode(), cwd=tmp_path, check=False,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    policy = parse_policy((tmp_path / "diabetes.yaml").read_text(encoding="utf-8"))
    assert "pulse" not in policy.columns


@pytest.mark.parametrize(
    "target",
    [
        pytest.param([], id="nobody"),
        pytest.param([1, 0, 1], id="one-class-is-held-out"),
        pytest.param([0, 1, 1, 1, 1, 1], id="one-class-is-left-to-train-on"),
        pytest.param([0] * 12, id="one-class-altogether"),
    ],
)
def test_a_twin_without_both_classes_gives_no_curve(target: list[int]) -> None:
    """Nothing could be trained on it, or judged by it; the rest of the advice stands."""
    policy = make_file().policy
    book = Codebook.of(policy)
    codes = np.zeros((len(target), len(book.labels)), dtype=np.int64)
    assert list(measure_epsilons((codes, np.array(target, dtype=np.int64)), book, policy)) == []


def test_a_twin_of_both_classes_gives_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are, as long as both are on either side."""
    monkeypatch.setattr("tasks.advice.weigh.EPSILONS", (8.0,))
    policy = make_file().policy
    book = Codebook.of(policy)
    target = np.array([0, 0, 1, 1, 1, 0, 1, 0])
    codes = np.zeros((8, len(book.labels)), dtype=np.int64)
    (point,) = measure_epsilons((codes, target), book, policy)
    assert point.low <= point.auc <= point.high


def advised(*epsilons: AtEpsilon) -> Advice:
    """Give advice on three columns, of which one was dropped for nothing and one for some."""
    path = (Dropped(2, "useless", 0.8), Dropped(1, "strong", 0.7))
    return Advice(1.0, 0.8, (), path, epsilons, "", ())


def test_the_auc_is_drawn_as_columns_go_and_at_each_epsilon() -> None:
    """The largest stands highest; the first mark is of all columns, and is the one asked for."""
    curve = AtEpsilon(0.5, 0.6, 0.5, 0.7), AtEpsilon(8.0, 0.8, 0.8, 0.8)
    columns, epsilons = draw_advice(advised(*curve))
    assert [(m.under, m.text, m.asked) for m in columns.marks] == [
        ("3", "0.80", True),
        ("2", "0.80", False),
        ("1", "0.70", False),
    ]
    assert columns.marks[0].y == columns.marks[1].y < columns.marks[2].y
    assert [(m.under, m.text, m.asked) for m in epsilons.marks] == [
        ("0.5", "0.60", False),
        ("8", "0.80", False),
    ]
    assert epsilons.marks[0].x < epsilons.marks[1].x
    assert epsilons.marks[0].y > epsilons.marks[1].y


def test_without_a_curve_by_epsilon_none_is_drawn() -> None:
    """The one by columns stands alone."""
    assert [curve.title for curve in draw_advice(advised())] == ["AUC by columns"]
