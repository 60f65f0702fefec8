"""Others' private models on the same public bins: interpret's DP-EBM, and two models by Opacus.

Each is a scikit-learn pipeline or classifier that is told what ours are told. Their parameters were
chosen by folds of the training part (interpret's bins at ε = 1, 3 and 8, all else at ε = 1).
Each ε is what the library claims. Opacus is used plainly: its own seeds (a Mersenne twister),
Poisson loader and accountant. interpret learns which labels there are from the data without noise,
which its ε leaves out.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pandas as pd
from adult import EDGES, EDUCATION, LABELS, Split, declare_adult
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from tasks.training.encoding import DeclaredEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

DELTA: Final = 1e-5
EPOCHS, BATCHES = 12, 10
LOGISTIC, PERCEPTRON = (0, 8.0), (8, 4.0)
"""Hidden units and learning rate of Opacus' two models."""
EBM: Final = {"bin_budget_frac": 0.05, "learning_rate": 0.2, "max_rounds": 60, "max_leaves": 64}
EBM_BINS: Final = {0.5: 32, 1.0: 32, 3.0: 128, 8.0: 128}
"""Parameters of interpret's DP-EBM, and at each ε the most bins of a number."""


def number_bins(split: Split) -> Split:
    """Give ordered columns as the numbers of their bins, which interpret takes as continuous."""
    places = {label: place for place, label in enumerate(EDUCATION.split())}
    train, test = (
        part.astype(dict.fromkeys(EDGES, int)).assign(education=part["education"].map(places))
        for part in (split.features, split.test_features)
    )
    return split._replace(features=train, test_features=test)


def build_interpret(epsilon: float) -> ClassifierMixin:
    """Give interpret's DP-EBM for rows of `number_bins`, told their bounds."""
    from interpret.privacy import (  # type: ignore[import-untyped]  # no hints
        DPExplainableBoostingClassifier,
    )

    bounds = {name: (0, len(edges)) for name, edges in EDGES.items()}
    bounds["education"] = (0, len(EDUCATION.split()) - 1)
    kinds = ["continuous"] * len(bounds) + ["nominal"] * len(LABELS)
    return DPExplainableBoostingClassifier(
        epsilon=epsilon,
        delta=DELTA,
        feature_types=kinds,
        privacy_bounds=bounds,
        max_bins=EBM_BINS[epsilon],
        n_jobs=1,
        **EBM,
    )


def build_opacus(epsilon: float, hidden: int, rate: float) -> Pipeline:
    """Give Opacus' network behind the encoder that ours have; a regression without `hidden`."""
    encoding = declare_adult()
    encoder = DeclaredEncoder(encoding.categories, {}, ordered=encoding.ordered)
    return Pipeline([("encoder", encoder), ("classifier", OpacusNetwork(epsilon, hidden, rate))])


class OpacusNetwork(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Trains as Opacus' documentation does."""

    def __init__(self, epsilon: float, hidden: int, rate: float) -> None:
        self.epsilon = epsilon
        self.hidden = hidden
        self.rate = rate

    def fit(self, rows: NDArray[np.float64], labels: pd.Series) -> Self:
        """Train by SGD with momentum on Poisson samples of a tenth of the people."""
        import torch

        self.classes_ = np.unique(labels)
        targets = (labels == self.classes_[1]).to_numpy(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._descend(torch.tensor(rows, dtype=torch.float32), torch.tensor(targets))
        return self

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the probabilities of both classes."""
        import torch

        with torch.no_grad():
            logits = self.network_(torch.tensor(rows, dtype=torch.float32))[:, 0]
        positive = torch.sigmoid(logits.double()).numpy()
        return np.column_stack([1 - positive, positive])

    def _descend(self, rows: Tensor, targets: Tensor) -> None:
        from opacus import PrivacyEngine
        from torch import nn, optim
        from torch.utils.data import DataLoader, TensorDataset

        network, data = self._build(rows.shape[1]), TensorDataset(rows, targets)
        self.network_, optimizer, loader = PrivacyEngine(
            accountant="prv"
        ).make_private_with_epsilon(
            module=network,
            optimizer=optim.SGD(network.parameters(), lr=self.rate, momentum=0.9),
            data_loader=DataLoader(data, batch_size=len(data) // BATCHES),
            target_epsilon=self.epsilon,
            target_delta=DELTA,
            epochs=EPOCHS,
            max_grad_norm=1.0,
        )
        criterion = nn.BCEWithLogitsLoss()
        for _ in range(EPOCHS):
            for batch, labels in loader:
                optimizer.zero_grad()
                criterion(self.network_(batch)[:, 0], labels).backward()
                optimizer.step()

    def _build(self, width: int) -> nn.Module:
        from torch import nn

        if not self.hidden:
            return nn.Sequential(nn.Linear(width, 1))
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))
