"""What is told at thresholds follows from published counts, and of no few people between two."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Count, Disclosure
from ledgers.home.home import Home
from ledgers.vault.stages import Validated
from tasks.account.findings import Found, read_quality
from tasks.account.measured import AtThreshold, Calibration
from tasks.representation.raking import WEIGHT
from tasks.training.quality import Scored, publish_calls
from tasks.training.thresholds import (
    THRESHOLDS,
    count_above,
    find_width,
    publish_above,
    tell_calibration,
    tell_rates,
)
from tasks.training.train import train
from tests.conftest import Folder, opened
from tests.tasks.training.test_weighted_training import people as rows_of_people

RULE = Disclosure(b"k" * 32)
RANGES = tuple(pairwise((0.0, *THRESHOLDS, 1.0)))
BINS = tuple((low + high) / 2 for low, high in RANGES)
"""A score between each two thresholds."""
Told = tuple[list[AtThreshold], list[Calibration]]


def people(positives: list[int], negatives: list[int]) -> Scored:
    """Give so many people of each class between thresholds, the lowest scores first."""
    scores = np.repeat([*BINS, *BINS], [*positives, *negatives])
    return Scored(scores, np.arange(len(scores)) < sum(positives))


def tell(scored: Scored, rule: Disclosure = RULE) -> Told:
    """Give all that is told of people at thresholds."""
    calls = publish_calls(scored, rule)
    above = publish_above(count_above(scored), calls, rule)
    return list(tell_rates(above, calls)), list(tell_calibration(above, calls))


SIZES = st.lists(st.integers(0, 60) | st.integers(0, 900), min_size=len(BINS), max_size=len(BINS))
FEW_OF_MANY = people([10, 10, 20, 20, 40, 50, 50], [400, 200, 100, 50, 30, 10, 10])


def test_the_rates_are_those_of_people_above_each_threshold() -> None:
    """Counted by hand, where whole tens are published as they are."""
    rates, risks = tell(FEW_OF_MANY)

    assert [one.threshold for one in rates] == list(THRESHOLDS)
    assert [one.true_positive_rate for one in rates] == [0.95, 0.9, 0.8, 0.7, 0.5, 0.25]
    assert [one.false_positive_rate for one in rates] == [0.5, 0.25, 0.12, 0.06, 0.03, 0.01]
    assert [one.observed for one in risks] == [0.02, 0.05, 0.17, 0.29, 0.57, 0.83, 0.83]
    assert all(one.observed_low < one.observed < one.observed_high for one in risks)


@given(SIZES, SIZES, st.lists(st.integers(-9, 9), min_size=2 * len(BINS), max_size=2 * len(BINS)))
def test_all_that_is_told_is_a_function_of_published_counts(
    positives: list[int], negatives: list[int], shifts: list[int]
) -> None:
    """Other people of whom the same counts are published are told of alike."""
    scored, moves = people(positives, negatives), iter(shifts)

    def move(count: Count) -> Count:
        other = Count(max(count.exact + next(moves), 0))
        return other if RULE.publish(other) == RULE.publish(count) else count

    counts, calls = count_above(scored), publish_calls(scored, RULE)
    others = {at: {n: move(count) for n, count in pair.items()} for at, pair in counts.items()}
    above = publish_above(others, calls, RULE)
    assert (list(tell_rates(above, calls)), list(tell_calibration(above, calls))) == tell(scored)


@given(SIZES, SIZES, st.sampled_from([10, 20, 50]))
def test_ten_people_or_more_lie_between_what_is_told(
    positives: list[int], negatives: list[int], hidden: int
) -> None:
    """Whatever their outcome: as many as counts are hidden under."""
    scored = people(positives, negatives)
    rates, risks = tell(scored, Disclosure(b"k" * 32, hidden))

    cuts = [0.0, *(one.threshold for one in rates), 1.0]
    for low, high in pairwise(cuts if rates else ()):
        assert ((scored.scores > low) & (scored.scores <= high)).sum() >= hidden
    assert [(one.low, one.high) for one in risks] == (list(pairwise(cuts)) if rates else [])


@pytest.mark.parametrize("few", [0, 1])
def test_a_class_published_as_fewer_than_fifty_has_no_picture(few: int) -> None:
    """However many the other has; a run with fewer than fifty people of a class is refused."""
    sizes = [[5, 5, 5, 5, 5, 5, 5], [300, 200, 100, 50, 50, 50, 50]]
    assert tell(people(sizes[few], sizes[1 - few])) == ([], [])


def test_a_person_of_weight_counts_as_their_share_of_the_heaviest() -> None:
    """Equal weights change nothing, however large; of half the weight there are half as many."""
    count = len(FEW_OF_MANY.scores)
    assert tell(FEW_OF_MANY._replace(weights=np.full(count, 7.0))) == tell(FEW_OF_MANY)
    light = np.where(FEW_OF_MANY.scores == BINS[0], 0.5, 1.0)
    found = count_above(FEW_OF_MANY._replace(weights=light))
    assert found == count_above(FEW_OF_MANY)
    rates, _ = tell(FEW_OF_MANY._replace(weights=light))
    assert rates[0].false_positive_rate == pytest.approx(400 / 600, abs=0.02)


@pytest.mark.parametrize("size", [700, 12_000], ids=["in tens", "in wider steps"])
def test_the_intervals_hold_as_often_as_they_say(size: int) -> None:
    """Over draws of test people and of the home's key."""
    rng, held, told = np.random.default_rng(11), 0, 0
    true = np.array([0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.85])
    for draw in range(250):
        sizes = rng.multinomial(size, np.full(7, 1 / 7))
        sick = rng.binomial(sizes, true)
        _, risks = tell(
            people(list(sick), list(sizes - sick)), Disclosure(draw.to_bytes(32, "big"))
        )
        for one in risks:
            if (one.low, one.high) in RANGES:
                wanted = true[RANGES.index((one.low, one.high))]
                told += 1
                held += one.observed_low <= wanted <= one.observed_high
    assert told > 1_000
    assert held / told >= 0.94


@pytest.mark.parametrize(("count", "step"), [(60, 10), (990, 10), (1_000, 20), (20_400, 400)])
def test_many_people_are_told_of_in_steps_of_a_fiftieth(count: int, step: int) -> None:
    """So that one who leaves seldom changes a figure, and a rate is off by a hundredth at most."""
    assert find_width(RULE.publish(Count(count))) == step


def test_the_step_notes_what_may_be_told_and_seals_the_counts(home: Home, folder: Folder) -> None:
    """The rates stand in the evidence as the report reads them, exact counts under its seal."""
    assert home.vault.is_dir()
    frame = rows_of_people().drop(columns=WEIGHT)
    with opened(folder.write()) as run:
        train(run.vault.store(Validated, pa.Table.from_pandas(frame, preserve_index=False)))
        entries = run.ledger.entries(run.id)
        (noted,) = (one for one in entries if one.name == "utility.thresholds")
        sealed = run.ledger.unseal(noted)
    quality = read_quality(Found(entries))
    assert quality is not None
    assert [one.threshold for one in quality.thresholds] == [0.3, 0.5, 0.7]
    assert [one.low for one in quality.calibration] == [0.0, 0.3, 0.5, 0.7]
    assert isinstance(sealed, dict)
    assert set(sealed) == {f"{at:g}" for at in THRESHOLDS}
