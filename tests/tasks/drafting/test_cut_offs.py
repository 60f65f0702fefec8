"""Bins of measurements are those that are published, which no data can tell anything of."""

from __future__ import annotations

from itertools import pairwise

import pytest

from expectations.policy.treatments import Bin
from tasks.drafting.cut_offs import read_cut_offs
from tasks.drafting.deciding import propose_published
from tasks.drafting.profile import Profile
from tests.tasks.drafting.test_drafting_profile import profile_of


def edges_of(profile: Profile) -> tuple[float, ...]:
    """Give the edges that are proposed."""
    made = propose_published(profile, None)
    assert made is not None
    assert isinstance(made[1], Bin)
    return made[1].edges


@pytest.mark.parametrize(
    ("name", "numbers", "edges"),
    [
        ("BMI", [15 + n / 10 for n in range(300)], (18.5, 25, 30, 35, 40)),
        ("hba1c", [4 + n / 50 for n in range(300)], (5.7, 6.5, 8)),
        ("hba1c_mmol", [25 + n / 3 for n in range(300)], (39, 48, 64)),
        ("systolic_pressure", [80 + n % 120 for n in range(300)], (90, 120, 130, 140, 160, 180)),
    ],
)
def test_a_measurement_has_its_published_cut_offs(
    name: str, numbers: list[float], edges: tuple[float, ...]
) -> None:
    """By name and unit; and all of them, so that what is written follows from no row."""
    assert edges_of(profile_of([*map(str, numbers)], name)) == edges


def test_numbers_in_another_unit_are_binned_as_any_other() -> None:
    """A name tells no unit: a BMI of 250 is none."""
    assert propose_published(profile_of([str(150 + n) for n in range(300)], "bmi"), None) is None


def test_every_list_rises_and_lies_between_its_bounds() -> None:
    """And says where it is published."""
    for one in read_cut_offs():
        assert all(low < high for low, high in pairwise((one.low, *one.edges, one.high)))
        assert one.source
        assert one.words
