"""Every classifier of scikit-learn: what it forgets, and whether the search lets it leave."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Final

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from expectations.policy.training import KEEPS_ROWS, keeps_rows
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.held_people import judge_search
from tasks.training.forgotten import forget
from tests.tasks.attack.keeping_model import make_people, save, search

pytestmark = pytest.mark.filterwarnings("ignore")  # what the estimators say of defaults and steps

PEOPLE = make_people(200)
OTHERS = make_people(300, seed=9)
ALL: Final = dict(all_estimators(type_filter="classifier"))
TREE: Final = DecisionTreeClassifier(max_depth=3, random_state=0)
ON_TREES: Final = (
    *("ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier"),
    *("OneVsRestClassifier", "OutputCodeClassifier", "SelfTrainingClassifier"),
    "TunedThresholdClassifierCV",
)
GIVEN: Final[dict[str, dict[str, object]]] = {
    **{name: {"estimator": TREE} for name in ON_TREES},
    "OneVsOneClassifier": {"estimator": LogisticRegression(max_iter=1000)},
    "StackingClassifier": {"estimators": [("tree", TREE)]},
    "VotingClassifier": {"estimators": [("tree", TREE)]},
    "BaggingClassifier": {"oob_score": True},
    "CalibratedClassifierCV": {"method": "isotonic"},
    "ExtraTreesClassifier": {"n_estimators": 20},
    "HistGradientBoostingClassifier": {"early_stopping": True},
    "MLPClassifier": {"early_stopping": True},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
    "RadiusNeighborsClassifier": {"outlier_label": "most_frequent"},
    "RandomForestClassifier": {"oob_score": True, "n_estimators": 20},
    "RidgeClassifierCV": {"store_cv_results": True},
}
"""What some need, or what makes them keep more than they must."""
TWO_OUTCOMES: Final = {"ClassifierChain", "MultiOutputClassifier"}
EACH_DAY: Final = frozenset({
    "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CategoricalNB", "ComplementNB",
    "GaussianProcessClassifier", "GradientBoostingClassifier", "HistGradientBoostingClassifier",
    "KNeighborsClassifier", "LogisticRegressionCV", "MLPClassifier", "RandomForestClassifier",
    "RidgeClassifierCV", "SGDClassifier", "SVC", "SelfTrainingClassifier", "VotingClassifier",
})  # fmt: skip
"""One at least for each attribute that is forgotten, each way to keep rows and each nesting."""
each_model = pytest.mark.parametrize(
    "name",
    [name if name in EACH_DAY else pytest.param(name, marks=pytest.mark.nightly) for name in ALL],
)


def fitted(name: str) -> BaseEstimator:
    """Give a classifier of its own that was fitted on 200 people."""
    return deepcopy(fit(name))


@cache
def fit(name: str) -> BaseEstimator:
    """Fit a classifier on 200 people."""
    model = ALL[name](**GIVEN.get(name, {}))
    if "random_state" in model.get_params():
        model.set_params(random_state=0)
    outcomes: NDArray[np.generic] = PEOPLE.outcomes.astype(object)
    if name in TWO_OUTCOMES:
        outcomes = np.column_stack([PEOPLE.outcomes == "yes", PEOPLE.encoded[:, 0] > 0]).astype(int)
    return model.fit(PEOPLE.encoded, outcomes)


def predict(model: BaseEstimator) -> list[NDArray[np.generic]]:
    """Predict for people who were not trained on, in every way there is."""
    people = PEOPLE if type(model).__name__ == "CategoricalNB" else OTHERS
    ways = ("predict", "predict_proba", "decision_function")
    return [np.asarray(getattr(model, way)(people.encoded)) for way in ways if hasattr(model, way)]


@each_model
def test_what_is_forgotten_was_not_predicted_with(name: str) -> None:
    """To the last bit, before and after, and as the model is loaded by its recipient."""
    model = fitted(name)
    before = predict(model)
    forget(model)
    content = skops.io.dumps(model)
    loaded = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    for same in (predict(model), predict(loaded)):
        assert len(same) == len(before)
        assert all(map(np.array_equal, before, same))


@each_model
def test_the_search_and_the_list_of_those_who_keep_rows_agree(name: str) -> None:
    """Nobody on the list passes, and nobody off it is refused."""
    model = fitted(name)
    forget(model)
    words = (
        ("tree",) if name in {"StackingClassifier", "VotingClassifier"} else ()
    )  # as called here
    found = search(save(model), PEOPLE, *words, sizes=model.get_params())
    asked = CheckVerdict.REFUSED if name in KEEPS_ROWS else CheckVerdict.PASSED
    assert found.verdict is asked, judge_search(found, str, "clinic").measured
    assert keeps_rows(f"{ALL[name].__module__}.{name}") == (name in KEEPS_ROWS)


def test_the_nodes_of_a_forest_tell_of_nobody() -> None:
    """Neither how many people came to a node, nor what it would have predicted of them."""
    forest = fitted("RandomForestClassifier")
    forget(forest)
    for tree in (each.tree_ for each in forest.estimators_):
        inner = tree.children_left >= 0
        assert inner.any()
        assert not tree.n_node_samples.any()
        assert not tree.weighted_n_node_samples.any()
        assert not tree.impurity.any()
        assert not tree.value[inner].any()
    assert forest._n_samples == 0
    assert len(forest.oob_decision_function_) == 0


def test_boosting_keeps_no_bins_of_numbers() -> None:
    """They lie between people's values, and trees have their own cuts."""
    model = fitted("HistGradientBoostingClassifier")
    forget(model)
    assert not any(map(len, model._bin_mapper.bin_thresholds_))
    assert not any(tree.nodes["count"].any() for each in model._predictors for tree in each)
