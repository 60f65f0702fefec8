"""Noise that is not what was asked for is found, and honest noise is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tasks.attack.release_noise import (
    COMPARED,
    Noise,
    find_least_scale,
    find_noise_faults,
    has_scale,
    has_shape,
    measure_scale,
    repeats,
)

DEVIATION = 2.0**22
ALARM = 1e-4


def draw(*values: int, fits: int = 80, seed: int = 3) -> list[Noise]:
    """Draw honest noise of releases of so many values each."""
    generator = np.random.default_rng(seed)
    return [np.rint(generator.normal(0, DEVIATION, (fits, n))) / DEVIATION for n in values]


def find(noise: list[Noise], alarm: float = ALARM) -> list[tuple[int, str]]:
    """Give what is found."""
    return [*find_noise_faults(noise, [DEVIATION] * len(noise), alarm)]


def test_honest_noise_is_found_wrong_no_oftener_than_is_allowed() -> None:
    """Of 400 draws at an error of 5 % at most 30 are: more has a chance of one in a hundred."""
    wrong = sum(bool(find(draw(1, 6, 3, 3, seed=turn), 0.05)) for turn in range(400))
    assert wrong <= 30


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.9])
def test_noise_of_another_scale_is_found_where_it_is(place: int, scale: float) -> None:
    """In one value a fit, or in many."""
    noise = draw(1, 9, 4, 4)
    noise[place] = noise[place] * scale
    ((where, fault),) = find(noise)
    assert (where, "times the claimed noise" in fault) == (place, True)


def test_noise_that_is_mostly_nothing_is_not_gaussian() -> None:
    """Its variance is right: four times as much, a quarter of the time."""
    (whole,) = draw(5)
    rare = whole * (np.random.default_rng(1).random(whole.shape) < 1 / 4)
    rare /= measure_scale(rare)
    assert has_scale(rare, ALARM)
    assert not has_shape(rare, ALARM)
    assert has_shape(whole, ALARM)


def test_noise_of_another_fit_is_found_by_its_steps() -> None:
    """A single number that returns is chance enough in many; an array that returns is not."""
    (one,) = draw(40)
    again = one.copy()
    again[7] = one[3]
    steps = np.rint(one * DEVIATION)
    assert not repeats(steps, DEVIATION, ALARM)
    assert repeats(np.rint(again * DEVIATION), DEVIATION, ALARM)
    assert find([again]) == [(0, "the same noise again in another fit")]


@pytest.mark.parametrize("sign", [1, -1, 0.8])
def test_noise_of_another_release_is_found_also_where_it_is_turned_or_mixed(sign: float) -> None:
    """Of the same fit or of the one before."""
    for before in (0, 1):
        noise = draw(1, 4, 4)
        mixed = sign * np.roll(noise[1], before, axis=0)
        noise[2] = mixed + np.sqrt(1 - sign**2) * noise[2]
        assert (2, "noise that goes with that of release 2") in find(noise)


def test_a_part_that_repeats_is_found_among_the_first_values() -> None:
    """As many are compared as the shorter has: of the number of people but one."""
    for earlier, values in ((0, 1), (1, COMPARED // 2)):
        noise = draw(1, 2 * COMPARED, 2 * COMPARED)
        noise[2][:, :values] = noise[earlier][:, :values]
        assert [where for where, _ in find(noise)] == [2]


def test_the_stated_share_is_told_from_honest_noise_four_times_in_five() -> None:
    """Over 300 draws of noise of that scale, within chance."""
    share = find_least_scale(80, 5, ALARM, 0.8)
    generator = np.random.default_rng(4)
    each = ALARM / 4 / 5
    found = [not has_scale(share * generator.normal(size=(80, 1)), each) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 300))
    assert norm.cdf(1) > share > 0.5
