"""A group is a class when it has k people and each model holds, as a plain loop over it says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)
from tasks.anonymization.requirement import Requirement, rank_values

GAP = 1e-9
VALUES = [1, 2, 3, 10]


def holds(model: PrivacyModel, own: list[int], table: list[int]) -> bool:
    """Say by the definition whether one class, its people's values listed, meets a model."""
    count, every = Counter(own), Counter(table)
    p = {value: count[value] / len(own) for value in every}
    q = {value: every[value] / len(table) for value in every}
    falling = sorted(count.values(), reverse=True)
    match model:
        case DistinctLDiversity(l=least):
            return len(count) >= least
        case EntropyLDiversity(l=least):
            return -sum(s * math.log(s) for s in p.values() if s) >= math.log(least) - GAP
        case RecursiveLDiversity(c=c, l=least):
            return falling[0] < c * sum(falling[least - 1 :]) - GAP
        case TCloseness(distance="equal", t=t):
            return sum(abs(p[v] - q[v]) for v in every) / 2 <= t + GAP
        case TCloseness(t=t):
            order = sorted(every)
            moved = [sum(p[v] - q[v] for v in order[: i + 1]) for i in range(len(order))]
            return sum(map(abs, moved)) / max(len(order) - 1, 1) <= t + GAP
        case BetaLikeness(beta=beta, enhanced=enhanced):
            most = {v: min(beta, -math.log(q[v])) if enhanced else beta for v in every}
            return all((p[v] - q[v]) <= most[v] * q[v] + GAP for v in every)
        case DeltaDisclosure(delta=delta):
            return all(p[v] and abs(math.log(p[v] / q[v])) < delta - GAP for v in every)
        case AlphaK(alpha=alpha):
            return max(p.values()) <= alpha + GAP


LIMIT = st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.75])
MODELS = st.one_of(
    st.builds(DistinctLDiversity, l=st.integers(2, 4)),
    st.builds(EntropyLDiversity, l=st.sampled_from([1.5, 2.0, 3.0])),
    st.builds(RecursiveLDiversity, c=st.sampled_from([0.1, 0.5, 1.0, 3.0]), l=st.integers(2, 3)),
    st.builds(TCloseness, t=LIMIT, distance=st.sampled_from(["equal", "ordered"])),
    st.builds(BetaLikeness, beta=st.sampled_from([0.5, 1.0, 3.0]), enhanced=st.booleans()),
    st.builds(DeltaDisclosure, delta=st.sampled_from([0.5, 1.0, math.log(2), 3.0])),
    st.builds(AlphaK, alpha=LIMIT),
)
ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(VALUES), st.integers(1, 4)),
    min_size=1,
    max_size=12,
)


def require(
    rows: Sequence[tuple[int, int, int]], k: int, models: Sequence[PrivacyModel]
) -> Requirement:
    """Make a requirement of (tuple, value, people) rows; each tuple number has a row."""
    histogram = pd.DataFrame(rows, columns=["tuple", "illness", "_people"])
    number = histogram["tuple"].to_numpy(np.int64)
    return Requirement.from_histogram(histogram, number, k, {"illness": models})


@given(
    rows=ROWS,
    models=st.lists(MODELS, max_size=3),
    k=st.integers(1, 6),
    groups=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    asked=st.sets(st.integers(0, 4), min_size=1),
)
def test_groups_are_judged_by_the_definitions(
    rows: list[tuple[int, int, int]],
    models: list[PrivacyModel],
    k: int,
    groups: list[int],
    asked: set[int],
) -> None:
    """Of the tuples asked about, each group meets k and every model exactly as a loop finds."""
    members = np.array(sorted(asked & {tuple_ for tuple_, _, _ in rows}), dtype=np.int64)
    group = np.array(groups)[members]
    own: list[list[int]] = [[], [], []]
    for tuple_, value, people in rows:
        if tuple_ in members:
            own[groups[tuple_]].extend([value] * people)
    table = [value for _, value, people in rows for _ in range(people)]

    met = require(rows, k, models).met(members, group, 3)

    assert met.tolist() == [
        len(values) >= k and all(holds(model, values, table) for model in models) for values in own
    ]


@given(rows=ROWS, model=MODELS)
def test_two_classes_that_meet_a_model_meet_it_as_one(
    rows: list[tuple[int, int, int]], model: PrivacyModel
) -> None:
    """What lets a search merge classes without asking again."""
    members = np.array(sorted({tuple_ for tuple_, _, _ in rows}))
    required = require(rows, 1, [model])
    alone = members[required.met(members, np.arange(len(members)), len(members))]

    assert len(alone) == 0 or required.met(alone, np.zeros_like(alone), 1).all()


@given(rows=ROWS, model=MODELS)
def test_many_values_are_counted_as_few_are(
    rows: list[tuple[int, int, int]], model: PrivacyModel
) -> None:
    """The sparse count of a column of very many values gives what the dense one gives."""
    rare = [(5, 1_000 + at, 1) for at in range(2_000)]
    everyone = [value for _, value, people in [*rows, *rare] for _ in range(people)]
    members = np.array(sorted({tuple_ for tuple_, _, _ in rows}))
    own = [[v for t, v, n in rows if t == tuple_ for _ in range(n)] for tuple_ in members]

    met = require([*rows, *rare], 1, [model]).met(members, np.arange(len(members)), len(members))

    assert met.tolist() == [holds(model, values, everyone) for values in own]


def test_every_sensitive_column_must_hold() -> None:
    """A class that is diverse in one column and uniform in another is no class."""
    histogram = pd.DataFrame({"a": ["x", "y"], "b": ["u", "u"], "_people": [3, 3]})
    two = (DistinctLDiversity(l=2),)
    number, members, group = np.array([0, 0]), np.array([0]), np.array([0])

    one = Requirement.from_histogram(histogram, number, 5, {"a": two, "b": ()})
    both = Requirement.from_histogram(histogram, number, 5, {"a": two, "b": two})

    assert one.met(members, group, 1).tolist() == [True]
    assert both.met(members, group, 1).tolist() == [False]


@pytest.mark.parametrize(
    ("model", "compares"),
    [
        (TCloseness(t=0.3), True),
        (BetaLikeness(beta=1), True),
        (DeltaDisclosure(delta=1), True),
        (AlphaK(alpha=0.5), False),
        (EntropyLDiversity(l=2), False),
    ],
)
def test_a_requirement_says_whether_it_compares_with_the_table(
    model: PrivacyModel, *, compares: bool
) -> None:
    """If any model of any column does, a class cannot be judged by its own people alone."""
    assert require([(0, 1, 2)], 1, [DistinctLDiversity(l=2), model]).compares == compares
    assert not require([(0, 1, 2)], 1, []).compares


def test_missing_is_a_value_of_its_own() -> None:
    """A class of one value and of missing ones has two values, and the table too."""
    histogram = pd.DataFrame({"a": ["x", None, np.nan], "_people": [2, 1, 1]})
    number = np.array([0, 0, 1])
    required = Requirement.from_histogram(histogram, number, 2, {"a": [DistinctLDiversity(l=2)]})

    assert required.met(np.array([0, 1]), np.array([0, 0]), 1).tolist() == [True]
    assert len(required.sensitive[0].share) == 2


def test_the_reference_may_be_those_who_are_kept() -> None:
    """Once the tuple with the odd value is left out, the rest is as the table is."""
    required = require([(0, 1, 2), (0, 2, 2), (1, 3, 4)], 1, [DeltaDisclosure(delta=0.1)])
    kept = np.array([0])

    assert not required.met(kept, np.array([0]), 1).any()
    assert required.within(kept).met(kept, np.array([0]), 1).all()


@pytest.mark.parametrize("distance", ["equal", "ordered"])
def test_values_outside_the_reference_are_far_from_it(distance: str) -> None:
    """A tuple that was left out is judged against the kept, not refused by an error."""
    asked = TCloseness.model_validate({"t": 0.5, "distance": distance})
    required = require([(0, 1, 2), (0, 2, 2), (1, 3, 4)], 1, [asked]).within(np.array([0]))

    assert required.met(np.array([1]), np.array([0]), 1).tolist() == [distance == "ordered"]


def test_no_people_meet_nothing() -> None:
    """A group without members, and a table without rows, are no class."""
    required = require([(0, 1, 2), (0, 2, 2)], 1, [DistinctLDiversity(l=2)])
    nobody = np.array([], dtype=np.int64)

    assert required.met(np.array([0]), np.array([1]), 3).tolist() == [False, True, False]
    assert require([], 1, [AlphaK(alpha=0.5)]).met(nobody, nobody, 0).tolist() == []


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        pytest.param([10, 9, np.nan], [1, 0, 2], id="numbers, missing last"),
        pytest.param(["b", "a", "B"], [2, 1, 0], id="texts"),
        pytest.param([10, 9, None, "9"], [0, 1, 2, 1], id="mixed, by label"),
        pytest.param(pd.to_datetime(["1970-01-02", "", "1969-12-31"]), [1, 2, 0], id="dates"),
        pytest.param(pd.Categorical(["lo", "hi"], ["lo", "hi"], ordered=True), [0, 1], id="order"),
        pytest.param(pd.Categorical(["lo", "hi"], ["lo", "hi"]), [1, 0], id="no order"),
        pytest.param([True, False], [1, 0], id="booleans"),
    ],
)
def test_values_stand_in_their_declared_order(values: object, ranks: list[int]) -> None:
    """Ordered categories as declared, the rest sorted; a missing value stands last."""
    assert rank_values(pd.Series(values))[0].tolist() == ranks


def test_rows_in_another_order_change_nothing() -> None:
    """The counts are the same arrays, whatever order the rows came in."""
    histogram = pd.DataFrame({"a": list("xyzx"), "_people": [1, 2, 3, 4]})
    number = np.array([0, 0, 1, 1])
    asked = {"a": [TCloseness(t=0.3)]}
    there = Requirement.from_histogram(histogram, number, 2, asked).sensitive[0]
    back = Requirement.from_histogram(histogram[::-1], number[::-1], 2, asked).sensitive[0]

    for name in ("start", "value", "people", "share"):
        assert getattr(there, name).tolist() == getattr(back, name).tolist()
