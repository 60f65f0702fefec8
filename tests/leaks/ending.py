"""A model of one's own, as a policy may name it by dotted path, that ends the process in training.

`kill -9` cannot be caught: what lies on the disk at that moment stays there.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Final

from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


STEP: Final = "Train the model"
MOST: Final = 60.0
"""Seconds to wait for the server, which may be busy."""


class Ending(LogisticRegression):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression that is killed while it is fitted."""

    def fit(self, _rows: NDArray[np.float64], _labels: pd.Series[str]) -> Ending:
        """Kill this process, once Prefect's server has heard of the step that is under way."""
        limit = time.monotonic() + MOST
        while time.monotonic() < limit and not is_known(STEP):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
        return self


def is_known(step: str) -> bool:
    """Whether the server has a task run of that name under way: it hears of them a little later."""
    asked = {"task_runs": {"name": {"like_": step}, "state": {"type": {"any_": ["RUNNING"]}}}}
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{os.environ['PREFECT_API_URL']}/task_runs/filter",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return bool(json.load(answer))
    except OSError:
        return False
