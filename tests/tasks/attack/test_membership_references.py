"""Reference models treat members and non-members alike, and threads change nothing."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.attack.membership import score_people
from tasks.attack.reference_models import (
    LEAST_CONFIDENCE,
    Classifier,
    People,
    References,
    draw_halves,
    train_references,
)


def draw_people(count: int = 80) -> People:
    """Give two numbers a person, and a label that hangs on the first."""
    generator = np.random.default_rng(1)
    frame = pd.DataFrame(generator.normal(size=(count, 2)), columns=["a", "b"])
    return People(frame, (frame["a"] + generator.normal(size=count) > 0).astype(int))


def test_everybody_is_in_half_of_the_references_and_labels_are_balanced() -> None:
    """Else who is seldom in would look like a non-member."""
    labels = pd.Series(["a"] * 30 + ["b"] * 10)
    halves = np.array(draw_halves(labels, 8))
    assert (halves.sum(axis=0) == 4).all()
    assert (halves[:, 30:].sum(axis=1) == 5).all()


def test_one_who_leaves_moves_at_most_one_other_from_half_to_half() -> None:
    """In each reference, whoever leaves, and wherever in the rows the person stood."""
    records = np.random.default_rng(2).integers(0, 2**64, 40, dtype=np.uint64)
    labels = pd.Series(["a"] * 29 + ["b"] * 11)
    before = np.array(draw_halves(labels, 8, records))
    for gone in range(40):
        left = np.arange(40) != gone
        after = np.array(draw_halves(labels[left], 8, records[left]))
        assert (before[:, left] != after).sum(axis=1).max() <= 1


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(LogisticRegression, id="no-seed"),
        pytest.param(lambda: RandomForestClassifier(n_estimators=5), id="seed-left-open"),
        pytest.param(
            lambda: make_pipeline(
                StandardScaler(),
                HistGradientBoostingClassifier(max_iter=5, early_stopping=True, min_samples_leaf=2),
            ),
            id="seed-within-a-pipeline",
        ),
    ],
)
def test_the_number_of_threads_changes_nothing(model: type[Classifier]) -> None:
    """To the last digit, also where a model draws by chance."""
    alone = train_references(model, draw_people(), 8, threads=1)
    together = train_references(model, draw_people(), 8, threads=4)
    np.testing.assert_array_equal(alone.confidence, together.confidence)
    np.testing.assert_array_equal(alone.inside, together.inside)
    assert (alone.confidence[0] != alone.confidence[1]).any()


def test_a_label_that_only_one_person_has_is_no_confidence_where_no_reference_saw_it() -> None:
    """Half of the references know nothing of it, and are trained all the same."""
    people = draw_people()
    labels = people.labels.astype(object).where(people.labels.index > 0, "rare")
    found = train_references(LogisticRegression, People(people.features, labels.astype(str)), 8)
    assert (found.confidence[~found.inside[:, 0], 0] == LEAST_CONFIDENCE).all()
    assert (found.confidence[found.inside[:, 0], 0] > LEAST_CONFIDENCE).all()


class Noisy(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Says its noise, which nothing can seed, as a private model's."""

    classes_ = np.array([0, 1])

    def fit(self, *_: object) -> None:
        """Draw noise from the operating system."""
        self.noise_ = np.random.default_rng().uniform()

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Say the noise of everybody."""
        return np.tile([self.noise_, 1 - self.noise_], (len(X), 1))


def test_a_model_without_a_seed_keeps_its_noise() -> None:
    """References are as noisy as the model that is attacked."""
    first, second = (train_references(Noisy, draw_people(10), 8).confidence for _ in range(2))
    assert (first != second).all()


def make_references(shift: float) -> References:
    """Sixteen references of three people, whose confidence rises by `shift` logits if seen."""
    inside = np.array(draw_halves(pd.Series([0, 0, 0, 0]), 16))
    wobble = np.linspace(-0.5, 0.5, 16)[:, None]
    return References(
        1 / (1 + np.exp(-(np.array([-2, 0, 1, 3]) + wobble + shift * inside))), inside
    )


def test_lira_takes_the_side_that_the_logit_lies_nearer_to() -> None:
    """Positive for logits as of references that saw the person, negative for the others."""
    references = make_references(shift=2)
    likely = 1 / (1 + np.exp(-(np.array([-2, 0, 1, 3]) + np.array([2, 0, 2, 0]))))
    assert (np.sign(score_people(likely, references)["LiRA"]) == [1, -1, 1, -1]).all()


def test_lira_matches_scipys_normal_densities() -> None:
    """With one variance for all people on each side, by pooled squares."""
    from scipy.stats import norm

    references = make_references(shift=1)
    confidence = np.array([0.2, 0.6, 0.7, 0.9])
    logit = np.log(references.confidence / (1 - references.confidence))
    seen = np.log(confidence / (1 - confidence))
    sides = []
    for chosen in (references.inside, ~references.inside):
        own = [logit[chosen[:, i], i] for i in range(4)]
        spread = np.sqrt(np.mean([np.var(one) for one in own]))
        sides.append(norm.logpdf(seen, [one.mean() for one in own], spread))
    wanted = sides[0] - sides[1]
    np.testing.assert_allclose(score_people(confidence, references)["LiRA"], wanted)


def test_rmia_asks_whether_a_person_is_surer_than_under_the_references() -> None:
    """Not whether they are sure: some are easy for any model, whoever it has seen."""
    usual = np.tile([0.2, 0.9], (8, 1))
    references = References(usual, np.array(draw_halves(pd.Series([0, 0]), 8)))
    hard, easy = score_people(np.array([0.4, 0.9]), references)["RMIA"]
    assert hard == pytest.approx(2 * easy)
