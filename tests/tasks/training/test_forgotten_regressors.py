"""Every regressor of scikit-learn: what it forgets, and who of them predicts with people's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators

from expectations.policy.training import KEEPS_ROWS
from tasks.training.forgotten import forget, walk

pytestmark = pytest.mark.filterwarnings("ignore")  # what the estimators say of defaults and steps

PEOPLE: Final = 203
"""No other length is like it."""
ROWS = np.random.default_rng(3).uniform(1, 2, size=(PEOPLE, 3))
NUMBERS = ROWS[:, 0] + np.random.default_rng(4).uniform(0.1, 0.5, PEOPLE)
TREE: Final = DecisionTreeRegressor(max_depth=2)
FOREST: Final = {"bootstrap": True, "oob_score": True, "n_estimators": 5}
GIVEN: Final[dict[str, dict[str, object]]] = {
    "BaggingRegressor": {"oob_score": True},
    "CCA": {"n_components": 1},
    "ExtraTreesRegressor": FOREST,
    "GradientBoostingRegressor": {"subsample": 0.5, "n_estimators": 5},
    "MLPRegressor": {"hidden_layer_sizes": (4,), "max_iter": 20},
    "PLSCanonical": {"n_components": 1},
    "RandomForestRegressor": FOREST,
    "RidgeCV": {"store_cv_results": True},
    "StackingRegressor": {"estimators": [("tree", TREE)]},
    "VotingRegressor": {"estimators": [("tree", TREE)]},
}
OF_SEVERAL: Final = {
    *("MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso"),
    *("MultiTaskLassoCV", "RegressorChain"),
}
"""They predict several numbers at once, which no policy asks for."""
ALL: Final = dict(all_estimators(type_filter="regressor"))
OF_SUPPORT: Final = {"NuSVR", "SVR"}
"""They keep the rows of some people alone."""


def find_kept(model: BaseEstimator) -> Iterator[str]:
    """Name what a model keeps of everybody."""
    for part in walk(model, set()):
        for name, value in (vars(part) if hasattr(part, "__dict__") else {}).items():
            if PEOPLE in np.shape(value if isinstance(value, np.ndarray) else 0):
                yield name


@pytest.mark.parametrize("name", sorted(ALL.keys() - OF_SEVERAL))
def test_a_regressor_forgets_everybody_but_whom_it_predicts_with(name: str) -> None:
    """To the last bit it predicts as before, and who keeps rows is on the list."""
    rows = ROWS[:, :1] if name == "IsotonicRegression" else ROWS
    model = ALL[name](**GIVEN.get(name, {})).fit(rows, NUMBERS)
    before = model.predict(rows[:50])
    forget(model)
    np.testing.assert_array_equal(model.predict(rows[:50]), before)
    kept = [*find_kept(model)] or name in OF_SUPPORT or name == "IsotonicRegression"
    assert bool(kept) is (name in KEEPS_ROWS), kept
