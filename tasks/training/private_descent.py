"""Descent of a small network by DP-SGD: Opacus' gradients, OpenDP's noise, the system's samples.

Everything that needs torch and opacus is here, and imported only where it is used: both belong to
the extra `torch`. Weights come and go as numpy arrays of shape (inputs + 1, outputs), the constant
last. What it costs is for the caller to account for; it draws `steps` Gaussian mechanisms on
Poisson samples, each of sensitivity `clip_norm` and noise `noise_multiplier` times that.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from expectations.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from opacus.optimizers import DPOptimizerFastGradientClipping as Optimizer
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping as Loss
    from torch import nn

    from tasks.training.private_model import Release

    Matrix: TypeAlias = NDArray[np.float64]

MOMENTUM: Final = 0.9
AVERAGED_SHARE: Final = 0.5
ROW_BOUND: Final = 1e4
"""Numbers beyond it are clipped, so that nobody's gradient overflows."""
GRID: Final = 2.0**-32
"""The sum of gradients is rounded to whole steps of it before noise is added."""
LARGEST: Final = 2.0**30
"""Sums beyond it would not fit on the grid in 64 bits."""
MARGIN: Final = 1 - 1e-6
"""Clipping falls short of the bound by more than rounding can add to what one person changes.

Rounding to the grid adds at most √(weights) · 2^-32 (1e-8 for 2,000), and summing n people's
vectors in float64, in any order, at most n² · 2^-53 to either sum (Higham 2002, equation 4.4):
within the margin while at most 60,000 people are in a step and the bound is not under 0.1. No proof
of privacy: it supposes that each vector is the same whoever else is in the batch.
"""


@dataclass(frozen=True, slots=True)
class Descent:
    """How to descend: public numbers only; `step_length` is for the sum of a step's gradients."""

    noise_multiplier: float
    clip_norm: float
    sampling_rate: float
    steps: int
    step_length: float


def require_torch() -> None:
    """Raise UsageError where the extra is not installed."""
    try:
        import opacus  # noqa: F401  # only whether it is there
    except ImportError:
        raise UsageError(
            "private network: torch and opacus are not installed: in tutela's checkout, "
            "pip install -e '.[torch]'"
        ) from None


def descend(
    rows: Matrix, targets: Matrix, start: list[Matrix], plan: Descent, release: Release
) -> list[Matrix]:
    """Make the planned private steps from `start`; give the mean of the later weights.

    `rows` are of shape (people, features), `targets` are 0 or 1, of shape (people,). An empty
    sample makes a step of noise alone, as the accounting wants.
    """
    import torch

    network, loss, optimizer = _build(start, plan, release)
    path: list[list[Matrix]] = []
    for step in range(plan.steps):
        sample = draw_sample(len(rows), plan.sampling_rate)
        batch = torch.from_numpy(rows[sample].clip(-ROW_BOUND, ROW_BOUND))
        optimizer.zero_grad()
        with warnings.catch_warnings():
            # torch says that rows get no gradient, of which there is no need
            warnings.filterwarnings("ignore", "Full backward hook")
            loss(network(batch)[:, 0], torch.from_numpy(targets[sample])).backward()
        optimizer.step()
        if step >= int(plan.steps * (1 - AVERAGED_SHARE)):
            path.append([_read(parameters) for parameters in _pairs(network)])
    return [np.mean(layers, axis=0) for layers in zip(*path, strict=True)]


def draw_sample(people: int, probability: float) -> NDArray[np.int64]:
    """Give the positions of a Poisson sample: each of `people` independently, from the system."""
    # 63 bits, so that the bound of a probability of 1 is still a 64-bit number.
    draws = np.frombuffer(os.urandom(8 * people), np.uint64) >> np.uint64(1)
    return np.flatnonzero(draws < np.uint64(int(probability * 2.0**63)))


def release_values(values: Matrix, deviation: float, release: Release) -> Matrix:
    """Release values with noise of `deviation`, rounded to whole steps of the grid before.

    Raises UsageError for a deviation under 2^-18, which the grid is too coarse for, and for values
    that are not finite or too large for it.
    """
    if not (np.abs(values) < LARGEST).all():
        raise UsageError(
            "private training: the sums of gradients are not finite or too large; lower "
            "learning_rate or clip_norm"
        )
    steps = np.rint(values / GRID).astype(np.int64)
    return release(steps, deviation / GRID) * GRID


def _build(
    start: list[Matrix], plan: Descent, release: Release
) -> tuple[nn.Module, Loss, Optimizer]:
    """Give Opacus' network, its loss, and its optimizer with OpenDP's noise.

    Losses are summed, so that the sum's noise is what the plan says; the step length is divided.
    """
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
    from torch import nn, optim

    network = GradSampleModuleFastGradientClipping(
        _build_network(start),
        loss_reduction="sum",
        max_grad_norm=plan.clip_norm * MARGIN,
        use_ghost_clipping=True,
    )
    optimizer = _secure_optimizer(release)(
        optim.SGD(network.parameters(), lr=plan.step_length, momentum=MOMENTUM),
        noise_multiplier=plan.noise_multiplier,
        max_grad_norm=plan.clip_norm,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    criterion = nn.BCEWithLogitsLoss(reduction="sum")
    loss = DPLossFastGradientClipping(network, optimizer, criterion, loss_reduction="sum")
    return network, loss, optimizer


def _build_network(start: list[Matrix]) -> nn.Module:
    """Make torch's network of the first weights, in float64."""
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc]  # torch is not seen by the type checker
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(
                nn.Linear(len(layer) - 1, layer.shape[1], dtype=torch.float64) for layer in start
            )

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            *hidden, last, linear = self.layers
            units = rows
            for layer in hidden:
                units = torch.relu(layer(units))
            return last(units) + linear(rows)

    network = Network()
    with torch.no_grad():
        for (weight, bias), layer in zip(_pairs(network), start, strict=True):
            weight.copy_(torch.from_numpy(layer[:-1].T))
            bias.copy_(torch.from_numpy(layer[-1]))
    return network


def _pairs(network: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Give each layer's weight and bias, in the order of the layers."""
    parameters = list(network.parameters())
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def _read(layer: tuple[nn.Parameter, nn.Parameter]) -> Matrix:
    weight, bias = (parameter.detach().numpy() for parameter in layer)
    return np.vstack([weight.T, bias])


def _secure_optimizer(release: Release) -> type[Optimizer]:
    """Give Opacus' optimizer with its noise replaced by that of `release`."""
    import torch
    from opacus.optimizers import DPOptimizerFastGradientClipping

    class SecureOptimizer(DPOptimizerFastGradientClipping):  # type: ignore[misc]  # as above
        def add_noise(self) -> None:
            sums = torch.cat([parameter.summed_grad.flatten() for parameter in self.params])
            deviation = self.noise_multiplier * self.max_grad_norm
            noisy = release_values(sums.numpy(), deviation, release)
            parts = torch.from_numpy(noisy).split([parameter.numel() for parameter in self.params])
            for parameter, part in zip(self.params, parts, strict=True):
                parameter.grad = part.view_as(parameter)

    return SecureOptimizer
