"""Noise and coins that are a test's own, so that what it judges is the same every day."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from tasks.training import noise_samplers


def own_draws(patch: pytest.MonkeyPatch, seed: int = 1) -> None:
    """Seed what nothing else can: numpy's generators without a seed, and the noise of training.

    The noise is numpy's Gaussian of the deviation that was asked for, in whole steps. That
    OpenDP's has that deviation, and cannot be seeded, is tested of the sampler itself.
    """
    make, seeds = np.random.default_rng, itertools.count(1000 * seed)

    def seeded(own: int | None = None) -> np.random.Generator:
        return make(next(seeds) if own is None else own)

    noise = make(seed)

    def gaussian(deviation: float) -> Callable[[list[int]], list[int]]:
        return lambda sums: (np.rint(noise.normal(0, deviation, len(sums))) + sums).tolist()

    patch.setattr(np.random, "default_rng", seeded)
    patch.setattr(noise_samplers, "_discrete_gaussian", gaussian)
