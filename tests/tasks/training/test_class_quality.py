"""What is told of a model of several classes: each against the rest, and never everybody of one."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from expectations.disclosure import CLASS, Count, Disclosure, Published
from tasks.training.class_quality import (
    ScoredClasses,
    choose_cells,
    compare_classes,
    score_classes,
    tell_classes,
)
from tasks.training.quality import tell_quality

LABELS: Final = ("well", "fair", "poor", "rare")
RULE: Final = Disclosure(b"k" * 32)


def draw(count: int = 6_000, seed: int = 1) -> ScoredClasses:
    """People of four classes, the last of very few, of whom a model knows something."""
    generator = np.random.default_rng(seed)
    place = np.where(
        generator.random(count) < 0.004, 3, generator.choice(3, count, p=(0.5, 0.3, 0.2))
    )
    scores = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[place] - [0, 0, 0, 3]
    odds = np.exp(scores)
    return ScoredClasses(LABELS, odds / odds.sum(axis=1, keepdims=True), place)


def test_each_class_is_told_against_the_rest_and_rare_ones_are_named() -> None:
    """By scikit-learn's own figures, up to the steps in which they are told."""
    scored = draw()
    found = tell_classes(scored, RULE)
    assert found.few == ("rare",)
    assert [one.label for one in found.classes] == ["well", "fair", "poor"]
    exact = [roc_auc_score(scored.place == c, scored.probabilities[:, c]) for c in range(3)]
    assert [one.auc for one in found.classes] == pytest.approx(exact, abs=0.01)
    assert found.auc == pytest.approx(np.mean(exact), abs=0.01)
    assert found.auc_low is not None
    assert found.auc_high is not None
    assert found.auc_low < np.mean(exact) < found.auc_high
    right = (scored.called == scored.place).mean()
    assert found.accuracy == pytest.approx(right, abs=0.01)
    loss = log_loss(scored.place, scored.probabilities, labels=range(4))
    assert found.log_loss == pytest.approx(loss, abs=0.02)
    for place, one in enumerate(found.classes):
        assert one.share == pytest.approx((scored.place == place).mean(), abs=0.01)
        assert one.predicted == pytest.approx(scored.probabilities[:, place].mean(), abs=0.01)


def test_of_two_classes_the_auc_is_that_of_yes_or_no() -> None:
    """The generalization says nothing else of them."""
    scored = draw()
    two = np.isin(scored.place, (0, 1))
    shares = scored.probabilities[two][:, :2]
    shares = shares / shares.sum(axis=1, keepdims=True)
    found = tell_classes(ScoredClasses(LABELS[:2], shares, scored.place[two]), RULE)
    told = tell_quality(ScoredClasses(LABELS[:2], shares, scored.place[two]).against_rest(1), RULE)
    assert found.classes[1].auc == pytest.approx(told.auc, abs=1e-3)
    assert found.accuracy == pytest.approx(told.calls.accuracy, abs=0.01)


counts = st.lists(st.integers(0, 400), min_size=1, max_size=6)


@given(counts, st.integers(50, 2_000))
def test_the_people_of_a_class_cannot_be_added_up(errors: list[int], right: int) -> None:
    """Whoever is counted under no other class is as many as make a class, or nobody is told of."""
    cells = {str(n): RULE.publish(Count(error)) for n, error in enumerate(errors)}
    size, hits = RULE.publish(Count(sum(errors) + right)), RULE.publish(Count(right))
    told = choose_cells(cells, size, hits)
    for label in told:
        assert errors[int(label)] > CLASS - 10
    if told:
        assert sum(errors) - sum(errors[int(label)] for label in told) >= CLASS - 10 * len(told)
    assert choose_cells(cells, size, hits) == told


def test_confusion_is_told_of_many_people_alone() -> None:
    """Of 900 people 300 are taken for one class, 100 for another, 20 for a third."""
    cells = {"a": Published(300, 10), "b": Published(100, 10), "c": Published(20, 10)}
    assert choose_cells(cells, Published(900, 10), Published(480, 10)) == ["a"]
    assert choose_cells(cells, Published(1000, 10), Published(550, 10)) == ["a"]
    assert choose_cells(cells, Published(1000, 10), Published(500, 10)) == ["a", "b"]


def test_a_label_that_the_model_never_met_has_no_probability() -> None:
    """And the others are found by their names, in whatever order the model has them."""

    class Model:
        """Knows two of three labels, in its own order."""

        classes_ = np.array(["b", "a"])

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
            """Say .9 for b."""
            return np.tile([0.9, 0.1], (len(X), 1))

    people = pd.DataFrame({"x": [1, 2]}), pd.Series(["b", "c"]), None
    scored = score_classes(Model(), people, ("a", "b", "c"))  # type: ignore[arg-type]
    assert scored.probabilities.tolist() == [[0.1, 0.9, 0.0]] * 2
    assert scored.place.tolist() == [1, 2]


def test_a_group_that_is_called_wrong_shows_and_small_ones_are_left_out() -> None:
    """Its accuracy is told, and how far its classes are found less often."""
    scored = draw()
    names = np.resize(["north", "south", "south"], len(scored.place)).astype(object)
    names[:30] = "few"
    worse = np.random.default_rng(4).random(len(names)) < 0.4
    shares = scored.probabilities.copy()
    turned = (names == "south") & worse
    shares[turned] = np.roll(shares[turned], 1, axis=1)
    found = compare_classes(scored._replace(probabilities=shares), pd.Series(names), CLASS, RULE)
    # The few are hidden by leaving out the next larger group too.
    assert [one.group for one in found.groups] == ["south"]
    names[:30] = "north"
    found = compare_classes(scored._replace(probabilities=shares), pd.Series(names), CLASS, RULE)
    assert [one.group for one in found.groups] == ["north", "south"]
    apart = {one.name: one for one in found.differences}
    assert apart["accuracy"].low > 0.1
    assert apart["equal_opportunity"].low > 0.1


def test_who_comes_or_leaves_moves_few_figures() -> None:
    """Of 60 people who leave one by one; two figures of some thirty change for each at most."""
    scored = draw(2_000)
    before, changed = tell_classes(scored, RULE), 0
    for gone in range(60):
        left = np.arange(2_000) != gone
        there = ScoredClasses(LABELS, scored.probabilities[left], scored.place[left])
        after = tell_classes(there, RULE)
        changed += sum(
            one != other for one, other in zip(figures(before), figures(after), strict=True)
        )
    assert changed / 60 <= 2


def figures(found: object) -> list[object]:
    """List all that is told, one figure after the other."""
    told = found.__getstate__()  # type: ignore[attr-defined]
    return [part for one in told for part in (
        [value for each in one for value in each.__getstate__()] if one and isinstance(one, tuple)
        and not isinstance(one[0], str) else [one])]  # fmt: skip
