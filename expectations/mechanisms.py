"""What a differentially private estimator draws, by public parameters only.

So its cost is known before any data is read (see `expectations.privacy_loss`). Neighbours differ
by adding or removing all that one person contributed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Final, TypeAlias, assert_never

from expectations.errors import UsageError


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise of `noise_multiplier` times the L2 sensitivity, `count` times."""

    noise_multiplier: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise."""
        _check(self.noise_multiplier > 0, is_count(self.count))


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """The same on a Poisson sample of people, drawn afresh each time with `probability`."""

    noise_multiplier: float
    probability: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise, or no sample."""
        _check(self.noise_multiplier > 0, 0 < self.probability <= 1, is_count(self.count))


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace noise of 1 / `epsilon` times the L1 sensitivity, `count` times."""

    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise."""
        _check(0 < self.epsilon < math.inf, is_count(self.count))


@dataclass(frozen=True, slots=True)
class Bounded:
    """Whatever is (`epsilon`, `delta`)-differentially private by a proof of its own."""

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what bounds nothing."""
        _check(0 <= self.epsilon < math.inf, 0 <= self.delta < 1)


def is_count(number: object) -> bool:
    """Say whether a number, which a policy may have given, is a whole one of 1 or more."""
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 1


def is_measure(number: object) -> bool:
    """Say whether a number, which a policy may have given, is a finite one above 0."""
    return isinstance(number, int | float) and number is not True and 0 < number < math.inf


def _check(*holds: bool) -> None:
    if not all(holds):
        raise UsageError(
            "a mechanism's noise, ε, count and sampling must be positive numbers, its count a "
            "whole one, its δ and probability at most 1: correct what the estimator declares"
        )


Mechanism: TypeAlias = Gaussian | SampledGaussian | Laplace | Bounded
KINDS: Final[Mapping[str, type[Mechanism]]] = {
    "gaussian": Gaussian,
    "sampled-gaussian": SampledGaussian,
    "laplace": Laplace,
    "bounded": Bounded,
}


def to_json(mechanism: Mechanism) -> dict[str, str | float]:
    """Write a mechanism as plain values; `from_json` reads it back."""
    kind = next(name for name, known in KINDS.items() if isinstance(mechanism, known))
    return {"kind": kind, **asdict(mechanism)}


def from_json(plain: Mapping[str, str | float]) -> Mechanism:
    """Read what `to_json` wrote; UsageError for a kind that this version does not know."""
    values = dict(plain)
    kind = KINDS.get(str(values.pop("kind", "")))
    if kind is None:
        raise UsageError("a charge names a mechanism that is not known: use a newer tutela")
    return kind(**values)  # type: ignore[arg-type]  # written by `to_json`


def tally(mechanisms: Iterable[Mechanism]) -> dict[Mechanism, int]:
    """Count how often each was drawn, so that the same draws are told as the same, however said."""
    times: dict[Mechanism, int] = {}
    for one in mechanisms:
        once, count = _apart(one)
        times[once] = times.get(once, 0) + count
    return times


def repeat(times: Iterable[tuple[Mechanism, int]]) -> Iterator[Mechanism]:
    """Undo `tally`: give mechanisms that were drawn so often together."""
    for one, count in times:
        if isinstance(one, Bounded):
            yield from (one for _ in range(count))
        else:
            yield replace(one, count=count)


def _apart(mechanism: Mechanism) -> tuple[Mechanism, int]:
    """Part a mechanism from how often it was drawn; a sample of everybody is no sample."""
    match mechanism:
        case Gaussian(noise_multiplier=noise, count=count):
            return Gaussian(noise), count
        case SampledGaussian(noise_multiplier=noise, probability=1, count=count):
            return Gaussian(noise), count
        case SampledGaussian(noise_multiplier=noise, probability=probability, count=count):
            return SampledGaussian(noise, probability), count
        case Laplace(epsilon=epsilon, count=count):
            return Laplace(epsilon), count
        case Bounded():
            return mechanism, 1
        case _:
            assert_never(mechanism)
