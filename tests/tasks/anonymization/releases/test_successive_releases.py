"""Two releases of one table, subtracted from each other, set nobody apart from fewer than k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from expectations.policy.outlets import TableOutlet
from tasks.anonymization.releases import decoys
from tasks.anonymization.releases.difference_attack import (
    Isolated,
    Row,
    isolate,
    read_rows,
    subtract,
)
from tasks.anonymization.releases.release import Past
from tasks.anonymization.releases.succession import (
    CountedRows,
    Counts,
    compare,
    hold_back,
    release_again,
)
from tasks.handover.readiness import table_content
from tasks.people.ingestion import RECORD
from tests.tasks.anonymization.releases.release_waves import (
    OUTLET,
    PLAIN,
    START,
    K,
    Person,
    choose,
    count,
    fitted,
    observe,
    observe_each,
    people,
    release_all,
    wave,
)


def test_without_repair_a_difference_sets_one_person_apart() -> None:
    """Each of three releases is 3-anonymous; their differences show who came and who left."""
    plan = fitted(*START)
    joined = [*START, (80, 0, 0, 2)]
    left = [one for one in joined if one[0] != 8]
    seen = [observe(plan.apply(people(some)), OUTLET) for some in (START, joined, left)]
    for table in seen:
        sizes: Counter[Row] = Counter()
        for (labels, _), number in table.items():
            sizes[labels] += number
        assert min(sizes.values()) >= K
    assert Isolated("added", 1) in isolate(seen[0], seen[1], K)
    (new,) = seen[1] - seen[0]
    assert new == (("0-9", "a"), ("new",))
    assert Isolated("gone", 1) in isolate(seen[1], seen[2], K)


def test_with_repair_the_same_attack_finds_nobody() -> None:
    """The newcomer waits; the one who withdrew leaves together with others."""
    plan = fitted(*START)
    joined = [*START, (80, 0, 0, 2)]
    left = [one for one in joined if one[0] != 8]
    made = release_all([START, joined, left], OUTLET, plan)
    seen = [observe(frame, OUTLET) for frame in made]
    assert seen[1] == seen[0]
    assert 8 not in made[2][RECORD].tolist()
    assert not any(
        isolate(one, other, K) for place, one in enumerate(seen) for other in seen[place + 1 :]
    )
    assert (seen[0] - seen[2]).total() == K


def test_newcomers_leave_once_k_have_come() -> None:
    """Two wait, three are released."""
    plan = fitted(*START)
    two, three = ([*START, *((80 + n, 0, 0, 2) for n in range(number))] for number in (2, 3))
    first, second, third = release_all([START, two, three], OUTLET, plan)
    assert (len(first), len(second), len(third)) == (64, 64, 67)


FEW_OR_MANY = st.sampled_from([decoys.SHARE, 0.2])
"""So that of 64 people nobody seems to leave with those who leave, or some four do."""


@given(st.lists(wave, min_size=1, max_size=5), st.sampled_from([OUTLET, PLAIN]), FEW_OR_MANY)
def test_no_difference_of_any_two_releases_is_between_one_and_k(
    waves: list[list[Person]], outlet: TableOutlet, share: float
) -> None:
    """Whoever comes, leaves or changes: rows added, gone and common are none or at least k."""
    plan = fitted(*START)
    with patch.object(decoys, "SHARE", share):
        made = release_all([START, *waves], outlet, plan)
    seen = [observe(frame, outlet) for frame in made]
    for place, one in enumerate(seen):
        assert all(found.people >= K for found in subtract(Counter(), one))
        for other in seen[place + 1 :]:
            assert isolate(one, other, K) == []


FOUND_MORE = [
    *(one for one in START if one[0] not in {
        1, 3, 5, 6, 7, 11, 16, 19, 22, 26, 29, 32, 33, 34, 35, 36, 40, 44, 51, 52, 53, 55, 57, 59,
        62,
    }),
    (75, 3, 1, 0), (73, 1, 0, 0), (109, 3, 1, 2), (102, 0, 0, 2), (107, 1, 1, 0), (77, 2, 0, 2),
    (89, 0, 0, 1), (120, 2, 0, 1), (112, 3, 1, 1), (114, 3, 1, 0), (76, 2, 1, 1), (90, 2, 1, 2),
    (110, 1, 0, 0), (119, 1, 0, 2), (88, 0, 1, 1), (81, 0, 1, 1), (115, 3, 1, 2), (99, 3, 0, 0),
    (83, 3, 1, 2), (85, 3, 0, 1),
], [
    *(one for one in START if one[0] not in {
        2, 3, 4, 8, 9, 10, 11, 15, 18, 19, 21, 24, 25, 26, 28, 29, 30, 32, 33, 38, 39, 44, 47, 48,
        50, 53, 55, 56, 58, 59, 60, 61, 62, 63,
    }),
    (115, 1, 0, 2), (66, 1, 1, 1), (118, 1, 0, 0), (68, 1, 0, 2), (73, 2, 0, 0), (105, 1, 1, 2),
    (78, 2, 1, 2), (89, 3, 1, 2), (103, 2, 1, 1), (90, 1, 1, 1), (100, 2, 1, 0), (92, 0, 0, 2),
    (114, 2, 0, 1), (74, 3, 0, 2), (102, 1, 0, 2), (64, 1, 0, 1), (70, 3, 0, 0), (120, 1, 1, 1),
    (104, 2, 1, 1), (88, 1, 0, 2), (109, 2, 1, 1),
]  # fmt: skip
"""Two waves of people after whose release a search beside it once found five people more."""
CAME = [64, 65, 68, 66, 67, 71, 70, 69, 73, 72, 76, 74, 75, 77, 78, 80, 81, 79, *range(82, 88)]
WAITED = [
    [*START],
    [
        *(one for one in START if one[0] > 20 and one[0] != 23),
        *((one, int(one in {64, 65, 67, 70, 80, 81}), int(one in {64, 65, 81}), 0) for one in CAME),
    ],
]
"""Newcomers who waited for company beside the first release once left with the next run."""


@given(st.lists(wave, min_size=1, max_size=4), st.sampled_from([OUTLET, PLAIN]), FEW_OR_MANY)
@example([*FOUND_MORE], OUTLET, decoys.SHARE)
@example(WAITED, OUTLET, 0.2)
def test_the_same_people_again_give_the_same_release(
    waves: list[list[Person]], outlet: TableOutlet, share: float
) -> None:
    """A run that is repeated hands over the very rows of the run before."""
    plan = fitted(*START)
    with patch.object(decoys, "SHARE", share):
        made = release_all([START, *waves, waves[-1]], outlet, plan)
    pd.testing.assert_frame_equal(made[-1], made[-2])


@given(wave, st.randoms())
def test_the_order_of_people_changes_nothing(drawn: list[Person], order: object) -> None:
    """Whoever stands first in the source is no likelier to be left out."""
    plan = fitted(*START)
    past = Past((count(plan.apply(people(START)), OUTLET),))
    mixed = sorted(drawn, key=lambda _: order.random())  # type: ignore[attr-defined]  # Hypothesis's
    one, other = (choose(people(some), OUTLET, plan, past) for some in (drawn, mixed))
    assert sorted(one[RECORD]) == sorted(other[RECORD])


def regions_of(
    one: Sequence[tuple[Row, Row]], other: Sequence[tuple[Row, Row]]
) -> list[tuple[set[Row], set[Row]]]:
    """Join classes of two tables as long as they share a person, by sets alone."""
    found: list[tuple[set[Row], set[Row]]] = []
    for new, old in {(new, old) for (new, _), (old, _) in zip(one, other, strict=True)}:
        mine = [region for region in found if new in region[0] or old in region[1]]
        rest = [region for region in found if region not in mine]
        joined = ({new}, {old})
        for region in mine:
            joined = (joined[0] | region[0], joined[1] | region[1])
        found = [*rest, joined]
    return found


def merge_tails(rows: Counter[tuple[Row, Row]]) -> Counter[tuple[Row, Row]]:
    """Count a region's rows by their tails alone."""
    merged: Counter[tuple[Row, Row]] = Counter()
    for (_, tail), number in rows.items():
        merged[(), tail] += number
    return merged


@given(wave, wave)
def test_under_another_plan_no_region_that_both_describe_shows_a_few(
    before: list[Person], after: list[Person]
) -> None:
    """The new period's plan cuts the same people otherwise; unions of classes still compare."""
    old, new = fitted(*START), fitted(*after, *START[:9])
    earlier = choose(people(before), OUTLET, old)
    now = people(after)
    made = choose(now, OUTLET, new, Past((), ((count(earlier, OUTLET), old),)))
    both = new.apply(now).index.intersection(old.apply(now).index)
    pairs = [list(observe_each(plan.apply(now).loc[both], OUTLET)) for plan in (new, old)]
    for news, olds in regions_of(pairs[0], pairs[1]):
        sides = [
            Counter({row: n for row, n in observe(frame, OUTLET).items() if row[0] in labels})
            for frame, labels in ((earlier, olds), (made, news))
        ]
        tails = [merge_tails(side) for side in sides]
        assert isolate(tails[0], tails[1], K) == []


def test_rows_are_counted_as_the_file_shows_them() -> None:
    """From the frame before it is written, and from the file afterwards, also of odd texts."""
    frame = pd.DataFrame(
        {
            RECORD: np.arange(6, dtype=np.uint64),
            "age": pd.Categorical(["a", "a", "b", None, "b", "a"]),
            "note": ["x", 'q"u,o', "two\nlines", None, "", "x"],
            "half": [0.5, 65.0, np.nan, 1e-7, 2.0, 0.5],
        }
    )
    columns = ["age", "note", "half"]
    counted, number = CountedRows.from_frame(frame, {c: c for c in columns}, ["age"])
    written = table_content(pa.Table.from_pandas(frame, preserve_index=False))
    read = CountedRows.from_csv(written, ["age"])
    rows = read.select(columns)
    assert (rows, read.counts.tolist()) == (counted.select(columns), counted.counts.tolist())
    assert CountedRows.from_bytes(read.to_bytes()).to_bytes() == counted.to_bytes()
    assert counted.counts[number].tolist() == [2, 1, 1, 1, 1, 2]
    assert read_rows(written, ["age"]) == Counter(
        {((row[0],), row[1:]): n for row, n in zip(rows, read.counts.tolist(), strict=True)}
    )


def test_nobody_is_released_from_nobody() -> None:
    """A table without people is empty, before and after others."""
    made = release_all([[], START, []], OUTLET, fitted(*START))
    assert [len(frame) for frame in made] == [0, 64, 0]


TEXTS = tuple((town, ill) for town in "ab" for ill in ("no", "yes"))


def count_rows(*counts: int) -> CountedRows:
    """Give so many people of each of the four rows, in classes by town."""
    there = [(text, number) for text, number in zip(TEXTS, counts, strict=True) if number]
    found, numbers = zip(*there, strict=True)
    texts = {
        name: pa.chunked_array([list(column)])
        for name, column in zip(("town", "ill"), zip(*found, strict=True), strict=True)
    }
    return CountedRows.from_texts(texts, ["town"], np.array(numbers))[0]


def meet_all(_: Counts) -> NDArray[np.bool_]:
    """Ask nothing of the two classes."""
    return np.ones(2, dtype=bool)


def allow_all(counts: Counts) -> NDArray[np.bool_]:
    """Ask nothing of the rows."""
    return np.ones(len(counts), dtype=bool)


def test_a_release_that_was_found_once_is_found_again() -> None:
    """What left before may leave again, though a search from the start would find less by now."""
    present, other = count_rows(3, 2, 0, 3), count_rows(0, 2, 2, 2)
    everybody = compare(present, other, ([0] * 3, [0] * 3))
    first = hold_back(present, K, [everybody], (meet_all, allow_all), np.random.default_rng(16))
    last = compare(present, present.keep(first))
    found = hold_back(
        present, K, [last, everybody], (meet_all, allow_all), np.random.default_rng(16)
    )
    assert found.sum() < first.sum()
    assert release_again(present, found, last).tolist() == first.tolist()


def test_whoever_leaves_alone_is_one_of_k_to_those_who_know_how_others_were_picked() -> None:
    """Of nine in a class one is ill; whoever knows that Ada left, and sees an ill row go.

    Two go with her. Were they picked from the most frequent rows, the ill row would be hers.
    """
    before, hers = count_rows(8, 1, 9, 0), []
    for seed in range(600):
        ill = seed % 9 == 0
        present = count_rows(8, 0, 9, 0) if ill else count_rows(7, 1, 9, 0)
        draw = np.random.default_rng(seed)
        left = hold_back(present, K, [compare(present, before)], (meet_all, allow_all), draw)
        seen = dict(zip(present.select(present.columns), left.tolist(), strict=True))
        assert sum(seen.values()) == 18 - K
        if not seen.get(("a", "yes")):
            hers.append(ill)
    assert np.mean(hers) == pytest.approx(1 / K, abs=0.08)
