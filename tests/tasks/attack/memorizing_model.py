"""People with a label, and a model that holds the rows of some of them: a leak that is planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

People = tuple[pd.DataFrame, pd.Series]


def draw_people(count: int, seed: int) -> People:
    """Three numbers and a word per person, and a label that the first number half explains."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 3)), columns=["a", "b", "c"])
    label = (frame["a"] + generator.normal(size=count) > 0).map({True: "yes", False: "no"})
    return frame.round(1).assign(d=generator.integers(0, 4, count)), label


class Holding:
    """A model that has learned from its members, and also holds the rows of some of them."""

    def __init__(self, members: People, held: Callable[[pd.DataFrame], pd.Series]) -> None:
        self.learned = LogisticRegression().fit(*members)
        self.classes_ = self.learned.classes_
        rows = members[0][held(members[0])].drop_duplicates()
        self.rows, self.labels = pd.MultiIndex.from_frame(rows), members[1][rows.index].to_numpy()

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Answer with what it has learned, or with what it holds of exactly this row."""
        learned = np.asarray(self.learned.predict_proba(X))
        place = self.rows.get_indexer(pd.MultiIndex.from_frame(X))
        known = (self.classes_ == self.labels[place][:, None]) * 0.98 + 0.01
        return np.where((place >= 0)[:, None], known, learned)
