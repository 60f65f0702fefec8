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


MOST: Final = 60.0
"""Seconds to wait for the server, which may be busy."""


class Ending(LogisticRegression):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression that is killed while it is fitted."""

    def fit(self, _rows: NDArray[np.float64], _labels: pd.Series[str]) -> Ending:
        """Kill this process, once Prefect's server has heard of the step that is under way."""
        limit = time.monotonic() + MOST
        while not is_known():
            if time.monotonic() > limit:
                raise TimeoutError("Prefect's server never heard of the step that trains")
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
        return self


def is_known() -> bool:
    """Whether the server has this step as under way: it hears of steps a little later.

    It is read, since the server takes in nothing without a token.
    """
    from prefect.context import TaskRunContext

    context = TaskRunContext.get()
    assert context is not None
    place = f"{os.environ['PREFECT_API_URL']}/task_runs/{context.task_run.id}"
    try:
        with urllib.request.urlopen(place, timeout=10) as answer:  # noqa: S310 - our own server
            return bool(json.load(answer)["state_type"] == "RUNNING")
    except OSError:  # not found: not yet
        return False
