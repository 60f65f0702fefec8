"""Private boosting spends the ε it says, on sums that no person moves further than it says."""

import math

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from interpret.utils._privacy import calc_gdp_noise_multi
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import check_estimator

from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import compose
from tasks.training import private_model
from tasks.training.binned_rows import bin_rows
from tasks.training.exact_sums import GRID, shorten_residuals
from tasks.training.noise_samplers import add_noise_to_sums
from tasks.training.private_boosting import YES_NO_PACE, PrivateBoosting

RESIDUAL_BOUND = YES_NO_PACE.bound
FEATURES = (3, (0.0, 0.25, 0.5, 1.0), 2)
SMALL = {"features": FEATURES, "rounds": 3}
person = st.tuples(
    st.sampled_from([0.0, 1.0, 2.0, math.nan]),
    st.one_of(st.floats(0, 1), st.just(math.nan)),
    st.sampled_from([0.0, 1.0, math.nan]),
    st.booleans(),
)
people = st.lists(person, min_size=1, max_size=6)
Draw = tuple[NDArray[np.float64], float]
"""Exact sums and the deviation of their noise, both in steps of the grid over `GRID`."""

UNDECLARED = "it trains on labels other than the declared classes, which are not read from data"
EXCEPTIONS = {
    "check_estimators_dtypes": UNDECLARED,
    "check_classifier_data_not_an_array": UNDECLARED,
    "check_classifiers_classes": UNDECLARED,
    "check_classifier_not_supporting_multiclass": "it wants a ValueError where this refuses",
    "check_fit2d_1feature": UNDECLARED,
}
WIDE = tuple(math.sinh(step * 0.4) for step in range(-20, 21))
"""Edges fine around 0 and as wide as what scikit-learn's checks make up."""


def make_people(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Labels, a number and a label that says nothing; the classes lie apart in the first two."""
    who = np.arange(count)
    positive = who % 2
    number = (who % 7) / 14 + positive / 2
    return np.column_stack([positive + who % 3 // 2, number, who // 2 % 2]), positive


class Watch:
    """Takes the place of the noise: gives sums back as they are and keeps what was asked for."""

    def __init__(self) -> None:
        self.drawn: list[Draw] = []

    def release(self, sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
        """Give the sums."""
        self.drawn.append((sums / GRID, deviation / GRID))
        return sums.astype(np.float64)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Draw]:
    """Watch every release of a fit."""
    one = Watch()
    monkeypatch.setattr(private_model, "add_noise_to_sums", one.release)
    return one.drawn


def release(
    members: list[tuple[float, float, float, bool]], scores: NDArray[np.float64]
) -> list[Draw]:
    """Give the counts and one round of these people, with what they are said to be moved by."""
    table = np.array([member[:3] for member in members], float).reshape(-1, 3)
    positive = np.array([member[3] for member in members])
    sums = PrivateBoosting(features=FEATURES).serve(table, positive)
    drawn = sums.counts().ravel(), sums.residuals(scores, np.float64(0.1))
    return [(drawn[0] / GRID, math.sqrt(3)), (drawn[1] / GRID, RESIDUAL_BOUND * math.sqrt(3))]


@settings(deadline=None)
@given(
    members=people,
    scores=st.lists(st.floats(-30, 30), min_size=11, max_size=11).map(np.array),
    data=st.data(),
)
def test_no_person_moves_a_released_sum_further_than_its_noise_is_scaled_to(
    members: list[tuple[float, float, float, bool]],
    scores: NDArray[np.float64],
    data: st.DataObject,
) -> None:
    """Without one person each release moves by at most the noise of multiplier 1, exactly."""
    left_out = data.draw(st.integers(0, len(members) - 1))
    others = members[:left_out] + members[left_out + 1 :]
    for (with_them, sensitivity), (without, same) in zip(
        release(members, scores), release(others, scores), strict=True
    ):
        squares = sum(float(moved) ** 2 for moved in with_them - without)
        assert squares <= sensitivity**2 * (1 + 1e-15)
        assert sensitivity == same


@given(gaps=st.lists(st.floats(-1, 1), min_size=1).map(np.array))
def test_a_residual_is_shortened_to_the_bound_and_lies_on_the_grid(
    gaps: NDArray[np.float64],
) -> None:
    """None is longer than the bound, each is a whole multiple, and short ones stay as they are."""
    short = shorten_residuals(gaps, RESIDUAL_BOUND)
    assert (np.abs(short) <= RESIDUAL_BOUND).all()
    assert (short * GRID % 1 == 0).all()
    inside = np.abs(gaps) <= RESIDUAL_BOUND
    np.testing.assert_allclose(short[inside], gaps[inside], atol=1 / GRID)


def test_a_residual_is_read_off_a_table() -> None:
    """Scores closer than its places give the same to the last bit, wherever the person stands."""
    members = [(1.0, 0.3, math.nan, True)] * 3
    at_zero, beside = (release(members, np.full(11, score))[1][0] for score in (1e-5, 3e-5))
    np.testing.assert_array_equal(at_zero, beside)


@settings(deadline=None)
@given(members=people)
def test_sums_over_joined_features_are_those_of_each_feature_by_itself(
    members: list[tuple[float, float, float, bool]],
) -> None:
    """Counted in plain loops, the bins hold the same people; NaN is in the last."""
    table = np.array([member[:3] for member in members])
    edges = FEATURES[1]
    expected = np.zeros(11)
    for label, number, flag, _ in members:
        middle = sum(number >= edge for edge in edges[1:-1])
        expected[3 if math.isnan(label) else int(label)] += 1
        expected[4 + (3 if math.isnan(number) else middle)] += 1
        expected[8 + (2 if math.isnan(flag) else int(flag))] += 1
    binned = bin_rows(table, FEATURES)
    np.testing.assert_array_equal(binned.sum_by_bin(np.ones(len(table))), expected)
    assert binned.score(np.ones(11)).tolist() == [3.0] * len(table)


def test_many_features_are_looked_up_as_one_by_one() -> None:
    """Where features need several groups, scores and sums are those of the features alone."""
    table = np.random.default_rng(1).integers(0, 9, (50, 12)).astype(float)
    binned = bin_rows(table, (9,) * 12)
    scores = np.arange(120.0)
    places = table.astype(int) + 10 * np.arange(12)
    np.testing.assert_allclose(binned.score(scores), scores[places].sum(1))
    expected = np.bincount(places.ravel(), minlength=120)
    np.testing.assert_array_equal(binned.sum_by_bin(np.ones(50)), expected)


def test_every_look_at_the_data_is_a_release_that_was_accounted_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One release of counts and one per round, each with the noise that `mechanisms` says."""
    drawn = watch(monkeypatch)
    model = PrivateBoosting(features=FEATURES, rounds=4)
    counts, rounds = model.mechanisms()
    model.fit(*make_people(20))
    round_deviation = rounds.noise_multiplier * RESIDUAL_BOUND * math.sqrt(3)
    assert rounds.count == 4
    assert [deviation for _, deviation in drawn] == pytest.approx(
        [counts.noise_multiplier * math.sqrt(3)] + [round_deviation] * 4
    )
    assert model.noise_multiplier_ == rounds.noise_multiplier


def test_a_model_follows_from_its_releases_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other people give the same model when every release is replaced by the same values."""
    monkeypatch.setattr(
        private_model, "add_noise_to_sums", lambda sums, _: np.full(sums.shape, 7 * GRID)
    )
    one = PrivateBoosting(**SMALL).fit(*make_people(20))  # type: ignore[arg-type]
    other = PrivateBoosting(**SMALL).fit(*make_people(9))  # type: ignore[arg-type]
    assert one.intercept_ == other.intercept_
    np.testing.assert_array_equal(np.concatenate(one.shapes_), np.concatenate(other.shapes_))


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 8.0])
def test_epsilon_is_what_the_drawn_mechanisms_compose_to(epsilon: float) -> None:
    """The cost is at most what was asked, and all but a thousandth of it is used."""
    model = PrivateBoosting(epsilon=epsilon)
    spent = compose(model.mechanisms(), 1e-5)
    assert epsilon * 0.999 < spent <= epsilon


def test_the_noise_is_that_of_interprets_own_calculation() -> None:
    """For rounds alone, interpret's Gaussian calculation asks the same noise within 0.1 %."""
    counts, rounds = PrivateBoosting(rounds=50).mechanisms()
    whole = (1 / counts.noise_multiplier**2 + 50 / rounds.noise_multiplier**2) ** -0.5
    assert whole == pytest.approx(calc_gdp_noise_multi(1, 1.0, 1e-5), rel=1e-3)


def test_the_noise_has_the_deviation_it_was_asked_for() -> None:
    """The variance of 20,000 draws lies within six of its own standard errors (p < 1e-8)."""
    noise = add_noise_to_sums(np.zeros(20_000, dtype=np.int64), 3.0 * GRID) / GRID
    assert abs(noise.var() / 9 - 1) < 6 * math.sqrt(2 / 20_000)
    assert abs(noise.mean()) < 6 * 3 / math.sqrt(20_000)


def test_the_noise_cannot_be_seeded() -> None:
    """Two trainings under the same seeds of numpy give different models."""
    drawn = []
    for _ in range(2):
        np.random.seed(1)  # noqa: NPY002  # the global seed is what must have no effect
        drawn.append(PrivateBoosting(**SMALL).fit(*make_people(8)).intercept_)  # type: ignore[arg-type]
    assert drawn[0] != drawn[1]


def test_it_learns_and_says_the_likelier_class() -> None:
    """It separates 2,000 easy people, numbers and labels, at epsilon 1."""
    rows, target = make_people(2000)
    labels = np.where(target, "yes", "no")
    model = PrivateBoosting(classes=("no", "yes"), features=FEATURES).fit(rows, labels)
    assert (model.predict(rows) == labels).mean() > 0.95
    assert [len(shape) for shape in model.shapes_] == [4, 4, 3]
    np.testing.assert_allclose(model.predict_proba(rows).sum(1), 1)


def test_a_feature_that_is_constant_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the noise, the bin that everybody is in has the score 0."""
    watch(monkeypatch)
    rows, target = make_people(200)
    rows[:, 2] = 1
    shape = PrivateBoosting(features=FEATURES).fit(rows, target).shapes_[2]
    assert abs(shape[1]) < 0.02


def test_people_of_one_class_still_give_a_model_of_both() -> None:
    """That nobody has the other class is known by noisy counts alone, so nothing is refused."""
    model = PrivateBoosting(features=FEATURES).fit(make_people(500)[0], np.zeros(500))
    assert model.classes_.tolist() == [0, 1]
    assert (model.predict(make_people(500)[0]) == 0).mean() > 0.9


def test_missing_values_are_a_bin_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the positive miss a value, missing speaks for them."""
    watch(monkeypatch)
    rows, target = make_people(200)
    rows[target == 1, 0] = math.nan
    model = PrivateBoosting(features=FEATURES).fit(rows, target)
    assert model.shapes_[0][3] > max(model.shapes_[0][:3])


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([3, 0.5, 0], id="label"),
        pytest.param([0.5, 0.5, 0], id="between-labels"),
        pytest.param([0, 1.5, 0], id="above"),
        pytest.param([0, -0.1, 0], id="below"),
        pytest.param([0, math.inf, 0], id="infinite"),
    ],
)
def test_a_value_outside_the_public_bounds_is_refused(row: list[float]) -> None:
    """In training and in prediction; the refusal says about how many, not which."""
    rows, target = make_people(8)
    model = PrivateBoosting(**SMALL).fit(rows, target)  # type: ignore[arg-type]
    for ask in (lambda table: model.fit(table, target), model.predict):
        with pytest.raises(Refusal, match="fewer than 10 values of the feature at position"):
            ask(np.vstack([rows[1:], row]))


def test_an_undeclared_class_is_refused_without_its_value() -> None:
    """The refusal says about how many labels, not which."""
    with pytest.raises(Refusal, match="fewer than 10 labels") as refusal:
        PrivateBoosting().fit([[0.0], [1.0]], [0, 777])
    assert "777" not in str(refusal.value)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"epsilon": 0}, id="no-epsilon"),
        pytest.param({"epsilon": 20.1}, id="insane-epsilon"),
        pytest.param({"epsilon": math.nan}, id="nan-epsilon"),
        pytest.param({"delta": 0}, id="no-delta"),
        pytest.param({"delta": 1}, id="delta-one"),
        pytest.param({"rounds": 0}, id="no-rounds"),
        pytest.param({"rounds": 2.5}, id="half-a-round"),
        pytest.param({"rounds": True}, id="rounds-of-yes"),
        pytest.param({"rounds": "forty"}, id="rounds-in-words"),
        pytest.param({"classes": (1, 1)}, id="one-class"),
        pytest.param({"features": (0,)}, id="no-labels"),
        pytest.param({"features": ()}, id="no-features"),
        pytest.param({"edges": (0, 1, 1)}, id="equal-edges"),
        pytest.param({"edges": (0,)}, id="one-edge"),
        pytest.param({"edges": (0, math.inf)}, id="no-bound"),
        pytest.param({"features": (2, 2)}, id="more-features-than-the-rows"),
    ],
)
def test_parameters_without_a_guarantee_are_refused(parameters: dict[str, float]) -> None:
    """Nothing is trained on a promise that cannot be kept."""
    with pytest.raises(UsageError, match=r"private training|public bins"):
        PrivateBoosting(**parameters).fit([[0.0], [1.0]], [0, 1])  # type: ignore[arg-type]  # wrong on purpose


def test_a_saved_model_is_plain_arrays_and_predicts_alike() -> None:
    """By skops nothing but the class itself has to be trusted; what was learned was released."""
    rows, target = make_people(50)
    model = PrivateBoosting(**SMALL).fit(rows, target)  # type: ignore[arg-type]
    learned = {name for name in vars(model) if name.endswith("_")}
    released = {"intercept_", "shapes_", "classes_", "noise_multiplier_", "epsilon_spent_"}
    assert learned == released | {"n_features_in_"}
    content = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=content)
    assert unknown == ["tasks.training.private_boosting.PrivateBoosting"]
    again = skops.io.loads(content, trusted=unknown)
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))


def test_it_keeps_scikit_learns_conventions_but_for_named_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every exception is one that fails; without noise, which is fresh in every fit."""
    watch(monkeypatch)
    model = PrivateBoosting(epsilon=20, edges=WIDE, rounds=10)
    results = check_estimator(model, on_skip=None, expected_failed_checks=EXCEPTIONS)
    excused = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert excused == set(EXCEPTIONS)
