"""People to make k-anonymous, and what a released table must be, as plain loops over its rows.

Shares no code with the recoding but its hierarchies, which are declared here.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
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
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.plan import find_distinct
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Tuples

AGES = range(20, 28)
AGE = Hierarchy.from_ordered("age", [str(age) for age in AGES])
SEX = Hierarchy.flat("sex", ["F", "M"])
WARD = Hierarchy.pinned("ward", ["east", "west"])
DECLARED = {"age": AGE, "sex": SEX, "ward": WARD}
COLUMNS = ["age", "sex", "ward", "town"]
GAP = 1e-9

PEOPLE = st.lists(
    st.tuples(
        st.sampled_from([*AGES, None]),
        st.sampled_from(["F", "M", None]),
        st.sampled_from(["east", "east", "east", "west"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["flu", "gout", "rash", None]),
        st.sampled_from([1, 2, 5]),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: pd.DataFrame(rows, columns=[*COLUMNS, "illness", "pay"], dtype=object))

MODELS = st.one_of(
    st.builds(DistinctLDiversity, l=st.integers(2, 3)),
    st.builds(EntropyLDiversity, l=st.sampled_from([1.5, 2.0])),
    st.builds(RecursiveLDiversity, c=st.sampled_from([1.0, 3.0]), l=st.just(2)),
    st.builds(
        TCloseness,
        t=st.sampled_from([0.2, 0.5]),
        distance=st.sampled_from(["equal", "ordered"]),
    ),
    st.builds(BetaLikeness, beta=st.sampled_from([0.5, 1.0]), enhanced=st.booleans()),
    st.builds(DeltaDisclosure, delta=st.sampled_from([1.0, 3.0])),
    st.builds(AlphaK, alpha=st.sampled_from([0.5, 0.75])),
)
SENSITIVE = st.dictionaries(
    st.sampled_from(["illness", "pay"]), st.lists(MODELS, min_size=1, max_size=2), max_size=2
)


def holds(model: PrivacyModel, own: Sequence[object], table: Sequence[object]) -> bool:
    """Say by the definition whether the values of one class meet a model."""
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
            return falling[0] < c * sum(falling[least - 1 :])
        case TCloseness(distance="equal", t=t):
            return sum(abs(p[v] - q[v]) for v in every) / 2 <= t + GAP
        case TCloseness(t=t):
            order = sorted(every, key=lambda v: (v is None, v if v is not None else 0))
            moved = [sum(p[v] - q[v] for v in order[: i + 1]) for i in range(len(order))]
            return sum(map(abs, moved)) / max(len(order) - 1, 1) <= t + GAP
        case BetaLikeness(beta=beta, enhanced=enhanced):
            most = {v: min(beta, -math.log(q[v])) if enhanced else beta for v in every}
            return all((p[v] - q[v]) <= most[v] * q[v] + GAP for v in every)
        case DeltaDisclosure(delta=delta):
            return all(p[v] and abs(math.log(p[v] / q[v])) < delta for v in every)
        case AlphaK(alpha=alpha):
            return max(p.values()) <= alpha + GAP


def plain(value: object) -> object:
    """Read a cell: None where it is missing."""
    return None if value is None or value != value else value  # noqa: PLR0124  # NaN


def spelt(value: object) -> str:
    """Spell a cell of the people above as its leaf."""
    return "missing" if plain(value) is None else str(value)


def split(released: pd.DataFrame, columns: Sequence[str], other: str) -> list[list[object]]:
    """Collect another column's values per class of equal labels."""
    found: dict[tuple[object, ...], list[object]] = defaultdict(list)
    for *key, value in released[[*columns, other]].itertuples(index=False):
        found[tuple(key)].append(plain(value))
    return list(found.values())


def unfold(label: str) -> set[str]:
    """List the values that a released set of whole numbers or words names."""
    found: set[str] = set()
    for part in label.split("~"):
        low, dash, high = part.partition("-")
        found |= set(map(str, range(int(low), int(high) + 1))) if dash else {part}
    return found


def covers(label: str, value: object, hierarchy: Hierarchy | None) -> bool:
    """Say whether a released label stands, among others, for a value."""
    leaf = spelt(value)
    rows = hierarchy.levels if hierarchy else ()
    return label in next((row for row in rows if row[0] == leaf), (leaf, "*"))


def lose(people: pd.DataFrame, released: pd.DataFrame, column: str, leaves: set[str]) -> float:
    """Average what each person loses in a column: the other leaves under the label, of all."""
    lost = 0.0
    hierarchy = DECLARED.get(column)
    rows = hierarchy.levels if hierarchy else ()
    labels: dict[Hashable, str] = released[column].astype(str).to_dict()
    for person, value in people[column].items():
        if person not in labels:
            lost += 1
            continue
        label = labels[person]
        under = {row[0] for row in rows if label in row} or unfold(label)
        if label == "*":
            under = leaves
        assert spelt(value) in under
        lost += (len(under & leaves) - 1) / max(len(leaves) - 1, 1)
    return lost / len(people)


@dataclass(frozen=True)
class Case:
    """Distinct tuples, what is asked of their classes, and the hierarchies they are coded in."""

    tuples: Tuples
    requirement: Requirement
    values: list[list[int]]
    """The sensitive values of each tuple's people."""

    def met(self, members: Sequence[int]) -> bool:
        """Say by a loop whether some tuples are a class."""
        own = [value for member in members for value in self.values[member]]
        table = [value for each in self.values for value in each]
        models = [model for column in self.requirement.sensitive for model in column.models]
        return len(own) >= self.requirement.k and all(holds(m, own, table) for m in models)

    def label(self, tuple_: int, vector: Sequence[int]) -> tuple[int, ...]:
        """Give the labels of a tuple under a vector of levels."""
        columns = zip(self.tuples.groups, vector, self.tuples.codes[:, tuple_], strict=True)
        return tuple(int(groups[level, leaf]) for groups, level, leaf in columns)

    def cost(self, tuple_: int, vector: Sequence[int]) -> float:
        """Give the mean over columns of (values of the data under the label - 1) / (values - 1)."""
        total = 0.0
        for groups, level, codes in zip(self.tuples.groups, vector, self.tuples.codes, strict=True):
            seen = set(codes.tolist())
            mine = groups[level, codes[tuple_]]
            under = sum(1 for leaf in seen if groups[level, leaf] == mine)
            total += (under - 1) / max(len(seen) - 1, 1)
        return total / len(self.tuples.codes)


@st.composite
def cases(draw: st.DrawFn, models: st.SearchStrategy[PrivacyModel] | None = None) -> Case:
    """Draw some twenty tuples of an age, a sex and a ward, with one to five people each."""
    leaf = st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from([0, 0, 0, 1]))
    values = st.lists(st.integers(0, 2), min_size=1, max_size=5)
    table = draw(st.dictionaries(leaf, values, min_size=1, max_size=24))
    asked = [draw(models)] if models is not None else []
    return make_case(table, draw(st.integers(1, 8)), *asked)


def make_case(
    table: Mapping[tuple[int, int, int], Sequence[int]], k: int, *models: PrivacyModel
) -> Case:
    """Make a case of the sensitive values that the people of each tuple have."""
    rows = [(*key, value) for key, several in table.items() for value in several]
    frame = pd.DataFrame(rows, columns=["age", "sex", "ward", "illness"]).assign(_people=1)
    leaves = frame[["age", "sex", "ward"]].to_numpy(dtype=np.int64).T
    codes, number, _ = find_distinct(leaves)
    requirement = Requirement.from_histogram(frame, number, k, {"illness": models})
    groups = (AGE.groups, SEX.groups, WARD.groups)
    own: list[list[int]] = [[] for _ in range(codes.shape[1])]
    for tuple_, value in zip(number.tolist(), frame["illness"].tolist(), strict=True):
        own[tuple_].append(value)
    return Case(Tuples(codes, requirement.people, groups), requirement, own)


UNION_MODELS = st.one_of(
    st.builds(DistinctLDiversity, l=st.integers(2, 3)),
    st.builds(EntropyLDiversity, l=st.sampled_from([1.5, 2.0])),
    st.builds(RecursiveLDiversity, c=st.sampled_from([1.0, 3.0]), l=st.just(2)),
    st.builds(AlphaK, alpha=st.sampled_from([0.5, 0.75])),
)
"""Models of a class by itself, which do not compare it with the table."""
