"""A model of one's own, as a policy may name it by dotted path, that ends the process in training.

`kill -9` cannot be caught: what lies on the disk at that moment stays there.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class Ending(LogisticRegression):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression that is killed while it is fitted."""

    def fit(self, _rows: NDArray[np.float64], _labels: pd.Series[str]) -> Ending:
        """Kill this process."""
        os.kill(os.getpid(), signal.SIGKILL)
        return self
