"""The search for clusters as steps: any number of them gives a plan, and more never a worse one."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from expectations.errors import UsageError
from expectations.measures.measures import k_anonymity
from tasks.anonymization import clusters, k_anonymize
from tasks.anonymization.annealing import Annealing, Ranks
from tasks.anonymization.cluster_growth import grow
from tasks.anonymization.clusters import Effort, cluster
from tasks.anonymization.marks import UNIT, Marks, project
from tasks.anonymization.neighbours import find_neighbours
from tasks.anonymization.recoding import Recoded
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Tuples

STEPS = np.array([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]])
COLUMNS = [f"c{number}" for number in range(12)]
LABELS = pd.DataFrame(
    [["0", "low", "*"], ["1", "low", "*"], ["2", "high", "*"], ["3", "high", "*"]]
)


def people(seed: int, rows: int = 240) -> pd.DataFrame:
    """People of eight kinds in twelve columns, with noise: more vectors than can be listed."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, (8, 12))[random.integers(0, 8, rows)]
    noise = random.random(kind.shape) < 0.3
    codes = np.where(noise, random.integers(0, 4, kind.shape), kind)
    return pd.DataFrame(codes.astype(str), columns=COLUMNS)


def tuples_of(frame: pd.DataFrame) -> Tuples:
    """Distinct tuples of such people."""
    codes, count = np.unique(frame.to_numpy().astype(np.int64).T, axis=1, return_counts=True)
    return Tuples(codes, count, (STEPS,) * len(codes))


def recode(frame: pd.DataFrame, steps: int = 4, seconds: float | None = None) -> Recoded:
    """Make them 4-anonymous by so many steps."""
    levels = dict.fromkeys(COLUMNS, LABELS)
    return k_anonymize(frame, COLUMNS, 4, hierarchies=levels, steps=steps, seconds=seconds)


def test_more_steps_never_keep_less_and_each_number_of_them_gives_a_plan() -> None:
    """The best that was found stands, whatever later steps try."""
    tuples = tuples_of(people(1))
    marks = Marks.of(tuples, np.zeros(tuples.codes.shape[1], dtype=np.int64), 4)
    kept = []
    for steps in (0, 2, 3, 4, 7):
        found = cluster(tuples, Requirement(4, tuples.people), Effort(steps))
        assert np.bincount(found.of[found.of >= 0], tuples.people[found.of >= 0]).min() >= 4
        assert (found.boxes(tuples).first(tuples.codes) == found.of).all()
        here = found.of >= 0
        worth, count = marks.where(here).kept(found.of[here])
        kept.append(float(worth @ count))

    assert all(before <= after for before, after in itertools.pairwise(kept))
    assert kept[-1] > kept[0]


def test_the_same_number_of_steps_gives_the_same_bytes() -> None:
    """In whatever order the people come."""
    frame = people(2)

    one, two = recode(frame, 6), recode(frame.sample(frac=1, random_state=1), 6)

    assert one.plan.to_json() == two.plan.to_json()
    pd.testing.assert_frame_equal(one.frame, two.frame.loc[one.frame.index])
    assert one.steps == two.steps == 6
    assert k_anonymity(one.frame, COLUMNS) >= 4


@pytest.mark.parametrize("allowed", [0, 1, 5])
def test_time_stops_between_steps_at_what_so_many_steps_give(
    monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """A clock on which every step takes one second."""
    ticks = itertools.count()
    monkeypatch.setattr(clusters, "monotonic", lambda: float(next(ticks)))
    frame = people(3)

    stopped = recode(frame, 100, seconds=allowed + 1)

    assert stopped.steps == allowed
    assert stopped.plan == recode(frame, allowed).plan


def test_what_each_step_gives_is_there_before_the_next_begins() -> None:
    """Nothing is found by looking ahead: the first steps are the same whatever the bound."""
    crowd = clusters.Crowd.of(tuples := tuples_of(people(4)), Requirement(4, tuples.people))
    steps = [step for step in itertools.islice(clusters._find(crowd), 6) if step]

    best = max(steps, key=lambda step: crowd.keep(step.of))

    found = cluster(tuples, Requirement(4, tuples.people), Effort(5))
    assert crowd.keep(found.of) == crowd.keep(best.of)


@pytest.mark.parametrize(
    "effort", [{"steps": -1}, {"steps": 1.5}, {"steps": True}, {"seconds": -1.0}]
)
def test_effort_that_cannot_be_meant_is_refused(effort: dict[str, float]) -> None:
    """Steps are counted, and time does not run backwards."""
    with pytest.raises(UsageError, match=next(iter(effort))):
        Effort(**effort)  # type: ignore[arg-type]


def test_few_columns_are_searched_without_steps() -> None:
    """Their search ends by itself, and gives the same under any bound."""
    frame = people(5)[COLUMNS[:2]]

    one, two = (k_anonymize(frame, COLUMNS[:2], 4, steps=steps) for steps in (0, 50))

    assert one.plan == two.plan
    assert one.steps == two.steps == 0


def corners_of(tuples: Tuples) -> np.ndarray:
    """Two corners that know nothing of the rest."""
    return np.arange(tuples.codes.shape[1]) % 2


def test_wandering_keeps_k_people_in_every_cluster_and_corners_apart() -> None:
    """At any temperature; when it has cooled down more is kept than before."""
    tuples = tuples_of(people(6, 600))
    corner = corners_of(tuples)
    marks = Marks.of(tuples, corner, 4)
    points = project(marks)
    of = grow(marks, points)
    annealing = Annealing(tuples, marks, points)

    hot = annealing.wander(of, (30.0, 30.0), 1)
    cold = annealing.wander(of, (0.5, 0.0), 1)

    for found in (hot, cold):
        assert np.bincount(found, tuples.people).min() >= 4
        assert all(len(set(corner[found == number])) == 1 for number in np.unique(found))
    assert (hot != of).any()
    kept = [float(np.dot(*marks.kept(each))) for each in (hot, of, cold)]
    assert kept[0] < kept[1] < kept[2]


def test_who_is_left_over_stays_so_while_others_wander() -> None:
    """They are no cluster that anybody could join."""
    tuples = tuples_of(people(7))
    marks = Marks.of(tuples, np.zeros(tuples.codes.shape[1], dtype=np.int64), 4)
    points = project(marks)
    of = grow(marks, points)
    of[of == of[0]] = -1

    found = Annealing(tuples, marks, points).wander(of, (1.0, 0.0), 1)

    assert ((found == -1) == (of == -1)).all()


def test_places_along_a_hierarchy_tell_what_any_tuples_share() -> None:
    """By the least and the greatest of them, as by all their labels one by one."""
    tuples = tuples_of(people(8))
    marks = Marks.of(tuples, np.zeros(tuples.codes.shape[1], dtype=np.int64), 4)
    ranks = Ranks.of(tuples)
    random = np.random.default_rng(0)

    for _ in range(50):
        some = random.choice(tuples.codes.shape[1], random.integers(1, 5), replace=False)
        same = (marks.id[some] == marks.id[some[0]]).all(axis=0)
        worth = marks.worth[marks.id[some[0]][same]].sum()
        assert ranks.shared(ranks.place[some].min(axis=0)[None])[0] == worth


def test_neighbours_are_those_with_whom_most_is_shared() -> None:
    """Compared with all pairs: in a small table all are looked through."""
    tuples = tuples_of(people(9, 120))
    marks = Marks.of(tuples, corners_of(tuples), 4)

    near, there = find_neighbours(marks, project(marks), 5, 8)

    shared = ((marks.id[:, None] == marks.id[None]) * marks.worth[marks.id]).sum(axis=2)
    apart = (marks.corner[:, None] != marks.corner) | np.eye(len(shared), dtype=bool)
    shared[apart] = -1
    assert there.all()
    assert (marks.corner[near] == marks.corner[:, None]).all()
    found = np.take_along_axis(shared, near, axis=1).sum()
    assert found > 0.98 * np.sort(shared, axis=1)[:, -5:].sum()


def test_detail_is_counted_in_whole_units() -> None:
    """Sums of whole numbers are the same in whatever order a processor adds them."""
    marks = Marks.of(tuples_of(people(10)), np.zeros(1, dtype=np.int64), 4)
    points = project(marks)

    assert (marks.worth == np.rint(marks.worth)).all()
    assert marks.worth[marks.id].sum(axis=1).max() <= len(COLUMNS) * UNIT < 1 << 24
    assert (points == np.rint(points)).all()
    assert (points.astype(np.float64) @ points.T.astype(np.float64)).max() < 1 << 24
